"""A worker as small as can be: copies events with a running number per partition, by the protocol of streams.commit.

Its state is one counter per partition, kept in a changelog. ``python -m tests.transport.copy_worker '{json}'``.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
from faust.types import TP
from mode import Service

from streams.commit import Cut, Output, TransactionalCommitter
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


class Copies:
    """The state of the partitions that are owned, and what the next transaction will hold."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.app = App(
            setup.group,
            brokers=setup.brokers,
            consumer_client={"session.timeout.ms": 2000, "heartbeat.interval.ms": 300},
            revoke_seconds=10.0,
            web_enabled=False,
            datadir=str(Path(setup.log).parent / setup.worker),
        )
        self.committer = TransactionalCommitter(
            {"bootstrap.servers": setup.brokers}, f"{setup.group}-{setup.worker}", transaction_timeout_seconds=2.0
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
            outputs.append({"key": b"%d" % number, "value": os.urandom(self.setup.enlarge_to) + value})
        self.counters[partition] = number
        self.offsets[batch.tp] = batch.end

    def cut(self) -> Cut:
        outputs, self.outputs = self.outputs, {}
        records = [(self.setup.output, partition, made) for partition, made in outputs.items()]
        records += [
            (self.setup.changelog, partition, [Output(key=b"counter", value=b"%d" % self.counters[partition])])
            for partition in outputs
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

    def __init__(self, committer: TransactionalCommitter) -> None:
        self.committer = committer
        super().__init__()

    async def on_start(self) -> None:
        await self.committer.start(20.0)

    async def on_stop(self) -> None:
        await self.committer.close()


class Worker(faust.Worker):
    """Without the second that Faust sleeps at its end."""

    async def _sentinel_task(self) -> None:
        return


def worker(setup: Setup) -> faust.Worker:
    copies = Copies(setup)
    app = copies.app
    app.checkpoint = copies
    app.committer = copies.committer

    @app.agent(app.batches(*setup.inputs))
    async def copy(stream: Any) -> None:
        async for batch in stream:
            copies.apply(batch)

    @app.task  # type: ignore[untyped-decorator]
    async def commit_often() -> None:
        while not app.should_stop:
            await app.sleep(COMMIT_SECONDS)
            try:
                await copies.commit()
            except Exception as error:
                fail(app, error)

    return Worker(app, Committing(copies.committer), loglevel="INFO", redirect_stdouts=False)


if __name__ == "__main__":
    worker(Setup(**json.loads(sys.argv[1]))).execute_from_commandline()
