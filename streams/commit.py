"""The commit protocol: one Kafka transaction holds the changelog, the outputs and the input offsets.

The numbered protocol, which :meth:`TransactionalCommitter._attempt` follows number by number:

0. The application *cuts*: between two awaits, everything that was applied since the last cut becomes a :class:`Cut`.
   What is applied from here on belongs to the next one, also while this one is being committed.
1. Begin the transaction.
2. Enqueue the changelog and the outputs. A full queue is waited for; a record that can't be enqueued fails the attempt.
3. Add the offsets of the inputs, with the consumer's group metadata: a worker that has lost its partitions is fenced
   here by the group's generation. Hence a cut with records has at least one offset, also where only time has passed.
4. Commit. librdkafka first waits until every record is delivered; one that can't be delivered fails the attempt.
5. On any error: abort. Only a transaction that is known to be aborted, for a reason that passes (a broker was away), is
   begun again, whole and with the same cut, until the deadline. Everything else raises :class:`CommitError`: the
   state in memory is then ahead of what Kafka holds, so all of it is dropped; whoever gets its partitions, a new life
   of this worker or another one, restores from the last commit. Nothing is committed after that.

A step whose error is retriable (``KafkaError.retriable()``: a coordinator that moves, a slow broker) is called again
until the deadline, as librdkafka demands. Commits follow each other strictly: they run in one thread of their own, so
the event loop goes on applying batches meanwhile. How long each may take: ``streams.deadlines``.

Why nothing is lost and nothing doubled: readers with ``read_committed`` see the outputs, the changelog and the offsets
of a cut together or not at all, and a worker starts from the committed offsets with the committed changelog. What can
fail between which two steps, and what happens then: ``docs/reliability.md``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from faust.types import TP

from schemas.outputs import LARGEST_RECORD_BYTES
from streams.clients import LOG, ClientSettings, Deadline, client_config, kafka_error
from streams.deadlines import COMMIT_SECONDS, TRANSACTION_SECONDS
from streams.failures import (
    CommitError as CommitError,  # of this module's interface
)
from streams.failures import CommitExpelledError, CommitFencedError, commit_error
from streams.published import Output

_DEFAULTS: Final[dict[str, Any]] = {
    # The coordinator is often still ending the last transaction when the offsets of the next one come: with the default
    # of 100 ms that costs 100 ms a commit, with 5 ms it was measured at 12.
    "retry.backoff.ms": 5,
    # The application never waits for a single record, so batches may fill; a transaction's end sends what is there.
    "linger.ms": 5,
    "batch.num.messages": 1_500,
    # A broker takes the requests of a connection one after the other anyway. With more under way, librdkafka asks in a
    # loop without a pause whether the next batch of a partition may go while one of the same is under way (it allows an
    # idempotent producer one): 300,000 times for a million events. At this limit it waits.
    "max.in.flight.requests.per.connection": 1,
    "compression.type": "lz4",
    # As the producers of events do it; only records for ANY_PARTITION are placed by their key.
    "partitioner": "murmur2_random",
    # A cut holds more records than this: enqueueing then waits for room. Of more that waits librdkafka makes so large a
    # buffer for each batch that the kernel has to make its memory anew each time: 2 % of the time of a backlog.
    "queue.buffering.max.messages": 5_000,
    "queue.buffering.max.kbytes": 32_768,
    # A refused record goes whole to the dead letters, with headers on top of what was just small enough for its topic.
    "message.max.bytes": LARGEST_RECORD_BYTES,
    # After a broker was away, adding offsets may wait for a connection that nobody opens any more, and for ever
    # (librdkafka #5456, #5511). What wakes it up is a change of any connection, such as the end of an idle one.
    "connections.max.idle.ms": 3_000,
    # Only failures are of interest, and a callback for every record would cost more than producing it.
    "delivery.report.only.error": True,
}
_RETRY_PAUSE_SECONDS: Final = 0.02
_CALL_SECONDS: Final = 5.0
"""The longest single call: a retriable error is what it ends with, and between two calls a refusal is noticed."""
_OVERDUE_SECONDS: Final = 15.0
"""For the last call, which may take as long as a request, and the abort after it."""
_AGAIN_SECONDS: Final = 0.2
"""Between an abort and the next attempt."""
_ROOM_POLL_SECONDS: Final = 0.05
_PRODUCED_AT_ONCE: Final = 1_000
"""So many records of one topic and partition before those of the next."""
_SHOWN_CHARACTERS: Final = 80
"""So much of a key an error shows."""
_TOLD_RECORDS: Final = 3
"""So many undelivered records an error names."""
_PURGED: Final = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_ABORT_SECONDS: Final = 5.0
"""For telling the coordinator; it would find out by itself after the transaction's timeout."""


ANY_PARTITION: Final = -1
"""The partition of records that are placed by their key."""


class Annotated(NamedTuple):
    """One record with headers (dead letters, late events); slower than :class:`Output`, for the few."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    timestamp_ms: int = 0
    """Milliseconds since the epoch; 0 for the time of producing."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What one transaction holds. The lists belong to the committer once it is handed over."""

    offsets: Mapping[tuple[str, int], int]
    """(topic, partition) of an input to the next offset to read."""
    records: Sequence[tuple[str, int, list[Output]]] = ()
    """Topic, partition, records: the changelog and the outputs."""
    annotated: Sequence[Annotated] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.offsets or self.records or self.annotated)


class Checkpoint(Protocol):
    """What the transport asks of the application when partitions come and go. All run on the main event loop.

    An error raised by any of them ends the worker.
    """

    async def assigned(self, partitions: set[TP]) -> None:
        """Restore the state of ``partitions``. No record of them is delivered before this returns.

        The set is the whole assignment, empty when there are more workers than partitions. May take long: the
        consumer stays in its group. Cancelled when a rebalance takes the partitions away meanwhile; ``lost`` follows.
        """

    async def revoked(self, partitions: set[TP], deadline_seconds: float) -> None:
        """Commit what was applied of ``partitions``, wait for it, and let go of their state.

        No record is delivered while it runs; the rebalance (or the end of the worker) waits for it, but not longer
        than ``deadline_seconds``, which every step shares.
        """

    async def lost(self, partitions: set[TP]) -> None:
        """Drop the state of ``partitions`` and commit nothing: another worker may own them already."""


class TransactionalCommitter:
    """Commits cuts, one after the other, in a thread of its own.

    Once a cut has failed nothing more is committed, except after a ``streams.failures.CommitExpelledError``.
    """

    def __init__(
        self,
        producer_config: ClientSettings,
        transactional_id: str,
        *,
        transaction_timeout_seconds: float = TRANSACTION_SECONDS,
        make_producer: Callable[[dict[str, Any]], confluent_kafka.Producer] = confluent_kafka.Producer,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the client's settings (``bootstrap.servers``, security) and an id that is the worker's alone.

        A worker that restarts under its old id ends at once the transaction that it left open; under another id,
        readers wait for ``transaction_timeout_seconds`` and the broker's clean-up interval (10 s by default).
        ``pause`` lets its thread wait for some seconds.
        """
        self._pause = pause
        self._producer = make_producer(
            client_config(
                producer_config,
                defaults=_DEFAULTS,
                fixed={
                    "transactional.id": transactional_id,
                    "transaction.timeout.ms": round(1000 * transaction_timeout_seconds),
                    "enable.idempotence": True,
                    "on_delivery": self._note_delivery,
                },
            )
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._undelivered: list[tuple[str, Exception]] = []
        self._failure: CommitError | None = None
        self._closed = False

    async def start(self, deadline_seconds: float = COMMIT_SECONDS) -> None:
        """Fence whoever had the same id and end its open transaction. Raises :class:`CommitError`."""
        await self._in_thread(self._start, Deadline(deadline_seconds))

    async def commit(self, cut: Cut, group_metadata: object, deadline_seconds: float = COMMIT_SECONDS) -> None:
        """Commit ``cut`` or raise :class:`CommitError`; an empty one costs nothing.

        ``group_metadata``: ``app.consumer.group_metadata()``, taken when the cut was made; None for who reads by no
        group. The caller may make the next cut while this one is being committed. When the caller is cancelled the
        commit still goes on to its end. Raises ValueError for a group's cut that has records but no offset.
        """
        if cut and group_metadata is not None and not cut.offsets:
            raise ValueError("a cut with records needs the offset of an input, or no generation would fence it")
        if cut:
            committing = self._in_thread(self._commit, cut, group_metadata, Deadline(deadline_seconds))
            try:
                async with asyncio.timeout(deadline_seconds + _OVERDUE_SECONDS):
                    await committing
            except TimeoutError:
                self._failure = CommitError("the transaction was not committed: the client did not keep its deadline")
                raise self._failure from None

    def refuse(self, reason: BaseException) -> None:
        """Commit nothing any more, but for what a call that is under way may still bring about. From any thread."""
        if self._failure is None:
            self._failure = CommitError(f"the worker has failed: {reason!r}")

    async def close(self) -> None:
        """Wait for a commit that runs, and close the producer. Safe to call twice."""
        if not self._closed:
            self._closed = True
            await self._in_thread(self._close)
            self._thread.shutdown(wait=False)

    async def _in_thread(self, call: Callable[..., None], *args: object) -> None:
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, call, *args))

    def _start(self, deadline: Deadline) -> None:
        try:
            self._until(deadline, self._producer.init_transactions)
        except KafkaException as error:
            self._failure = commit_error("the transactional producer did not start", [("", error)])
            raise self._failure from error

    def _commit(self, cut: Cut, group_metadata: object, deadline: Deadline) -> None:
        while True:
            self._check()
            self._undelivered.clear()
            try:
                self._attempt(cut, group_metadata, deadline)
            except Exception as error:
                # 5. Abort.
                aborted = self._abort(self._told(error), deadline)
                failed = self._told(error)  # Now it is known what could not be delivered.
                if aborted and _may_go_on(error) and not deadline.is_over:
                    if isinstance(failed, CommitExpelledError):
                        raise failed from error
                    if type(failed) is CommitError:
                        LOG.warning("%s; it is begun again", failed)
                        self._pause(_AGAIN_SECONDS)
                        continue
                self._failure = failed
                raise failed from (self._undelivered[0][1] if self._undelivered else error)
            else:
                return

    def _told(self, error: Exception) -> CommitError:
        with suppress(KafkaException):
            self._producer.poll(0)
        return commit_error("the transaction was not committed", [*self._undelivered, ("", error)])

    def _attempt(self, cut: Cut, group_metadata: object, deadline: Deadline) -> None:
        producer = self._producer
        # 1. Begin.
        producer.begin_transaction()
        # 2. Enqueue the changelog and the outputs.
        for topic, partition, records in _in_turns(cut.records):
            self._enqueue_some(topic, partition, records, deadline)
        for record in cut.annotated:
            self._enqueue_annotated(record, deadline)
        # 3. Add the offsets.
        offsets = [TopicPartition(topic, partition, at) for (topic, partition), at in cut.offsets.items()]
        if offsets:
            self._until(deadline, lambda left: producer.send_offsets_to_transaction(offsets, group_metadata, left))
        # 4. Deliver and commit.
        self._until(deadline, producer.commit_transaction)

    def _abort(self, failed: CommitError, deadline: Deadline) -> bool:
        """Whether the transaction is now known to be aborted. Else the next life's start, or its time-out, ends it."""
        if isinstance(failed, CommitFencedError):
            return False  # The coordinator has done it.
        try:
            self._until(deadline, self._producer.abort_transaction, least_seconds=_ABORT_SECONDS)
        except KafkaException as error:
            LOG.warning("the transaction could not be aborted: %s", error)
            return False
        return True

    def _enqueue_some(self, topic: str, partition: int, records: list[Output], deadline: Deadline) -> None:
        produce = self._producer.produce
        for key, value in records:
            try:
                produce(topic, value, key, partition)
            except (BufferError, KafkaException):
                self._enqueue_annotated(Annotated(topic, partition, key, value, ()), deadline)

    def _enqueue_annotated(self, record: Annotated, deadline: Deadline) -> None:
        topic, partition, key, value, headers, timestamp_ms = record
        while True:
            try:
                self._producer.produce(topic, value, key, partition, timestamp=timestamp_ms, headers=list(headers))
            except BufferError:
                self._wait_for_room(deadline)
            except KafkaException as error:
                self._undelivered.append((_about(topic, partition, key), error))
                raise
            else:
                return

    def _wait_for_room(self, deadline: Deadline) -> None:
        self._check()
        if deadline.is_over:
            raise CommitError("the brokers did not take the records before the deadline")
        self._producer.poll(_ROOM_POLL_SECONDS)

    def _close(self) -> None:
        # Nothing is outstanding after a commit; after a failure the client may only have its error to repeat.
        with suppress(KafkaException):
            self._producer.close()

    def _note_delivery(self, error: KafkaError | None, record: Message) -> None:
        # What is purged is so because of the abort; the cause comes before it.
        if error is not None and error.code() not in _PURGED and len(self._undelivered) < _TOLD_RECORDS:
            self._undelivered.append((_about(record.topic(), record.partition(), record.key()), KafkaException(error)))

    def _check(self) -> None:
        if self._failure is not None:
            raise CommitError(f"nothing is committed any more: {self._failure}") from self._failure

    def _until(self, deadline: Deadline, call: Callable[[float], object], least_seconds: float = 0.0) -> None:
        """Call with the seconds that are left and, while the error is retriable, call again; not after a refusal."""
        deadline = max(deadline, Deadline(least_seconds), key=lambda one: one.remaining_seconds)
        while True:
            try:
                call(min(_CALL_SECONDS, deadline.remaining_seconds))
            except KafkaException as error:
                told = kafka_error(error)
                if told is None or not told.retriable() or deadline.is_over or self._failure is not None:
                    raise
                self._pause(_RETRY_PAUSE_SECONDS)
            else:
                return


def _in_turns(records: Iterable[tuple[str, int, list[Output]]]) -> Iterator[tuple[str, int, list[Output]]]:
    """Some of each topic in turn: of a partition only one request is under way, those of several go side by side."""
    begin = 0
    left = [one for one in records if one[2]]
    while left:
        for topic, partition, all_of_it in left:
            yield topic, partition, all_of_it[begin : begin + _PRODUCED_AT_ONCE]
        begin += _PRODUCED_AT_ONCE
        left = [one for one in left if len(one[2]) > begin]


def _may_go_on(error: Exception) -> bool:
    """Whether librdkafka says that the producer can begin another transaction once this one is aborted.

    It says so only as long as the transaction can't have been committed.
    """
    told = kafka_error(error)
    return told is not None and told.txn_requires_abort()


def _about(topic: str | None, partition: int | None, key: object) -> str:
    shown = repr(key)
    shown = shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}…"
    return f"a record of {topic}[{partition}] with key {shown} was not delivered"
