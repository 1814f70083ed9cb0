"""``deskpulse backfill``: what came too late counts, in a closed period, exactly and once; ``verify`` agrees."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import ANY

import pytest
from confluent_kafka import Producer
from typer.testing import CliRunner

from deskpulse.backfill.period import HOUR_MS, Period, closed_until
from deskpulse.backfill.run import backfill
from deskpulse.backfill.tables import AtWorkError, fresh
from deskpulse.cli import app
from deskpulse.cli.common import explained
from deskpulse.verify.differences import instant
from deskpulse.verify.looks import Look
from schemas.events import (
    INPUT_TOPICS,
    AnyEvent,
    MessageSent,
    SurveyAnswered,
    TicketCreated,
    TicketDeleted,
    TicketUpdated,
    at_ms,
)
from schemas.events import decode as event_of
from schemas.outputs import CELLS
from sources.simulator import SimulatorConfig, simulate
from streams.config import DAY_MS, DomainConfig
from streams.cutting import annotated
from streams.topics import default_specs, ensure_topics
from tests import oracle
from tests.backfill.desk import PARTITIONS, Desk, Record, cells_of, expected_cells
from tests.domain.partitions import Desk as Partitions
from tests.strategies import encode

START_MS = 1_780_272_000_000
"""2026-06-01T00:00Z."""
START = datetime.fromtimestamp(START_MS / 1000, UTC)
NOW_MS = START_MS + 80 * DAY_MS
JUNE = ("--from", "2026-06-01", "--to", "2026-06-30")


class Ran(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found


def deskpulse(command: str, desk: Desk, *arguments: object) -> Ran:
    given = [command, *map(str, arguments), "--config", str(desk.config), "--format", "json"]
    if command != "late" and "--look" not in arguments:
        given.append("--offline")
    result = CliRunner().invoke(app, given)
    error = result.exception
    if error is None or isinstance(error, SystemExit):
        return Ran(result.exit_code, result.stdout, result.stderr)
    assert isinstance(error, Exception)
    told = explained(error)
    if told is None:
        raise error
    return Ran(told[1], result.stdout, told[0])


def traffic() -> list[AnyEvent]:
    """Tickets of June; all of them come to their end in it."""
    config = SimulatorConfig(START_MS, tickets=60, days=12, seed=8, complete=True)
    events = {event.id: event for event in (event_of(value) for _, _, _, value in simulate(config))}
    return [event for event in events.values() if at_ms(event.at) < START_MS + 29 * DAY_MS]


def late_events(events: Sequence[AnyEvent]) -> list[AnyEvent]:
    """Of tickets that are closed: answers, a reply, a reopening with a solve, another team, a deletion."""
    status: dict[str, str] = {}
    for event in sorted(events, key=lambda event: (event.at, event.seq)):
        if isinstance(event, TicketUpdated) and isinstance(event.status, str):
            status[event.ticket_id] = event.status
    one, two, three, four, five, six = sorted(
        ticket for ticket, last in status.items() if last in ("solved", "closed")
    )[-6:]
    at = START + timedelta(days=20, hours=5, minutes=7)

    def of(ticket: str, number: int) -> dict[str, Any]:
        return {"id": f"late-{ticket}-{number}", "ticket_id": ticket, "at": at + timedelta(hours=number)}

    return [
        SurveyAnswered(**of(one, 1), survey_id="late", kind="csat", score=5),
        SurveyAnswered(**of(two, 1), survey_id="late", kind="nps", score=2),
        MessageSent(
            **{**of(three, 1), "at": START + timedelta(days=13)}, author="agent", author_id="A", visibility="public"
        ),
        TicketUpdated(**of(four, 1), status="open"),
        TicketUpdated(**of(four, 2), status="solved"),
        TicketUpdated(**{**of(five, 1), "at": START - timedelta(days=1)}, team="another"),
        TicketDeleted(**of(six, 1)),
    ]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """After June and July; then came what was too late, for tickets that have left and are not yet forgotten."""
    desk = Desk(tmp_path)
    try:
        events = traffic()
        desk.go_on(events, max(at_ms(event.at) for event in events))
        for day in (35, 50, 79):
            desk.go_on([], START_MS + day * DAY_MS)
        late = late_events(events)
        desk.go_on([*late, *(created(f"T-new-{number}", NOW_MS - 1000) for number in range(4))], NOW_MS)
        assert [one.code for one in desk.late] == ["late"] * len(late)
        yield desk
    finally:
        desk.close()


def created(ticket: str, at: int) -> TicketCreated:
    when = datetime.fromtimestamp(at / 1000, UTC)
    return TicketCreated(
        id=f"{ticket}-0", ticket_id=ticket, at=when, customer_id="C-new", channel="email", priority="normal"
    )


def solved(ticket: str, at: int) -> TicketUpdated:
    when = datetime.fromtimestamp(at / 1000, UTC)
    return TicketUpdated(id=f"{ticket}-solved", ticket_id=ticket, at=when, status="solved")


def found_in(desk: Desk) -> tuple[dict[Any, Any], ...]:
    """Cells by minute and by hour, counts of the facts, SLA events."""
    dimensions = desk.settings.domain().dimensions
    client = desk.open()
    cells = [cells_of(client, resolution, dimensions) for resolution in ("minute", "hour")]
    rows = client.query(
        "SELECT ticket_id, events, deleted, solves, reopens, agent_replies, team, fcr, no_repeat, service_recovery "
        "FROM ticket_facts FINAL"
    )
    facts = {row["ticket_id"]: row for row in rows.named_results()}
    sla = client.query(
        "SELECT ticket_id, target, toUnixTimestamp64Milli(started_at), instance, kind, toUnixTimestamp64Milli(at) "
        "FROM sla_log"
    ).result_rows
    client.close()
    return (*cells, facts, {tuple(row): 1 for row in sla})


def expected_in(desk: Desk) -> tuple[dict[Any, Any], ...]:
    """The same by the oracle, of all events."""
    config = desk.settings.domain()
    cells = [expected_cells(desk.events, NOW_MS, resolution, desk.settings) for resolution in ("minute", "hour")]
    facts = oracle.facts(desk.events, NOW_MS, config)
    names = ("events", "deleted", "solves", "reopens", "agent_replies", "team", "fcr", "no_repeat", "service_recovery")
    told = {
        ticket_id: {"ticket_id": ticket_id, **{name: of_ticket.get(name) for name in names}}
        for ticket_id, of_ticket in facts.items()
    }
    return (*cells, told, dict.fromkeys(oracle.sla_events(desk.events, NOW_MS, config), 1))


def test_what_came_too_late_changes_a_closed_month_as_the_oracle_says(desk: Desk) -> None:
    before = found_in(desk)
    assert before != expected_in(desk)

    dry = deskpulse("backfill", desk, *JUNE, "--dry-run")
    assert dry.code == 0, dry.err
    assert dry.document["changed"]["ticket_facts"] >= 6
    assert dry.document["examples"]
    assert not dry.document["moved"]
    assert found_in(desk) == before
    assert deskpulse("verify", desk, *JUNE).code == 1

    done = deskpulse("backfill", desk, *JUNE)
    assert done.code == 0, done.err
    assert done.document["changed"] == dry.document["changed"]
    assert done.document["moved"]
    for found, expected in zip(found_in(desk), expected_in(desk), strict=True):
        assert found == expected

    desk.deliver_again(CELLS, desk.old_cells)
    assert found_in(desk)[:2] == expected_in(desk)[:2], "what a sink inserts again after a crash stays below"
    again = deskpulse("backfill", desk, *JUNE).document
    assert (set(again["changed"].values()), again["moved"]) == ({0}, False)
    assert deskpulse("verify", desk, *JUNE).code == 0
    late = [desk.places[event.id] for event in desk.events if event.id.startswith("late-")]
    look = desk.config.parent / "look.json"
    Look(True, refused=late, late=late).save(look)
    verified = deskpulse("verify", desk, "--look", look)
    assert verified.document["differences"] == {"total": 0, "by_kind": ANY, "shown": []}
    assert verified.document["counts"]["refused"] == len(late)


def test_a_period_that_is_not_closed_is_refused_with_the_one_that_would_be_right(desk: Desk) -> None:
    refused = deskpulse("backfill", desk, "--from", "2026-06-01", "--to", "2026-08-01")
    closed = START + timedelta(days=80 - 31)
    assert refused.code == 1
    assert f"--to {closed:%Y-%m-%dT%H:%M:%SZ}" in refused.err
    assert deskpulse("backfill", desk, "--from", "2026-06-01", "--to", f"{closed:%Y-%m-%dT%H:%MZ}").code == 0
    wrong_ends = {"2026-05-01": "does not come before", "soon": "expected a day", "2026-06-01T10:30Z": "whole hour"}
    for until, told in wrong_ends.items():
        wrong = deskpulse("backfill", desk, "--from", "2026-06-01", "--to", until)
        assert (wrong.code, told in wrong.err) == (2, True), wrong.err


def test_an_archive_that_has_lost_events_is_refused_and_files_bring_them_back(desk: Desk, tmp_path: Path) -> None:
    lost = [event for event in desk.events if at_ms(event.at) < START_MS + 3 * DAY_MS]
    client = desk.open()
    client.command(
        "ALTER TABLE events DELETE WHERE at < {until:DateTime64(3)} SETTINGS mutations_sync = 1",
        parameters={"until": START + timedelta(days=3)},
    )
    client.close()
    refused = deskpulse("backfill", desk, *JUNE)
    assert refused.code == 1
    assert "the archive has fewer events" in refused.err
    file = tmp_path / "lost.jsonl"
    imported = [created("T-imported", START_MS), solved("T-imported", START_MS + DAY_MS)]
    file.write_bytes(b"\n".join(map(encode, [*lost, *imported])))
    done = deskpulse("backfill", desk, *JUNE, file)
    assert done.code == 0, done.err
    assert done.document["counts"]["file_events_new"] == len(lost) + len(imported)
    desk.events += imported
    for found, expected in zip(found_in(desk), expected_in(desk), strict=True):
        assert found == expected
    assert deskpulse("verify", desk, *JUNE).code == 0, "without the files: the archive has it all now"


def test_files_with_events_of_tracked_tickets_are_to_be_published(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "tracked.jsonl"
    file.write_bytes(encode(TicketUpdated(id="more", ticket_id="T-new-1", at=START, team="x")))
    refused = deskpulse("backfill", desk, *JUNE, file)
    assert refused.code == 1
    assert "deskpulse publish" in refused.err


def test_one_backfill_at_a_time_unless_the_other_was_cut_off(desk: Desk) -> None:
    client = desk.open()
    period = Period(START_MS, START_MS + 30 * DAY_MS)
    times = dict.fromkeys(range(2), NOW_MS)
    with fresh(client, "deskpulse", NOW_MS, discard=False) as tables:
        with pytest.raises(AtWorkError, match="--discard"):
            backfill(client, desk.settings, period, Look(False), times)
        tables.choose(["T"])
        report = backfill(client, desk.settings, period, Look(False), times, discard=True)
    assert report.moved
    left = client.query("SELECT count() FROM system.tables WHERE startsWith(name, 'backfill_')").result_rows
    client.close()
    assert left == [(0,)]
    assert found_in(desk) == expected_in(desk)


def test_closed_is_what_a_worker_publishes_no_more() -> None:
    config = DomainConfig(horizon_ms=31 * DAY_MS + 5)
    partition = Partitions(config).partition
    for now_ms in (NOW_MS, NOW_MS + 1, NOW_MS + HOUR_MS - 1):
        partition.advance(INPUT_TOPICS, now_ms)
        assert closed_until({0: now_ms, 1: NOW_MS + 5 * DAY_MS}, config.horizon_ms) == (
            partition.panes["hour"].oldest * HOUR_MS
        )


def test_late_events_are_listed_with_what_they_change_to_the_hour(
    desk: Desk, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(desk, broker)
    monkeypatch.setenv("DESKPULSE_KAFKA__BOOTSTRAP", broker)
    listed = deskpulse("late", desk, "list", "--exact").document
    assert listed["late"] == len(desk.late)
    assert "C-" not in json.dumps([one for one in listed["records"] if one["type"] != "ticket.created"])
    answer = next(one for one in listed["records"] if "csat_answers" in one["measures"])
    assert (answer["hour"], answer["left_at"] is not None) == ("2026-06-21T06:00:00Z", True)

    before, expected = found_in(desk)[1], expected_in(desk)[1]
    differing = {one for one, _ in before.keys() | expected.keys() if of(before, one) != of(expected, one)}
    exact = listed["exact"]
    assert {hour["hour"] for hour in exact["hours"]} == {instant(pane) for pane in differing}
    for hour in exact["hours"]:
        for cell in hour["cells"]:
            pane = next(one for one in differing if instant(one) == hour["hour"])
            place = pane, tuple(cell["dimensions"].values())
            added = {name: n - before.get(place, {}).get(name, 0) for name, n in expected.get(place, {}).items()}
            gone = {name: -n for name, n in before.get(place, {}).items() if name not in expected.get(place, {})}
            assert cell["measures"] == {name: n for name, n in (added | gone).items() if n}
    assert (exact["not_closed"], {one["backfilled"] for one in exact["tickets"]}) == (0, {False})

    period = exact["backfill"]
    assert deskpulse("backfill", desk, "--from", period["from"], "--to", period["to"]).code == 0
    # Minutes are kept up to date for a day alone; outside of the period they are what they were then.
    assert found_in(desk)[1:] == expected_in(desk)[1:]
    after = deskpulse("late", desk, "list", "--exact", "--type", "survey.answered").document
    assert (after["late"], {one["backfilled"] for one in after["exact"]["tickets"]}) == (2, {True})


def of(cells: dict[Any, Any], pane_ms: int) -> dict[Any, Any]:
    return {place: measures for place, measures in cells.items() if place[0] == pane_ms}


def refuse(desk: Desk, broker: str) -> None:
    """Write the late records as a worker does."""
    ensure_topics({"bootstrap.servers": broker}, default_specs(PARTITIONS))
    producer = Producer({"bootstrap.servers": broker})
    for one in desk.late:
        value = one.record.value() or b""
        _, number, offset = desk.places[event_of(value).id]
        record: Any = Record(one.record.key() or b"", value, offset, NOW_MS)
        told = annotated(number, one._replace(record=record))
        producer.produce(told.topic, told.value, told.key, number, headers=list(told.headers))
    assert producer.flush(20) == 0
