"""``deskpulse verify`` on a simulated fortnight: nothing differs, and what is damaged is named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from deskpulse.cli import app
from deskpulse.verify.differences import instant
from schemas.events import TICKETS as TICKETS_TOPIC
from schemas.events import at_ms
from sinks.clickhouse import ClickHouseTarget, connect
from sources.simulator import Delivery, SimulatorConfig, simulate
from tests.verify.desk import Desk

START_MS = 1_780_272_000_000
"""2026-06-01T00:00Z, a Monday."""
TICKETS = 3_000
MISPLACED: Delivery = (
    START_MS,
    TICKETS_TOPIC,
    b"another key",
    b'{"id":"misplaced","type":"ticket.deleted","ticket_id":"misplaced","at":"2026-06-01T00:00:00Z"}',
)
"""Workers refuse it."""


class Fortnight(NamedTuple):
    """What is left of a desk after a fortnight."""

    config: Path
    clickhouse: Path
    look: Path
    """A look at the worker, before it was stopped."""
    records: int
    refused_while_running: str
    """What `verify` said while the worker held ClickHouse's folder."""


def verify(config: Path, *arguments: object) -> tuple[int, str, str]:
    command = ["verify", "--config", str(config), *map(str, arguments)]
    result = CliRunner().invoke(app, command, catch_exceptions=True)
    return result.exit_code, result.stdout, result.stderr + str(result.exception)


def document(config: Path, *arguments: object) -> tuple[int, dict[str, Any]]:
    code, out, err = verify(config, *arguments, "--format", "json")
    assert out, err
    return code, json.loads(out)


@pytest.fixture(scope="module")
def fortnight(tmp_path_factory: pytest.TempPathFactory) -> Fortnight:
    """The worker was killed once and stopped once on the way."""
    folder = tmp_path_factory.mktemp("fortnight")
    look = folder / "look.json"
    config = SimulatorConfig(START_MS, tickets=TICKETS, days=14, seed=5, late=0.03, duplicates=0.03)
    traffic = list(simulate(config))
    third = len(traffic) // 3
    with Desk(folder) as desk:
        desk.publish([*traffic[:third], MISPLACED])
        desk.start()
        desk.await_read(third // 2)
        desk.kill()
        desk.publish(traffic[third : 2 * third])
        desk.start()
        desk.await_read(third // 2)
        desk.stop()
        desk.publish(traffic[2 * third :])
        desk.start()
        code, told = document(desk.config, "--save", look)
        assert (code, told["idle"], told["told"]) == (0, True, [])
        _, _, refused = verify(desk.config)
        desk.stop()
    return Fortnight(desk.config, desk.clickhouse, look, len(traffic), refused)


def test_nothing_differs_after_a_fortnight_with_restarts(fortnight: Fortnight) -> None:
    code, found = document(fortnight.config, "--look", fortnight.look)
    assert found["differences"]["shown"] == []
    assert found["differences"]["total"] == 0
    assert (code, found["ok"], found["idle"], found["told"]) == (0, True, True, [])
    counts = found["counts"]
    assert (counts["events"], counts["refused"]) == (fortnight.records, 1)
    assert counts["tickets"] == counts["facts"] == TICKETS
    assert all(counts[name] > 100 for name in ("sla_events", "minute_cells", "hour_cells", "gauges")), counts


def test_clickhouse_alone_can_be_verified_without_worker_and_kafka(fortnight: Fortnight) -> None:
    code, out, _ = verify(fortnight.config, "--offline")
    assert code == 0
    assert "gauges are not compared" in out
    assert "No difference." in out


def test_it_says_what_to_do_while_the_worker_holds_the_folder(fortnight: Fortnight) -> None:
    assert "deskpulse verify --save" in fortnight.refused_while_running


Damaged = dict[tuple[str, str, str], tuple[Any, Any]]


def test_what_is_damaged_is_named_and_nothing_else(fortnight: Fortnight) -> None:
    client = connect(ClickHouseTarget(path=fortnight.clickhouse))
    try:
        damaged = damage(client)
    finally:
        client.close()
    code, found = document(fortnight.config, "--look", fortnight.look)
    assert code == 1
    shown = found["differences"]["shown"]
    assert {(one["kind"], one["where"], one["name"]): (one["expected"], one["found"]) for one in shown} == damaged
    assert found["differences"]["total"] == len(damaged)
    _, out, _ = verify(fortnight.config, "--look", fortnight.look, "--show", 0)
    assert f"{len(damaged)} differences: 1 in facts, 1 in hour_cells, 2 in sla" in out


def damage(client: Client) -> Damaged:
    """Change a fact and a cell, lose one SLA event and move another; what is to be told: expected, found."""

    def first(query: str) -> Sequence[Any]:
        return client.query(f"{query} LIMIT 1").result_rows[0]

    def change(table: str, what: str, where: str) -> None:
        client.command(f"ALTER TABLE {table} {what} WHERE {where} SETTINGS mutations_sync = 1")

    ticket, replies = first("SELECT ticket_id, agent_replies FROM ticket_facts FINAL ORDER BY agent_replies DESC")
    change("ticket_facts", "UPDATE agent_replies = 1", f"ticket_id = '{ticket}'")

    by = "pane_at, _partition, channel, priority, team"
    pane, partition, *values, created = first(f"SELECT {by}, created FROM cells_hour FINAL ORDER BY created DESC, {by}")
    channel, priority, team = values
    at_cell = f"pane_at = '{pane:%Y-%m-%d %H:%M:%S}' AND _partition = {partition}"
    of_cell = f"channel = '{channel}' AND priority = '{priority}' AND team = '{team}'"
    change("cells_hour", "UPDATE created = created + 1", f"{at_cell} AND {of_cell}")

    resolution = "SELECT ticket_id, started_at, at FROM sla_log WHERE target = 'resolution' AND kind ="
    lost, lost_start, lost_at = first(f"{resolution} 'breached' ORDER BY ticket_id")
    moved, moved_start, moved_at = first(f"{resolution} 'met' ORDER BY ticket_id")
    change("sla_events", "DELETE", f"ticket_id = '{lost}' AND target = 'resolution' AND kind = 'breached'")
    of_moved = f"ticket_id = '{moved}' AND target = 'resolution' AND kind = 'met'"
    change("sla_events", "UPDATE at = at + toIntervalHour(1)", of_moved)

    where = f"channel={channel}, priority={priority}, team={team}, partition {partition}"
    return {
        ("facts", f"ticket {ticket}", "agent_replies"): (replies, 1),
        ("hour_cells", f"hour {told(pane)}, {where}", "created"): (created, created + 1),
        ("sla", f"ticket {lost}", f"resolution breached, instance 1 from {told(lost_start)}"): (told(lost_at), None),
        ("sla", f"ticket {moved}", f"resolution met, instance 1 from {told(moved_start)}"): (
            told(moved_at),
            told(moved_at + timedelta(hours=1)),
        ),
    }


def told(at: datetime) -> str:
    """How an instant is told."""
    return instant(at_ms(at.replace(tzinfo=UTC)))
