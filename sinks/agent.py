"""The sink's shell: collects records of the outputs and the inputs, inserts them, commits their offsets after it.

While ClickHouse does not take rows the sink waits, longer each time, and reads no further: live figures and the
processors do not notice. A repeated insert replaces itself, so nothing needs to be known of what was inserted before
a crash.

1. Collect batches, up to a number of records and of bytes; beyond that no more are taken, so no more are read.
2. Insert all that is in hand, again and again until ClickHouse has it (``sinks.attempts``); what came meanwhile goes
   with it. Records that ClickHouse can't take are found out (``sinks.isolation``).
3. Commit in one transaction: the offsets after what was inserted, and the records that can't be, as dead letters.
4. Let go of it; there is room again.

Who loses its partitions drops what is in hand, also in the middle of 2. An insert that still runs then is harmless.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, cast

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error
from faust.types import TP

from sinks.attempts import Attempts, Wait, growing_wait_seconds
from sinks.clickhouse import ClickHouseSink, InsertFailedError, UnreachableError
from sinks.isolation import Refused, Writer
from sinks.migrations import MigrationRefusedError
from sinks.rows import NewerOutputError
from streams.clients import Deadline
from streams.commit import Cut, TransactionalCommitter
from streams.deadlines import COMMIT_SECONDS
from streams.failures import CommitExpelledError
from streams.pseudonyms import Pseudonyms
from streams.transport import App, Batch, Consumer

_LOG: Final = logging.getLogger(__name__)
_FLUSH_SECONDS: Final = 1.0
"""ClickHouse wants few, large inserts; this is the most that a row waits for others."""
_MOST_ROWS: Final = 20_000
"""Records in hand beyond which they are inserted at once and no more are read; one batch may go beyond."""
_MOST_BYTES: Final = 16 << 20
"""The same, of their values."""
_IN_AN_OUTAGE_SECONDS: Final = 5.0
"""What a rebalance or the end waits for a ClickHouse that fails already; the next owner reads the rows again."""
_WAITED_FOR: Final = (
    InsertFailedError, UnreachableError, MigrationRefusedError, NewerOutputError, Error, OSError,
)  # fmt: skip


class SinkAgent:
    """Writes into ClickHouse; the ``Checkpoint`` of its transport."""

    def __init__(
        self,
        app: App,
        committer: TransactionalCommitter,
        connect: Callable[[], Client],
        database: str,
        pseudonyms: Pseudonyms | None = None,
        wait: Wait = growing_wait_seconds,
    ) -> None:
        """``connect`` opens a client and sees to the tables; it is called in a thread, again until it works.

        ``pseudonyms``: replaces persons' ids in the archive.
        """
        self.records = 0
        """Records put into ClickHouse, or into the dead letters, since the sink began."""
        self.dead_letters: Counter[str] = Counter()
        """Records that can't get into ClickHouse, by reason code."""
        self.attempts = Attempts(_WAITED_FOR, wait)
        self._app = app
        self._committer = committer
        self._connect = connect
        self._database = database
        self._pseudonyms = pseudonyms
        self._writer: Writer | None = None
        self._hand: list[Batch] = []
        self._rows = 0
        self._bytes = 0
        self._room = asyncio.Condition()
        self._full = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._inserting: asyncio.Task[tuple[list[Batch], list[Refused]]] | None = None
        self._committing: asyncio.Task[None] | None = None
        self._inserted: dict[TP, int] = {}

    @property
    def _consumer(self) -> Consumer:
        return self._app.consumer

    # -- 1. collect

    async def take(self, batch: Batch) -> None:
        """Take a batch to be inserted; returns when there is room for another."""
        self._hand.append(batch)
        self._rows += len(batch)
        self._bytes += _bytes_of(batch)
        if not self._has_room():
            self._full.set()
        async with self._room:
            await self._room.wait_for(self._has_room)

    def _has_room(self) -> bool:
        return self._rows < _MOST_ROWS and self._bytes < _MOST_BYTES

    async def run(self) -> None:
        """Insert what comes, until the app stops. An error of it has to end the worker; an outage is none."""
        async with self._flushing:
            await self.attempts.until_it_works(self._opened)
        while not self._app.should_stop:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._full.wait(), _FLUSH_SECONDS)
            self._full.clear()
            await self.flush()

    async def flush(self, deadline_seconds: float = COMMIT_SECONDS) -> None:
        """Insert what is in hand, however long it takes, then commit its offsets, which has a deadline."""
        if not self._hand:
            return
        async with self._flushing:
            if not self._hand:
                return
            metadata = self._consumer.group_metadata()
            inserting = self._inserting = asyncio.create_task(self._insert())
            try:
                await asyncio.wait({inserting})
            finally:
                inserting.cancel()
            if self._inserting is not inserting or inserting.cancelled():
                return  # Dropped meanwhile: the partitions may be another's already.
            batches, refused = inserting.result()
            # Its result holds the batches, and would until the next insert.
            self._inserting = None
            committing = asyncio.create_task(self._commit(batches, refused, metadata, deadline_seconds))
            self._committing = committing
            await asyncio.shield(committing)

    # -- 2. insert

    async def _insert(self) -> tuple[list[Batch], list[Refused]]:
        def write() -> tuple[list[Batch], list[Refused]]:
            batches = self._hand[:]
            return batches, self._opened().write([(*batch.tp, cast(Any, batch)) for batch in batches])

        return await self.attempts.until_it_works(write)

    def _opened(self) -> Writer:
        if self._writer is None:
            self._writer = Writer(ClickHouseSink(self._connect(), self._database, self._pseudonyms))
        return self._writer

    # -- 3. commit, 4. let go

    async def _commit(
        self, batches: list[Batch], refused: list[Refused], metadata: object, deadline_seconds: float
    ) -> None:
        offsets = {batch.tp: batch.end for batch in batches}
        cut = Cut(
            {(tp.topic, tp.partition): end for tp, end in offsets.items()},
            annotated=[one.dead_letter() for one in refused],
        )
        try:
            await self._committer.commit(cut, metadata, deadline_seconds)
        except CommitExpelledError:
            if self._committing is asyncio.current_task():
                raise
            return  # The partitions are gone already, and what was in hand is others' to do.
        if refused:
            _LOG.warning("%d records can't get into ClickHouse, first %s; see dead letters", len(refused), refused[0])
        self.dead_letters.update(one.code for one in refused)
        self.records += sum(map(len, batches))
        if self._committing is not asyncio.current_task():
            return  # The partitions are gone, and what is in hand now is of others.
        self._inserted.update(offsets)
        self._hand = self._hand[len(batches) :]
        await self._count()

    async def _count(self) -> None:
        self._rows = sum(len(batch) for batch in self._hand)
        self._bytes = sum(map(_bytes_of, self._hand))
        async with self._room:
            self._room.notify_all()

    # -- what is known of it

    def lag(self) -> int:
        """Records that are not in ClickHouse yet; at least 1 for a partition not known to be read to its end."""
        consumer = self._consumer
        lag = self._rows
        for tp in consumer.assignment():
            if not consumer.at_end(tp):
                lag += max(1, consumer.highwater(tp) - self._inserted.get(tp, consumer.start_offset(tp)))
        return lag

    def told(self) -> Mapping[str, Any]:
        """The fields of ``streams.live.Health`` that are the sink's."""
        oldest_ms = min((batch[0].timestamp()[1] for batch in self._hand), default=None)
        return {
            "sink_lag": self.lag(),
            "sink_records": self.records,
            "sink_failures": self.attempts.failures,
            "sink_failing_seconds": self.attempts.failing_seconds,
            "sink_insert_age_seconds": self.attempts.worked_seconds_ago,
            "sink_oldest_age_seconds": 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000),
        }

    def not_ready(self) -> Sequence[str]:
        """Why the sink does not read; nothing when it does."""
        return [] if self._consumer.assignment() else ["the sink has no partitions yet"]

    def not_connected(self) -> Sequence[str]:
        """Why the sink has not written yet, when it has not found ClickHouse with its tables since it began."""
        if self._writer is not None:
            return []
        return [f"ClickHouse: {self.attempts.last_error or 'not connected yet'}"]

    # -- partitions come and go (``streams.commit.Checkpoint``)

    async def assigned(self, partitions: set[TP]) -> None:
        """Nothing to restore: offsets are all of the state."""
        await self._drop()

    async def revoked(self, partitions: set[TP], deadline_seconds: float) -> None:
        """Insert and commit what is in hand, if that takes no longer than allowed: else the next owner does it."""
        deadline = Deadline(deadline_seconds)
        patience_seconds = deadline_seconds / 2
        if self.attempts.failures:
            patience_seconds = min(patience_seconds, _IN_AN_OUTAGE_SECONDS)
        try:
            async with asyncio.timeout(patience_seconds):
                await self.flush(deadline_seconds / 2)
        except TimeoutError:
            _LOG.warning("ClickHouse did not take %d rows in time; they will be read again", self._rows)
        if self._committing is not None:
            async with asyncio.timeout(deadline.remaining_seconds):
                await asyncio.shield(self._committing)
        await self._drop()

    async def lost(self, partitions: set[TP]) -> None:
        """Let go."""
        await self._drop()

    async def _drop(self) -> None:
        inserting, self._inserting = self._inserting, None
        if inserting is not None:
            inserting.cancel()
        self._committing = None
        self._hand = []
        self._inserted = {}
        await self._count()


def _bytes_of(batch: Batch) -> int:
    return sum(len(record.value() or b"") for record in batch)
