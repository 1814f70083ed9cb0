"""The commit protocol: one Kafka transaction holds the changelog, the outputs and the input offsets.

The numbered protocol, which :meth:`TransactionalCommitter._commit` follows number by number:

0. The application *cuts*: between two awaits, everything that was applied since the last cut becomes a :class:`Cut`.
   What is applied from here on belongs to the next one, also while this one is being committed.
1. Begin the transaction.
2. Enqueue the changelog and the outputs. A full queue is waited for; a record that can't be enqueued fails the commit.
3. Add the offsets of the inputs, with the consumer's group metadata: a worker that has lost its partitions is fenced
   here by the group's generation.
4. Commit. librdkafka first waits until every record is delivered; one that can't be delivered fails the commit.
5. On any error: abort, and raise :class:`CommitError`. The state in memory is then ahead of what Kafka holds, so the
   worker has to end; whoever gets its partitions restores from the last commit. Nothing is committed after that.

A step whose error is retriable (``KafkaError.retriable()``: a coordinator that moves, a slow broker) is called again
until the deadline, as librdkafka demands. Commits follow each other strictly: they run in one thread of their own, so the
event loop goes on applying batches meanwhile.

Why nothing is lost and nothing doubled: readers with ``read_committed`` see the outputs, the changelog and the offsets of
a cut together or not at all, and a worker starts from the committed offsets with the committed changelog.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, NotRequired, Protocol, TypedDict

from faust.types import TP


class Output(TypedDict):
    """One record as ``Producer.produce_batch`` takes it; a value of None is a tombstone."""

    key: bytes
    value: bytes | None
    timestamp: NotRequired[int]
    """Milliseconds since the epoch; without it the time of producing."""


class Annotated(NamedTuple):
    """One record with headers (dead letters, late events); slower than :class:`Output`, for the few."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class Cut:
    """What one transaction holds. The lists belong to the committer once it is handed over."""

    offsets: Mapping[tuple[str, int], int]
    """(topic, partition) of an input to the next offset to read."""
    records: Sequence[tuple[str, int, list[Output]]] = ()
    """Topic, partition, records: the changelog and the outputs."""
    annotated: Sequence[Annotated] = field(default=())

    def __bool__(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.offsets or self.records or self.annotated)


class CommitError(Exception):
    """A transaction was not committed, and nothing of it will be seen; the worker has to end."""


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
    """Commits cuts, one after the other, in a thread of its own."""

    def __init__(
        self,
        producer_config: Mapping[str, str | int | float | bool],
        transactional_id: str,
        *,
        transaction_timeout_seconds: float = 10.0,
    ) -> None:
        """Take the client's settings (``bootstrap.servers``, security) and an id that is the worker's alone.

        A worker that restarts under its old id ends at once the transaction that it left open; under another id,
        readers wait for ``transaction_timeout_seconds`` and the broker's clean-up interval (10 s by default).
        """
        raise NotImplementedError

    async def start(self, deadline_seconds: float = 60.0) -> None:
        """Fence whoever had the same id and end its open transaction. Raises :class:`CommitError`."""
        raise NotImplementedError

    async def commit(self, cut: Cut, group_metadata: object, deadline_seconds: float = 30.0) -> None:
        """Commit ``cut`` or raise :class:`CommitError`; an empty one costs nothing.

        ``group_metadata``: ``app.consumer.group_metadata()``, taken when the cut was made. The caller may make the next
        cut while this one is being committed. When the caller is cancelled the commit still goes on to its end.
        """
        raise NotImplementedError

    async def close(self) -> None:
        """Wait for a commit that runs, and close the producer. Safe to call twice."""
        raise NotImplementedError
