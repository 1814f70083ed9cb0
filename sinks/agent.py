"""The sink's shell: collects records of the outputs and the inputs, inserts them, commits their offsets after it.

While ClickHouse does not take rows the sink waits, longer each time, and reads no further: live figures and the
processors do not notice. A repeated insert replaces itself, so nothing needs to be known of what was inserted before
a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, cast

from clickhouse_connect.driver.client import Client
from faust.types import TP
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from sinks.clickhouse import ClickHouseSink, InsertFailedError
from streams.commit import Cut, TransactionalCommitter
from streams.pseudonyms import Pseudonyms
from streams.transport import App, Batch, Consumer

_LOG: Final = logging.getLogger(__name__)
_FLUSH_SECONDS: Final = 1.0
"""ClickHouse wants few, large inserts; this is the most that a row waits for others."""
_MOST_ROWS: Final = 20_000
"""Rows in hand beyond which they are inserted at once and no more are read."""


class SinkAgent:
    """Writes into ClickHouse; the ``Checkpoint`` of its transport."""

    def __init__(
        self,
        app: App,
        committer: TransactionalCommitter,
        client: Client,
        database: str,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        """``pseudonyms``: replaces persons' ids in the archive."""
        self.records = 0
        """Records put into ClickHouse since the sink began."""
        self._app = app
        self._committer = committer
        self._sink = ClickHouseSink(client, database, pseudonyms)
        self._waiting: list[Batch] = []
        self._rows = 0
        self._room = asyncio.Condition()
        self._full = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._inserted: dict[TP, int] = {}
        self._drops = 0
        """How often all in hand was let go: what a flush took before that is the next owner's to commit."""

    @property
    def _consumer(self) -> Consumer:
        return self._app.consumer

    async def take(self, batch: Batch) -> None:
        """Take a batch to be inserted; returns when there is room for another."""
        self._waiting.append(batch)
        self._rows += len(batch)
        if self._rows >= _MOST_ROWS:
            self._full.set()
        async with self._room:
            await self._room.wait_for(lambda: self._rows < _MOST_ROWS)

    async def run(self) -> None:
        """Insert what comes, until the app stops. An error of it has to end the worker."""
        while not self._app.should_stop:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), _FLUSH_SECONDS)
            self._full.clear()
            await self.flush()

    async def flush(self, deadline_seconds: float = 30.0) -> None:
        """Insert what is in hand, however long it takes, then commit its offsets."""
        async with self._flushing:
            batches, self._waiting = self._waiting, []
            if not batches:
                return
            drops, metadata = self._drops, self._consumer.group_metadata()
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(InsertFailedError),
                wait=wait_exponential_jitter(initial=0.2, max=15.0),
                before_sleep=_warn,
            ):
                with attempt:
                    await asyncio.to_thread(self._sink.insert_all, [(*batch.tp, cast(Any, batch)) for batch in batches])
            if drops != self._drops:
                return
            offsets = {batch.tp: batch.end for batch in batches}
            await self._committer.commit(
                Cut({(tp.topic, tp.partition): end for tp, end in offsets.items()}),
                metadata,
                deadline_seconds,
            )
            if drops != self._drops:
                return
            self._inserted.update(offsets)
            records = sum(len(batch) for batch in batches)
            self.records += records
            self._rows -= records
            async with self._room:
                self._room.notify_all()

    def lag(self) -> int:
        """Records that are not in ClickHouse yet; at least 1 for a partition not known to be read to its end."""
        consumer = self._consumer
        lag = self._rows
        for tp in consumer.assignment():
            if not consumer.at_end(tp):
                lag += max(1, consumer.highwater(tp) - self._inserted.get(tp, consumer.start_offset(tp)))
        return lag

    def not_ready(self) -> Sequence[str]:
        """Why the sink is not ready; nothing when it is."""
        return [] if self._consumer.assignment() else ["the sink has no partitions yet"]

    # -- partitions come and go (``streams.commit.Checkpoint``)

    async def assigned(self, partitions: set[TP]) -> None:
        """Nothing to restore: offsets are all of the state."""
        await self._drop()

    async def revoked(self, partitions: set[TP], deadline_seconds: float) -> None:
        """Insert and commit what is in hand, if that takes no longer than allowed: else the next owner does it."""
        try:
            async with asyncio.timeout(deadline_seconds / 2):
                await self.flush(deadline_seconds / 2)
        except TimeoutError:
            _LOG.warning("ClickHouse did not take %d rows in time; they will be read again", self._rows)
        await self._drop()

    async def lost(self, partitions: set[TP]) -> None:
        """Let go."""
        await self._drop()

    async def _drop(self) -> None:
        self._drops += 1
        self._waiting = []
        self._rows = 0
        self._inserted = {}
        async with self._room:
            self._room.notify_all()


def _warn(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    _LOG.warning("attempt %d: %s; again in %.1f s", state.attempt_number, error, state.upcoming_sleep)
