"""Processors alone on a broker of their own: what is sent to them, and what they say in the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker
from schemas.events import INPUT_TOPICS
from schemas.outputs import DEAD_LETTERS, FACTS, TicketFacts
from sources.publisher import Publisher
from tests import oracle
from tests.domain.partitions import without_time

PARTITIONS = 4
Record = tuple[str, bytes, bytes]
"""Topic, key, value."""


def publish(kafka: LocalKafka, records: Sequence[Record]) -> None:
    publisher = Publisher({"bootstrap.servers": kafka.bootstrap})
    publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))
    for of in INPUT_TOPICS:
        publisher.send(of, [{"key": key, "value": value} for topic, key, value in records if topic == of])
    publisher.flush()


def worker(kafka: LocalKafka, folder: Path, name: str, **settings: str) -> LocalWorker:
    """``settings``: more variables of its environment."""
    return LocalWorker(
        {
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": str(PARTITIONS),
            "DESKPULSE_WORKER__ID": name,
            "DESKPULSE_WORKER__ROLES": "processor",
            "DESKPULSE_WORKER__HORIZON": "unlimited",
            **settings,
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
