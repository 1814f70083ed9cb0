"""A broker with the contract's topics, and made-up events in them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from bench.running import BenchError, Worker, environment, pinned, wait_until
from deskpulse.local.kafka import LocalKafka
from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE
from schemas.outputs import CHANGELOGS, INNER_TOPICS, OUTPUT_TOPICS
from streams.clients import client_config
from streams.topics import TopicSpec, default_specs, ensure_topics

PARTITIONS: Final = 4
EVENTS_PER_TICKET: Final = 8
START: Final = "2026-03-02"
"""When the made-up tickets begin to come in, a Monday; the event clock does not mind what day it is today."""
CACHE: Final = Path(tempfile.gettempdir()) / "deskpulse-bench"

Offsets = dict[tuple[str, int], int]


@dataclass(frozen=True)
class Desk:
    """The traffic of a desk whose tickets come in within some days; their stories go on until each is over."""

    events: int
    days: float

    @property
    def tickets(self) -> int:
        """How many tickets come in."""
        return self.events // EVENTS_PER_TICKET

    @property
    def told(self) -> str:
        """For people."""
        return "1 hour" if self.days < 0.5 else "1 day" if self.days == 1 else f"{self.days:g} days"

    def file(self) -> Path:
        """The events as lines, made up once and then kept in the system's temporary folder."""
        CACHE.mkdir(exist_ok=True)
        path = CACHE / f"{self.tickets}-tickets-{self.days:.4f}-days-{self.events}-events-{START}.jsonl"
        if not path.exists():
            options = ["--tickets", self.tickets, "--days", self.days, "--events", self.events, "--start", START]
            part = path.with_suffix(".part")
            _deskpulse({}, "simulate", *map(str, options), "--complete", "--to-file", str(part))
            part.rename(path)
        return path


class Stage:
    """A broker of its own in a temporary folder. Make it with :func:`stage`."""

    def __init__(self, broker: LocalKafka, folder: Path) -> None:
        self.bootstrap = broker.bootstrap
        self.folder = folder
        self.client = {"bootstrap.servers": broker.bootstrap}
        self._admin = AdminClient(client_config(self.client))

    def settings(self, group: str, roles: str = "processor", **more: object) -> dict[str, object]:
        """Settings of a worker on this broker; ``more`` are those of its section ``worker``."""
        given = {f"worker.{name}": value for name, value in more.items()}
        return {
            "kafka.bootstrap": self.bootstrap,
            "kafka.partitions": PARTITIONS,
            "kafka.group": group,
            "worker.id": group,
            "worker.roles": roles,
            **given,
        }

    def make_topics(self, *, inputs: bool) -> None:
        """Make the outputs and the changelog anew and empty, with ``inputs`` the inputs too."""
        names = {*OUTPUT_TOPICS, *INNER_TOPICS, *CHANGELOGS, *(INPUT_TOPICS if inputs else ())}
        there = sorted(names & self._names())
        if there:
            for deleted in self._admin.delete_topics(there).values():
                deleted.result(30)
            wait_until(lambda: not names & self._names(), 30, "the topics are deleted")
        ensure_topics(self.client, default_specs(PARTITIONS))

    def publish(self, desk: Desk) -> int:
        """Publish a desk's events with ``deskpulse publish`` and return how many there are."""
        said = _deskpulse({"kafka.bootstrap": self.bootstrap}, "publish", str(desk.file()), "--format", "json")
        published: int = said["published"]
        if said["bad"] or said["skipped"]:
            raise BenchError(f"the simulator made bad events: {said}")
        return published

    def publish_plainly(self, desk: Desk, events: int, prefix: str) -> int:
        """Publish a desk's first events, not compressed, to topics of their own; return how many there are.

        For stock Faust, whose driver reads lz4 only with one library more.
        """
        ensure_topics(self.client, [TopicSpec(prefix + topic, PARTITIONS) for topic in INPUT_TOPICS])
        producer = Producer({**self.client, "partitioner": "murmur2_random", "linger.ms": 20})
        with desk.file().open("rb") as lines:
            for line in islice(lines, events):
                event = json.loads(line)
                topic = prefix + TOPIC_OF_TYPE[event["type"]]
                producer.produce(topic, line.rstrip(b"\n"), event["ticket_id"])
        if left := producer.flush(60):
            raise BenchError(f"{left} events did not reach the broker")
        return min(events, desk.events)

    def ends(self, topics: Sequence[str]) -> Offsets:
        """The end offset of every partition."""
        consumer = Consumer({**self.client, "group.id": "bench"})
        try:
            return {
                (topic, number): consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]
                for topic in topics
                for number in range(PARTITIONS)
            }
        finally:
            consumer.close()

    def await_committed(self, running: Worker, group: str, ends: Offsets, deadline_seconds: float) -> None:
        """Wait until the group of a worker has committed these offsets."""
        asked = [TopicPartition(topic, number) for (topic, number), end in ends.items() if end]
        # What an open transaction holds does not count as committed, and is not waited for.
        consumer = Consumer({**self.client, "group.id": group, "isolation.level": "read_uncommitted"})

        def done() -> bool:
            running.check()
            found = consumer.committed(asked, 10)
            return all(at.offset >= ends[at.topic, at.partition] for at in found)

        try:
            wait_until(done, deadline_seconds, f"{group} has committed everything", 0.02)
        finally:
            consumer.close()

    def records(self, topics: Sequence[str]) -> dict[str, int]:
        """How many committed records each topic holds; the marks of transactions, which take offsets, don't count."""
        ends = self.ends(topics)
        consumer = Consumer(
            {
                **self.client,
                "group.id": "bench",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            }
        )
        consumer.assign([TopicPartition(topic, number, 0) for topic, number in ends])
        counted: Counter[str] = Counter(dict.fromkeys(topics, 0))
        left = len(ends)
        while left:
            for message in consumer.consume(20_000, 1.0):
                error = message.error()
                if error is None:
                    counted[str(message.topic())] += 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    left -= 1
                else:
                    raise KafkaException(error)
        consumer.close()
        return dict(counted)

    def _names(self) -> set[str]:
        return set(self._admin.list_topics(timeout=10).topics)


@contextmanager
def stage() -> Iterator[Stage]:
    """A broker, started for this and stopped after it, and a folder for what else there is."""
    with tempfile.TemporaryDirectory(prefix="deskpulse-bench-") as folder, LocalKafka() as broker:
        yield Stage(broker, Path(folder))


def _deskpulse(settings: Mapping[str, object], *arguments: str) -> Any:
    command = pinned(None, "-m", "deskpulse", *arguments)
    ran = subprocess.run(command, env=environment(settings), cwd=CACHE, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise BenchError(f"deskpulse {' '.join(arguments)} ended with code {ran.returncode}: {ran.stderr[-2000:]}")
    return json.loads(ran.stdout) if "json" in arguments else None
