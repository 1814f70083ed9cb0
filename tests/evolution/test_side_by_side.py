"""Workers and producers of today and of tomorrow side by side, on a real broker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from deskpulse.local.kafka import LocalKafka
from schemas.events import TICKETS, decode
from sources.simulator import SimulatorConfig, simulate
from streams.config import DomainConfig
from streams.topics import default_specs, ensure_topics
from tests import oracle
from tests.domain.partitions import without_time
from tests.processors import PARTITIONS, Record, is_done, newest_facts, owns, publish, worker
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
START_MS = 1_780_272_000_000
TOMORROW = {
    "schemas/events.py": [
        (
            "    handler: Name | UnsetType = UNSET\n",
            "    handler: Name | UnsetType = UNSET\n    mood: Name | UnsetType = UNSET\n",
        )
    ],
    "schemas/outputs.py": [
        ('    "handler",\n', '    "handler",\n    "mood",\n'),
        ('    handler: str = ""\n', '    handler: str = ""\n    mood: str = ""\n'),
    ],
    "streams/patches.py": [("        event.handler,\n", "        event.handler,\n        event.mood,\n")],
}
"""What the next deskpulse changes: an attribute more."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[LocalKafka]:
    with LocalKafka() as running:
        ensure_topics({"bootstrap.servers": running.bootstrap}, default_specs(PARTITIONS))
        yield running


def tomorrow(folder: Path) -> Path:
    """The sources of the next deskpulse."""
    for package in ("schemas", "streams", "sinks", "sources", "deskpulse", "deploy"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", ".compiled"))
    for name, changes in TOMORROW.items():
        text = (folder / name).read_text()
        for old, new in changes:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        (folder / name).write_text(text)
    return folder


def of_tomorrow(record: Record) -> list[Record]:
    """What a producer of tomorrow sends in place of it: more fields, more types, fewer fields that may be left out."""
    topic, key, value = record
    document = msgspec.json.decode(value) | {"by": {"app": "2.0", "build": [1, 2]}}
    if topic == TICKETS:
        document["mood"] = "cross"
    if document.get("origin") == "customer":
        del document["origin"]
    tagged = {"id": f"tag-{document['id']}", "type": "ticket.tagged", "ticket_id": document["ticket_id"], "tag": "new"}
    tag = (TICKETS, key, msgspec.json.encode(tagged | {"at": document["at"]}))
    return [(topic, key, msgspec.json.encode(document)), tag]


def test_workers_and_producers_of_today_and_tomorrow_work_side_by_side(kafka: LocalKafka, tmp_path: Path) -> None:
    records = [
        (topic, key, value)
        for _, topic, key, value in simulate(SimulatorConfig(START_MS, tickets=400, days=2, seed=3, duplicates=0.05))
    ]
    third = len(records) // 3
    later = [new for record in records[third : 2 * third] for new in of_tomorrow(record)]
    sources = tomorrow(tmp_path / "tomorrow")
    with worker(kafka, tmp_path, "today") as today:
        publish(kafka, records[:third])
        today.wait_until(owns(PARTITIONS), "the first third", 60)
        with worker(kafka, tmp_path, "tomorrow", PYTHONPATH=str(sources)) as next_one:
            next_one.wait_until(owns(PARTITIONS // 2), "half of the partitions", 60)
            publish(kafka, later)
            next_one.wait_until(lambda status: is_done(status) and status["health"]["events"][TICKETS], "its share", 60)
            next_one.stop()
        today.wait_until(owns(PARTITIONS), "what the other one had", 60)
        publish(kafka, records[2 * third :])
        now_ms = time.time_ns() // 1_000_000
        events = list({decode(value).id: decode(value) for _, _, value in records}.values())
        facts = oracle.facts(events, now_ms, DomainConfig(horizon_ms=None))
        expected = {ticket: without_time(one) for ticket, one in facts.items()}
        wait_until(lambda: newest_facts(kafka) == expected, 60, "the facts are those of all events")
        status = today.wait_until(owns(PARTITIONS), "everything", 60)
        today.stop()
    assert status["health"]["dead_letters"] == {}
    assert status["health"]["skipped_types"] > 0
