"""Facts in ClickHouse, cells in ClickHouse and gauges at /metrics agree with each other and with the oracle."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from clickhouse_connect.driver.client import Client
from prometheus_client.parser import text_string_to_metric_families

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker, is_idle
from deskpulse.settings import load
from schemas.events import INPUT_TOPICS, AnyEvent, decode
from schemas.outputs import DEAD_LETTERS
from sinks.clickhouse import ClickHouseTarget, connect
from sources.publisher import Publisher
from sources.simulator import SimulatorConfig, simulate
from sources.traffic import publish
from streams.config import DomainConfig
from streams.figures import FIGURES, WINDOWS_SECONDS
from streams.measures import NUMBER_OF
from streams.topics import default_specs, ensure_topics
from tests import oracle

AGREEMENTS = Path(__file__).parents[2] / "deskpulse" / "demo.toml"
"""Policies with every target, some by opening hours."""
DIMENSIONS = ("channel", "priority", "team")
PARTITIONS = 4
TICKETS = 1_500
START_MS = 1_780_272_000_000
"""2026-06-01T00:00Z."""


@dataclass
class Desk:
    """A simulated desk, as the worker left it."""

    events: list[AnyEvent]
    records: int
    status: dict[str, Any]
    metrics: str
    client: Client
    config: DomainConfig

    @property
    def now_ms(self) -> int:
        return max(int(event.at.timestamp() * 1000 + 0.5) for event in self.events)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("agreement")
    config = SimulatorConfig(START_MS, tickets=TICKETS, days=3, seed=7, late=0.02, duplicates=0.05)
    traffic = list(simulate(config))
    with LocalKafka() as kafka:
        client = {"bootstrap.servers": kafka.bootstrap}
        ensure_topics(client, default_specs(PARTITIONS))
        publisher = Publisher(client)
        publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))
        publish(iter(traffic), publisher)
        settings = {
            "DESKPULSE_CONFIG": str(AGREEMENTS),
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": str(PARTITIONS),
            "DESKPULSE_WORKER__CLOCK": "event",
            "DESKPULSE_WORKER__HORIZON": "unlimited",
            "DESKPULSE_CLICKHOUSE__PATH": str(folder / "clickhouse"),
            **{
                f"DESKPULSE_CLICKHOUSE__RETENTION__{table}": "unlimited"
                for table in ("EVENTS", "MINUTE_CELLS", "HOUR_CELLS")
            },
        }
        with LocalWorker(settings, Path(folder) / "worker.log") as worker:
            status = worker.wait_until(
                lambda found: is_idle(found) and sum(found["health"]["events"].values()) == len(traffic),
                "everything processed",
                120,
            )
            metrics = requests.get(f"{worker.url}/metrics", timeout=30).text
            worker.stop()
    clickhouse = connect(ClickHouseTarget(path=folder / "clickhouse"))
    events = {decode(value).id: decode(value) for _, _, _, value in traffic}
    yield Desk(list(events.values()), len(traffic), status, metrics, clickhouse, load(AGREEMENTS).domain())
    clickhouse.close()


def test_every_record_is_counted_and_repeated_ones_as_duplicates(desk: Desk) -> None:
    health = desk.status["health"]
    assert health["duplicates"] == desk.records - len(desk.events) > 0
    assert health["late"] == 0
    assert health["dead_letters"] == {}
    archived = desk.client.query("SELECT count(), uniqExact(id) FROM deskpulse.events FINAL").result_rows[0]
    assert archived == (desk.records, len(desk.events))


def test_facts_in_clickhouse_are_those_of_the_oracle(desk: Desk) -> None:
    expected = oracle.facts(desk.events, desk.now_ms, desk.config)
    names = [
        "events", "customer_id", "status", "channel", "priority", "team", "agent_id", "first_touch_seconds",
        "first_reply_seconds", "first_resolution_seconds", "full_resolution_seconds", "solves", "reopens",
        "agent_replies", "one_touch", "no_followup", "no_reopen", "fcr", "fcr_final", "merged_into", "deleted",
        "no_repeat", "handoff_reply_seconds", "customer_messages", "agents", "channel_switches", "unanswered", "policy",
        "handled_by", "bot_resolved", "bot_resolved_durably", "service_recovery",
    ]  # fmt: skip
    rows = desk.client.query(f"SELECT ticket_id, {', '.join(names)} FROM deskpulse.ticket_facts FINAL").result_rows
    found = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    assert found.keys() == expected.keys()
    for ticket_id, facts in expected.items():
        assert found[ticket_id] == {name: facts[name] for name in names}, ticket_id


def test_cells_in_clickhouse_are_those_of_the_oracle(desk: Desk) -> None:
    expected = oracle.cells(desk.events, desk.now_ms, "hour", desk.config)
    counts = (
        "created",
        "solves",
        "tickets_solved",
        "reopens",
        "agent_replies",
        "fcr",
        "csat_answers",
        "first_reply_ms",
        "next_reply_ms",
        "full_resolution_business_ms",
        "no_repeat",
        "bot_resolved",
        "recovered_tickets",
        "sla_first_reply_breached",
        "sla_resolution_met",
    )
    summed = ", ".join(f"sum(c.{name})" for name in counts)
    rows = desk.client.query(
        f"SELECT toUnixTimestamp64Milli(pane_at), {', '.join(DIMENSIONS)}, {summed} "
        f"FROM deskpulse.cells_hour AS c FINAL GROUP BY pane_at, {', '.join(DIMENSIONS)}"
    ).result_rows
    found = {(row[0], tuple(row[1:4])): {name: n for name, n in zip(counts, row[4:], strict=True) if n} for row in rows}
    assert {key: measures for key, measures in found.items() if measures} == {
        key: kept
        for key, measures in expected.items()
        if (kept := {name: measures[name] for name in counts if measures.get(name)})
    }


def test_gauges_and_views_are_what_the_oracle_says(desk: Desk) -> None:
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(desk.metrics)
        for sample in family.samples
    }
    compared = 0
    for window, seconds in WINDOWS_SECONDS.items():
        groups = oracle.by_group(oracle.window_totals(desk.events, desk.now_ms, window, desk.config), DIMENSIONS)
        for dimension in ("all", *DIMENSIONS):
            rows = desk.client.query(
                "SELECT * FROM deskpulse.figures_by(dimension={dimension:String}, seconds={seconds:UInt32}, "
                "at={at:DateTime64(3)})",
                parameters={"dimension": dimension, "seconds": seconds, "at": _utc(desk.now_ms)},
            )
            by_value = {row["value"]: row for row in rows.named_results()}
            for (name, value), amounts in groups.items():
                if name != dimension:
                    continue
                totals = {NUMBER_OF[measure]: n for measure, n in amounts.items()}
                for figure in FIGURES:
                    expected = figure.value(totals)
                    in_sql = by_value[value][figure.name]
                    assert _equal(in_sql, expected), (window, dimension, value, figure.name, in_sql, expected)
                    labels = {"window": window, "dimension": dimension, "value": value, **dict(figure.labels)}
                    in_gauges = samples.get((f"support_{figure.metric}", frozenset(labels.items())))
                    assert _equal(in_gauges, expected), (labels, figure.name, in_gauges, expected)
                    compared += expected is not None
    assert compared > 1_000


def test_the_backlog_is_what_the_oracle_says(desk: Desk) -> None:
    open_tickets = oracle.backlog(desk.events, desk.now_ms, desk.config)
    found = {
        (sample.labels["dimension"], sample.labels["value"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(desk.metrics)
        for sample in family.samples
        if sample.name == "support_backlog_tickets" and sample.value
    }
    expected: dict[tuple[str, str, str], float] = {}
    for ticket in open_tickets:
        for group in (("all", ""), *((name, ticket.attributes[name]) for name in DIMENSIONS)):
            expected[*group, ticket.status] = expected.get((*group, ticket.status), 0) + 1
    assert found == expected != {}


def test_what_was_raised_of_agreements_is_what_the_oracle_says(desk: Desk) -> None:
    rows = desk.client.query(
        "SELECT ticket_id, target, toUnixTimestamp64Milli(started_at), instance, kind, toUnixTimestamp64Milli(at) "
        "FROM deskpulse.sla_log"
    ).result_rows
    assert {tuple(row) for row in rows} == oracle.sla_events(desk.events, desk.now_ms, desk.config)
    assert {row[4] for row in rows} == {"at_risk", "breached", "met", "cancelled"}


def test_running_instances_and_who_waits_are_what_the_oracle_says(desk: Desk) -> None:
    found: dict[tuple[str, ...], float] = {}
    for family in text_string_to_metric_families(desk.metrics):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "support_sla_instances" and sample.value:
                found[labels["dimension"], labels["value"], labels["target"], labels["state"]] = sample.value
            if sample.name == "support_unanswered_tickets" and sample.value:
                found[labels["dimension"], labels["value"]] = sample.value
    expected: dict[tuple[str, ...], float] = {}
    for one in oracle.running(desk.events, desk.now_ms, desk.config):
        for group in (("all", ""), *((name, one.attributes[name]) for name in DIMENSIONS)):
            expected[*group, one.target, one.state] = expected.get((*group, one.target, one.state), 0) + 1
    for ticket in oracle.backlog(desk.events, desk.now_ms, desk.config):
        for group in (("all", ""), *((name, ticket.attributes[name]) for name in DIMENSIONS)):
            if ticket.unanswered:
                expected[group] = expected.get(group, 0) + 1
    assert found == expected != {}


def _equal(found: Any, expected: float | None) -> bool:
    if found is None or expected is None:
        return found is expected
    return math.isclose(float(found), expected, rel_tol=1e-9, abs_tol=1e-9)


def _utc(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
