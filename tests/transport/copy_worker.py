"""A worker as small as can be: copies events with a running number per partition, by the protocol of streams.commit.

Its state is one counter per partition, kept in a changelog. Like ``deskpulse worker`` it replaces itself on a failure
that a restored state gets over. ``python -m tests.transport.copy_worker '{json}'``.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
from faust.types import TP
from mode import Service

import streams.transport.consumer
from deskpulse.lives import Lives, Worker
from streams.commit import CommitError, Cut, TransactionalCommitter
from streams.published import Output
from streams.restore import Records, read_to_end
from streams.transport import App, Batch, fail

COMMIT_SECONDS = 0.1


@dataclass(frozen=True)
class Setup:
    """What a worker is told on its command line."""

    brokers: str
    group: str
    worker: str
    inputs: list[str]
    output: str
    changelog: str
    log: str
    fail_on: str = ""
    """A record with this value makes the agent fail."""
    enlarge_to: int = 0
    """Values are copied with so many bytes in front."""
    revoke_seconds: float = 10.0
    struck_at: str = ""
    """A method of the producer: the worker sends itself ``struck_by`` right before it is called for the third time."""
    struck_by: str = "SIGKILL"
    stalled: str = ""
    """What reads nothing more after some batches, without an error, once: the "fetcher" of Faust, or the "client"."""


class StruckProducer(confluent_kafka.Producer):
    """Ends or halts its process between two steps of the commit protocol, once in the process's lives."""

    def __init__(self, config: dict[str, Any], setup: Setup) -> None:
        super().__init__(config)
        self._setup = setup
        self._calls = 0
        self._struck = Path(f"{setup.log}-{setup.worker}-{setup.struck_at}")

    def _at(self, step: str) -> None:
        self._calls += step == self._setup.struck_at
        if self._calls == 3 and not self._struck.exists():
            self._struck.touch()
            self.flush(10)  # The coordinator and the brokers know of the transaction.
            # This thread, not just any of the process: else it would go on until another one is scheduled and takes it.
            signal.pthread_kill(threading.get_ident(), signal.Signals[self._setup.struck_by])

    def begin_transaction(self) -> None:
        self._at("begin_transaction")
        super().begin_transaction()

    def produce(self, *args: Any, **options: Any) -> None:
        self._at("produce")
        super().produce(*args, **options)

    def send_offsets_to_transaction(self, *args: Any) -> None:
        self._at("send_offsets_to_transaction")
        super().send_offsets_to_transaction(*args)

    def commit_transaction(self, *args: Any) -> None:
        self._at("commit_transaction")
        super().commit_transaction(*args)
        self._at("committed")


class Copies:
    """The state of the partitions that are owned, and what the next transaction will hold."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.app = App(
            setup.group,
            brokers=setup.brokers,
            consumer_client={"session.timeout.ms": 2000, "heartbeat.interval.ms": 300},
            revoke_seconds=setup.revoke_seconds,
            web_enabled=False,
            datadir=str(Path(setup.log).parent / setup.worker),
        )
        self.committer = TransactionalCommitter(
            {"bootstrap.servers": setup.brokers},
            f"{setup.group}-{setup.worker}",
            transaction_timeout_seconds=2.0,
            make_producer=lambda config: StruckProducer(config, setup),
        )
        self.counters: dict[int, int] = {}
        self.offsets: dict[tuple[str, int], int] = {}
        self.outputs: dict[int, list[Output]] = {}
        self.lock = asyncio.Lock()
        self.log_file = Path(setup.log).open("a", buffering=1)  # noqa: SIM115 (open as long as the worker)

    def note(self, what: str, **more: Any) -> None:
        self.log_file.write(json.dumps({"worker": self.setup.worker, "what": what, **more}) + "\n")

    def apply(self, batch: Batch) -> None:
        assert self.offsets.get(batch.tp, self.app.consumer.start_offset(batch.tp)) == batch.start, "a batch is missing"
        partition = batch.tp.partition
        number = self.counters[partition]
        outputs = self.outputs.setdefault(partition, [])
        for record in batch:
            value = record.value() or b""
            if value == self.setup.fail_on.encode():
                raise ValueError(f"told to fail on {value!r}")
            number += 1
            outputs.append((b"%d" % number, os.urandom(self.setup.enlarge_to) + value))
        self.counters[partition] = number
        self.offsets[batch.tp] = batch.end

    def maybe_stall(self) -> None:
        mark = Path(f"{self.setup.log}-stalled")
        if not self.setup.stalled or mark.exists():
            return
        mark.touch()
        if self.setup.stalled == "fetcher":
            for task in self.app._fetcher._futures:
                task.cancel()
        else:
            reader = self.app.consumer._reader
            reader._asked.append((lambda: reader._consumer.pause(reader._consumer.assignment()), asyncio.Future()))

    def cut(self) -> Cut:
        outputs, self.outputs = self.outputs, {}
        records = [(self.setup.output, partition, made) for partition, made in outputs.items()]
        records += [
            (self.setup.changelog, partition, [(b"counter", b"%d" % self.counters[partition])]) for partition in outputs
        ]
        return Cut(dict(self.offsets), records)

    async def commit(self, deadline_seconds: float = 10.0) -> None:
        async with self.lock:
            if self.outputs:
                cut, metadata = self.cut(), self.app.consumer.group_metadata()
                await self.committer.commit(cut, metadata, deadline_seconds)

    # -- the checkpoint

    async def assigned(self, partitions: set[TP]) -> None:
        for number in {tp.partition for tp in partitions}:
            read: list[int] = []

            def keep(records: Records, read: list[int] = read) -> None:
                read.extend(int(value) for _, value in records if value is not None)

            await read_to_end({"bootstrap.servers": self.setup.brokers}, {TP(self.setup.changelog, number): (0, keep)})
            self.counters[number] = max(read, default=0)
        self.note("assigned", partitions=sorted({tp.partition for tp in partitions}))

    async def revoked(self, partitions: set[TP], deadline_seconds: float) -> None:
        await self.commit(deadline_seconds)
        self.drop()
        self.note("revoked", partitions=sorted({tp.partition for tp in partitions}))

    async def lost(self, partitions: set[TP]) -> None:
        self.drop()
        self.note("lost", partitions=sorted({tp.partition for tp in partitions}))

    def drop(self) -> None:
        self.counters.clear()
        self.offsets.clear()
        self.outputs.clear()


class Committing(Service):
    """Starts before the app and stops after it, so that the last revoke can commit."""

    def __init__(self, app: App, committer: TransactionalCommitter) -> None:
        self.app, self.committer = app, committer
        super().__init__()

    async def on_start(self) -> None:
        try:
            await self.committer.start(20.0)
        except CommitError as error:
            fail(self.app, error)

    async def on_stop(self) -> None:
        await self.committer.close()


def worker(setup: Setup) -> Worker:
    copies = Copies(setup)
    app = copies.app
    if setup.stalled:
        streams.transport.consumer.LOOK_SECONDS = 0.3
    app.checkpoint = copies
    app.committer = copies.committer

    @app.agent(app.batches(*setup.inputs))
    async def copy(stream: Any) -> None:
        async for batch in stream:
            copies.apply(batch)
            copies.maybe_stall()

    @app.task  # type: ignore[untyped-decorator]
    async def commit_often() -> None:
        while not app.should_stop:
            await app.sleep(COMMIT_SECONDS)
            try:
                await copies.commit()
            except Exception as error:
                fail(app, error)

    lives = Lives.continued()
    lives.begin()
    lives.has([app])
    lives.has_its_name_alone()  # The tests see to that.
    return Worker(lives, app, Committing(app, copies.committer), loglevel="INFO", redirect_stdouts=False)


if __name__ == "__main__":
    worker(Setup(**json.loads(sys.argv[1]))).execute_from_commandline()
