"""A sink without Kafka: what it is given, and what it has committed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

from clickhouse_connect.driver.client import Client
from faust.types import TP
from tenacity import RetryCallState

from schemas.outputs import DEAD_LETTERS
from sinks.agent import SinkAgent
from sinks.clickhouse import ClickHouseTarget, connect
from sinks.migrations import migrate
from streams.commit import Annotated, Cut
from tests.clickhouse.records import Record


class Batch(list[Record]):
    """A batch as the transport hands it over."""

    def __init__(self, topic: str, partition: int, records: Sequence[Record]) -> None:
        super().__init__(records)
        self.tp = TP(topic, partition)
        self.end = records[-1].offset() + 1


class Committed:
    """Stands for the committer: what was committed, in its order."""

    def __init__(self) -> None:
        self.offsets: dict[tuple[str, int], int] = {}
        self.dead_letters: list[Annotated] = []
        self.commits = 0

    async def commit(self, cut: Cut, metadata: object, deadline_seconds: float) -> None:
        assert deadline_seconds > 0
        assert all(letter.topic == DEAD_LETTERS for letter in cut.annotated)
        self.offsets.update(cut.offsets)
        self.dead_letters += cut.annotated
        self.commits += 1


class Consumer:
    """Stands for the consumer: it owns what it is told to."""

    def __init__(self, owned: set[TP]) -> None:
        self.owned = owned

    def assignment(self) -> set[TP]:
        return self.owned

    def at_end(self, tp: TP) -> bool:
        return True

    def group_metadata(self) -> object:
        return object()


def soon(state: RetryCallState) -> float:
    """A wait for tests."""
    return 0.02 * min(state.attempt_number, 5)


class Sink:
    """A sink that runs until the block ends; ``connect`` and the waits can be others."""

    def __init__(self, target: ClickHouseTarget, connect: Callable[[], Client] | None = None) -> None:
        self.target = target
        self.committed = Committed()
        self.owned: set[TP] = set()
        self.app = SimpleNamespace(consumer=Consumer(self.owned), should_stop=False)
        self.agent = SinkAgent(
            self.app,  # type: ignore[arg-type]
            self.committed,  # type: ignore[arg-type]
            connect or self.connected,
            target.database,
            wait=soon,
        )
        self._tasks: list[asyncio.Task[Any]] = []
        self._clients: list[Client] = []

    def connected(self) -> Client:
        client = connect(self.target)
        self._clients.append(client)
        migrate(client, self.target.database)
        return client

    async def __aenter__(self) -> Sink:
        self._tasks.append(asyncio.create_task(self.agent.run()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.app.should_stop = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The engine in the process lives as long as a client of it, and there can't be one on another folder meanwhile.
        for client in self._clients:
            client.close()

    def give(self, *batches: Batch) -> asyncio.Task[None]:
        """Hand over batches, one after the other, as far as they are taken."""

        async def given() -> None:
            for batch in batches:
                self.owned.add(batch.tp)
                await self.agent.take(batch)  # type: ignore[arg-type]

        self._tasks.append(asyncio.create_task(given()))
        return self._tasks[-1]

    async def until(self, condition: Callable[[], bool], what: str, deadline_seconds: float = 20) -> None:
        """Let it go on until something is so."""
        try:
            async with asyncio.timeout(deadline_seconds):
                while not condition():
                    self.check()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"not within {deadline_seconds:g} s: {what}; {self.agent.told()}") from None

    def check(self) -> None:
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.result()

    async def until_committed(self, *batches: Batch) -> None:
        ends: dict[tuple[str, int], int] = {}
        for batch in batches:
            ends[batch.tp.topic, batch.tp.partition] = batch.end
        await self.until(lambda: self.committed.offsets == ends, f"offsets {ends}, not {self.committed.offsets}")
