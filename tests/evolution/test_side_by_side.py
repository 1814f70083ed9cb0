"""Workers and producers of today and of tomorrow side by side, on a real broker."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec
import pytest

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker
from schemas.events import INPUT_TOPICS, TICKETS, decode
from schemas.outputs import DEAD_LETTERS, FACTS, TicketFacts
from sources.publisher import Publisher
from sources.simulator import SimulatorConfig, simulate
from streams.config import DomainConfig
from streams.topics import default_specs, ensure_topics
from tests import oracle
from tests.domain.partitions import without_time
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
START_MS = 1_780_272_000_000
PARTITIONS = 4
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
    "streams/history.py": [("        event.handler,\n", "        event.handler,\n        event.mood,\n")],
}
"""What the next deskpulse changes: an attribute more."""

Record = tuple[str, bytes, bytes]


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


def publish(kafka: LocalKafka, records: Sequence[Record]) -> None:
    publisher = Publisher({"bootstrap.servers": kafka.bootstrap})
    publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))
    for of in INPUT_TOPICS:
        publisher.send(of, [{"key": key, "value": value} for topic, key, value in records if topic == of])
    publisher.flush()


def worker(kafka: LocalKafka, folder: Path, name: str, sources: Path = ROOT) -> LocalWorker:
    return LocalWorker(
        {
            "PYTHONPATH": str(sources),
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": str(PARTITIONS),
            "DESKPULSE_WORKER__ID": name,
            "DESKPULSE_WORKER__ROLES": "processor",
            "DESKPULSE_WORKER__HORIZON": "unlimited",
        },
        folder / f"{name}.log",
    )


def is_done(status: dict[str, Any]) -> bool:
    health = status["health"]
    # Not `inner_lag`: what one worker tells the customers of tickets, another may read.
    return bool(status["ready"]) and not health["input_lag"] and not health["commit_age_seconds"]


def owns(partitions: int) -> Any:
    return lambda status: is_done(status) and len(status["health"]["partitions"]) == partitions


def newest_facts(kafka: LocalKafka) -> dict[str, dict[str, Any]]:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": kafka.bootstrap, "group.id": "looks", "isolation.level": "read_committed"}
    )
    found: dict[str, dict[str, Any]] = {}
    try:
        for number in range(PARTITIONS):
            tp = confluent_kafka.TopicPartition(FACTS, number, 0)
            end = consumer.get_watermark_offsets(tp)[1]
            consumer.assign([tp])
            while consumer.position([tp])[0].offset < end:
                for message in consumer.consume(10_000, 0.2):
                    value = message.value()
                    if message.error() is None and value is not None:
                        record = msgspec.json.decode(value, type=TicketFacts)
                        found[record.ticket_id] = without_time(oracle.comparable(record))
    finally:
        consumer.close()
    return found


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
        with worker(kafka, tmp_path, "tomorrow", sources) as next_one:
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
