"""The command in this process, and a broker whose topics have the contract's own names."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from deskpulse.cli import run
from deskpulse.local.kafka import LocalKafka
from tests.waiting import wait_until

PARTITIONS = 4


@dataclass(frozen=True)
class Ran:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document of ``--format json``."""
        return json.loads(self.out)


Deskpulse = Callable[..., Ran]


@pytest.fixture(autouse=True)
def no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("DESKPULSE_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def deskpulse(capfd: pytest.CaptureFixture[str]) -> Deskpulse:
    def command(*arguments: object) -> Ran:
        capfd.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capfd.readouterr()
        return Ran(code, said.out, said.err)

    return command


@pytest.fixture(scope="package")
def desk_broker() -> Iterator[str]:
    """A broker of our own: on the shared one, other tests' records would be in the topics of the contract."""
    with LocalKafka() as kafka:
        yield kafka.bootstrap


@pytest.fixture
def kafka(desk_broker: str, monkeypatch: pytest.MonkeyPatch, deskpulse: Deskpulse) -> str:
    """The settings say where the broker is, and it has the topics."""
    monkeypatch.setenv("DESKPULSE_KAFKA__BOOTSTRAP", desk_broker)
    monkeypatch.setenv("DESKPULSE_KAFKA__PARTITIONS", str(PARTITIONS))
    assert deskpulse("topics", "create").code == 0
    return desk_broker


@dataclass(frozen=True)
class Tail:
    """Reads what comes into a topic from now on."""

    consumer: Consumer
    topic: str

    def read(self, number: int, deadline_seconds: float = 20) -> list[Message]:
        """The next ``number`` records."""
        found = self.consumer.consume(number, deadline_seconds)
        assert len(found) == number, f"{len(found)} of {number} records in {self.topic} within {deadline_seconds} s"
        assert all(message.error() is None for message in found)
        return found


def end_of(consumer: Consumer, topic: str, partition: int) -> int:
    def offset() -> tuple[int] | None:
        try:
            return (consumer.get_watermark_offsets(TopicPartition(topic, partition))[1],)
        except KafkaException as error:
            # The leader of a topic that was made just now may not know it yet.
            if error.args[0].code() in (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE):
                return None
            raise

    return wait_until(offset, 20, f"partition {partition} of {topic} can be read")[0]


@pytest.fixture
def tail(kafka: str) -> Iterator[Callable[[str], Tail]]:
    opened: list[Consumer] = []

    def of(topic: str) -> Tail:
        consumer = Consumer({"bootstrap.servers": kafka, "group.id": "tail", "enable.auto.commit": False})
        consumer.assign(
            [TopicPartition(topic, number, end_of(consumer, topic, number)) for number in range(PARTITIONS)]
        )
        opened.append(consumer)
        return Tail(consumer, topic)

    yield of
    for consumer in opened:
        consumer.close()
