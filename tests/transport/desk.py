"""A desk of copying workers on a real broker: events go in, workers come and go, copies are read back."""

import itertools
import json
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, TopicPartition

from streams.topics import TopicSpec, ensure_topics
from tests.process_state import state_of
from tests.transport.copy_worker import Setup
from tests.waiting import wait_until

PARTITIONS = 4


class Desk:
    """Topics of its own, workers that copy two inputs to one output, and what came of it."""

    def __init__(self, broker: str, name: str, folder: Path, output_config: dict[str, str] | None = None) -> None:
        self.client = {"bootstrap.servers": broker}
        self.broker, self.name, self.folder = broker, name, folder
        self.inputs = [f"{name}-in-a", f"{name}-in-b"]
        self.output = f"{name}-out"
        self.changelog = f"{name}-counters"
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.sent: dict[int, list[bytes]] = defaultdict(list)
        self.numbers: Iterator[int] = itertools.count()
        ensure_topics(
            self.client,
            [
                *(TopicSpec(topic, PARTITIONS) for topic in self.inputs),
                TopicSpec(self.output, PARTITIONS, config=output_config or {}),
                TopicSpec(self.changelog, PARTITIONS, config={"cleanup.policy": "compact"}),
            ],
        )
        self.copies: dict[int, list[tuple[bytes, bytes]]] = {number: [] for number in range(PARTITIONS)}
        """(Running number, copied value) by partition."""
        self._reader = confluent_kafka.Consumer(
            {
                **self.client,
                "group.id": f"{name}-reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        self._reader.assign([TopicPartition(self.output, number, 0) for number in range(PARTITIONS)])
        self._producer = confluent_kafka.Producer({**self.client, "linger.ms": 5, "enable.idempotence": True})

    # -- events

    def send(self, count: int, value: bytes | None = None) -> None:
        """Send so many events, in turn to every input partition; ``value`` instead of their own."""
        self.produce(count, value)
        self.flush()

    def produce(self, count: int, value: bytes | None = None) -> None:
        """The same, without waiting for their delivery."""
        for number in itertools.islice(self.numbers, count):
            topic, partition = self.inputs[number % 2], number // 2 % PARTITIONS
            made = b"%s %d" % (topic.encode(), number) if value is None else value
            self._producer.produce(topic, made, partition=partition)
            self.sent[partition].append(made)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until all is delivered."""
        assert self._producer.flush(20) == 0

    # -- workers

    def start(self, worker: str, **options: Any) -> None:
        """Start a worker and wait until it has its partitions."""
        before = len(self.notes(worker, "assigned"))
        self.launch(worker, **options)
        wait_until(
            lambda: len(self.notes(worker, "assigned")) > before or self.workers[worker].poll() is not None,
            20,
            f"worker {worker} gets its partitions",
        )
        assert self.workers[worker].poll() is None, self.told_by(worker)

    def launch(self, worker: str, **options: Any) -> None:
        """Start a worker."""
        setup = Setup(
            self.broker,
            self.name,
            worker,
            options.pop("inputs", self.inputs),
            self.output,
            self.changelog,
            str(self.folder / "notes"),
            **options,
        )
        command = [sys.executable, "-m", "tests.transport.copy_worker", json.dumps(asdict(setup))]
        with (self.folder / f"{worker}.out").open("ab") as out:
            self.workers[worker] = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def stop(self, worker: str, by: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.workers[worker].send_signal(by)
        return self.ended(worker)

    def ended(self, worker: str, deadline_seconds: float = 20) -> int:
        """The exit code of a worker that ends."""
        return self.workers.pop(worker).wait(deadline_seconds)

    def state_of(self, worker: str) -> str:
        """The state of its process as the kernel calls it; T when it is stopped."""
        return state_of(Path(f"/proc/{self.workers[worker].pid}"))

    def told_by(self, worker: str) -> str:
        """What a worker wrote."""
        return (self.folder / f"{worker}.out").read_text()

    def notes(self, worker: str, what: str) -> list[dict[str, Any]]:
        """What a worker noted of its partitions."""
        path = self.folder / "notes"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [note for note in found if (note["worker"], note["what"]) == (worker, what)]

    def owned_by(self, worker: str) -> set[int]:
        """The partitions that a worker got last."""
        notes = self.notes(worker, "assigned")
        return set(notes[-1]["partitions"]) if notes else set()

    # -- copies

    def read(self) -> None:
        """Read what has come out since the last time, as every reader has to read: only what is committed."""
        for message in self._reader.consume(100_000, 0.1):
            error = message.error()
            if error is None:
                copy = message.key() or b"", message.value() or b""
                self.copies[message.partition() or 0].append(copy)
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error

    def copied(self) -> int:
        """How many copies can be read."""
        self.read()
        return sum(map(len, self.copies.values()))

    def await_all_copied(self, deadline_seconds: float = 20) -> None:
        """Wait until there are as many copies as events, or more."""
        wait_until(lambda: self.copied() >= self.total_sent, deadline_seconds, f"{self.total_sent} events are copied")

    @property
    def total_sent(self) -> int:
        return sum(map(len, self.sent.values()))

    def assert_each_copied_once_in_order(self) -> None:
        """Nothing lost, nothing doubled, the order of each input kept, every number given once and in order.

        To be called when all workers have ended: what they have left is there by then.
        """
        assert not self.workers
        self.read()
        for partition, copies in self.copies.items():
            sent = self.sent[partition]
            found, wanted = Counter(value for _, value in copies), Counter(sent)
            assert found == wanted, f"partition {partition}: lost {wanted - found}, doubled {found - wanted}"
            for topic in self.inputs:
                of_topic = [value for _, value in copies if value.startswith(topic.encode())]
                assert of_topic == [value for value in sent if value.startswith(topic.encode())], "another order"
            numbers = [int(number) for number, _ in copies]
            assert numbers == list(range(1, len(copies) + 1)), "numbers left out or given twice"

    def end(self) -> None:
        """End what still runs."""
        self._reader.close()
        for process in self.workers.values():
            process.kill()
            process.wait()
