"""Dead letters on a broker of their own, whose topics have the contract's names."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.outputs import DEAD_LETTER_HEADERS, DEAD_LETTERS
from streams.topics import default_specs, ensure_topics
from tests.cli.conftest import (  # noqa: F401 - fixtures
    PARTITIONS,
    Deskpulse,
    Ran,
    desk_broker,
    deskpulse,
    no_settings_of_this_machine,
    tail,
)

HOUR_MS = 3_600_000
RECENTLY = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
"""Within the horizon of a worker that reads it."""
_HOURS = itertools.count(2)


def event(ticket: str = "T1", number: int = 1, **fields: Any) -> bytes:
    """A creation, with other values where they are given; None takes a field away."""
    whole = {
        "type": "ticket.created",
        "id": f"{ticket}-{number}",
        "ticket_id": ticket,
        "at": RECENTLY,
        "customer_id": "C-SECRET",
        "channel": "email",
        "priority": "normal",
    } | fields
    return json.dumps({name: held for name, held in whole.items() if held is not None}).encode()


@dataclass
class Letters:
    """Writes dead letters of one test: refused in an hour of the past that is the test's own."""

    producer: Producer
    hour_ms: int
    ids: list[str] = field(default_factory=list)

    def refuse(
        self,
        value: bytes | None,
        key: bytes | None = b"T1",
        *,
        reason: str = "bad_record: ticket.created: `priority` is missing; expected one of high, low, normal, urgent",
        origin: str = "support.tickets[1]@7",
        headers: tuple[tuple[str, bytes | None], ...] = (),
        minute: int = 0,
        partition: int = 1,
    ) -> str:
        """Write one, and return its PARTITION@OFFSET."""
        topic, _, place = origin.partition("[")
        of_partition, _, offset = place.partition("]@")
        told = (reason, topic, of_partition or "-1", offset or "12", str(self.hour_ms - HOUR_MS))
        pairs: list[tuple[str, str | bytes | None]] = [
            *zip(DEAD_LETTER_HEADERS, (one.encode() for one in told), strict=True),
            *headers,
        ]
        return self.write(value, key, pairs, minute, partition)

    def write(
        self,
        value: bytes | None,
        key: bytes | None,
        headers: list[tuple[str, str | bytes | None]],
        minute: int = 0,
        partition: int = 1,
    ) -> str:
        written: list[str] = []
        self.producer.produce(
            DEAD_LETTERS,
            value,
            key,
            partition,
            timestamp=self.hour_ms + 60_000 * minute,
            headers=headers,
            on_delivery=lambda _, message: written.append(f"{message.partition()}@{message.offset()}"),
        )
        assert self.producer.flush(20) == 0
        self.ids.append(written[0])
        return written[0]

    def at(self, minute: int) -> str:
        """A minute of the hour, as an option."""
        return datetime.fromtimestamp((self.hour_ms + 60_000 * minute) / 1000, UTC).isoformat()

    @property
    def hour(self) -> tuple[str, ...]:
        """The options that choose this test's letters."""
        return "--since", self.at(0), "--until", self.at(60)


@pytest.fixture(scope="package")
def topics(desk_broker: str) -> str:  # noqa: F811
    ensure_topics({"bootstrap.servers": desk_broker}, default_specs(PARTITIONS))
    return desk_broker


@pytest.fixture
def kafka(topics: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings say where the broker is, and it has the topics."""
    monkeypatch.setenv("DESKPULSE_KAFKA__BOOTSTRAP", topics)
    return topics


@pytest.fixture
def letters(kafka: str) -> Letters:
    now_ms = time.time_ns() // 1_000_000
    hour_ms = now_ms - now_ms % HOUR_MS - next(_HOURS) * HOUR_MS
    return Letters(Producer({"bootstrap.servers": kafka, "linger.ms": 0}), hour_ms)


@pytest.fixture
def dlq(deskpulse: Deskpulse) -> Callable[..., Ran]:  # noqa: F811
    """``deskpulse dlq ... --format json``."""

    def command(*arguments: object) -> Ran:
        return deskpulse("dlq", *arguments, "--format", "json")

    return command
