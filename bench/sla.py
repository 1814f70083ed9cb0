"""How long after its due time a breach can be read: tickets fall due one after the other, and nobody answers."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from confluent_kafka import Consumer, KafkaException, TopicPartition

from bench.report import Result, Table, quantile
from bench.running import BenchError, Worker, worker
from bench.stage import PARTITIONS, Stage, stage
from schemas.events import TICKETS
from schemas.outputs import SLA_EVENTS, SlaEvent
from sources.publisher import Publisher

WITHIN_SECONDS: Final = 1.0
LEAD_SECONDS: Final = 10.0
"""From the publishing of the tickets to the first due time: the worker has them all by then."""
AFTER_SECONDS: Final = 5.0
"""How long after the last due time it is waited for what is missing or comes again."""
TARGET_SECONDS: Final = 300
SETTINGS: Final = f"""\
[[policies]]
name = "prompt"
targets = {{ first_reply = "{TARGET_SECONDS}s" }}
"""
_decode: Final = msgspec.json.Decoder(SlaEvent).decode


def sla(tickets: int, spread_seconds: float) -> Result:
    """Watch a whole worker, live, while tickets breach their first reply one after the other."""
    with stage() as on:
        on.make_topics(inputs=True)
        (on.folder / "deskpulse.toml").write_text(SETTINGS)
        settings = on.settings("sla", "processor,sink") | {
            "config": on.folder / "deskpulse.toml",
            "clickhouse.path": on.folder / "clickhouse",
        }
        with worker(on.folder, settings) as running:
            running.await_ready()
            due_at = _publish(on, tickets, spread_seconds)
            seen = _watch(on, running, due_at)
    return _result(due_at, seen, spread_seconds)


def _publish(on: Stage, tickets: int, spread_seconds: float) -> dict[str, int]:
    """Create the tickets so that they fall due over a while from soon on; when each does, in milliseconds."""
    first_ms = time.time_ns() // 1_000_000 + int(LEAD_SECONDS * 1000)
    due_at = {f"T{number:06d}": first_ms + int(number * spread_seconds * 1000 / tickets) for number in range(tickets)}
    publisher = Publisher(on.client)
    publisher.connect()
    publisher.send(
        TICKETS,
        [
            {"key": ticket.encode(), "value": _created(ticket, due - TARGET_SECONDS * 1000)}
            for ticket, due in due_at.items()
        ],
    )
    publisher.flush()
    return due_at


def _created(ticket: str, at_ms: int) -> bytes:
    at = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    event = {"id": f"{ticket}-1", "type": "ticket.created", "ticket_id": ticket, "at": at}
    event |= {"customer_id": f"c{ticket}", "channel": "email", "priority": "normal"}
    return json.dumps(event).encode()


def _watch(on: Stage, running: Worker, due_at: Mapping[str, int]) -> list[tuple[str, int, float]]:
    """Every breach that can be read: ticket, when it says that it was, and when it was there (both milliseconds)."""
    consumer = Consumer(
        {
            **on.client,
            "group.id": "bench",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 50,
        }
    )
    consumer.assign([TopicPartition(SLA_EVENTS, number, 0) for number in range(PARTITIONS)])
    seen: list[tuple[str, int, float]] = []
    until = max(due_at.values()) / 1000 + AFTER_SECONDS
    try:
        while time.time() < until:
            for message in consumer.consume(1_000, 0.02):
                there_ms = time.time() * 1000
                error = message.error()
                if error is not None:
                    raise KafkaException(error)
                event = _decode(message.value() or b"")
                if event.kind == "breached":
                    seen.append((event.ticket_id, event.at_ms, there_ms))
                elif event.kind != "at_risk":
                    raise BenchError(f"nobody answered ticket {event.ticket_id}, but it is said to be {event.kind}")
            running.check()
    finally:
        consumer.close()
    return seen


def _result(due_at: Mapping[str, int], seen: list[tuple[str, int, float]], spread_seconds: float) -> Result:
    times = Counter(ticket for ticket, _, _ in seen)
    missing = len(due_at.keys() - times.keys())
    twice = sum(number > 1 for number in times.values())
    wrong = sum(at != due_at.get(ticket) for ticket, at, _ in seen)
    late = sorted((there_ms - due_at[ticket]) / 1000 for ticket, _, there_ms in seen)
    if not late:
        raise BenchError("no breach was raised")
    told = {
        "tickets": len(due_at),
        "spread_seconds": spread_seconds,
        "breaches": len(seen),
        "missing": missing,
        "twice": twice,
        "with_another_time": wrong,
        "p50_seconds": round(quantile(late, 0.5), 3),
        "p99_seconds": round(quantile(late, 0.99), 3),
        "max_seconds": round(late[-1], 3),
        "within_target": sum(seconds <= WITHIN_SECONDS for seconds in late) / len(due_at),
    }
    rows = [[name.replace("_", " "), f"{value:,}"] for name, value in told.items() if name != "within_target"]
    rows.append([f"within {WITHIN_SECONDS:g} s", f"{told['within_target']:.2%}"])
    table = Table("From a due time to the breach being readable (read_committed)", ["", ""], rows)
    return Result("sla", [table], told)
