"""Kafka in memory: topics, transactions with their markers, consumer groups with their offsets.

It has what exactly-once rests on, and what makes it hard: records of open and aborted transactions lie in the log, the
markers of one transaction come at different times to different partitions (KAFKA-10167), offsets are committed when
their marker comes, and two fences: the epoch of a transactional id and the generation of a group.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from random import Random
from typing import NamedTuple

from streams.partitioner import partition_of
from tests.simulation.defects import Defect
from tests.simulation.groups import Group, Member, Place


class Fate(Enum):
    """What is known of a transaction."""

    OPEN = "open"
    COMMITTED = "committed"
    ABORTED = "aborted"


class Transaction:
    """One transaction of one producer."""

    def __init__(self, began_at: float) -> None:
        self.began_at = began_at
        self.fate = Fate.OPEN
        self.size = 0
        """How many records it holds."""
        self.places: list[Place] = []
        self.offsets: dict[str, dict[Place, int]] = {}
        """By group; they hold when the transaction's marker has come to the group."""


class Entry(NamedTuple):
    """A record, or the marker of a transaction's end (without a key and a value)."""

    key: bytes | None
    value: bytes | None
    at_ms: int
    headers: Sequence[tuple[str, bytes | None]]
    transaction: Transaction | None
    is_marker: bool = False


class Found(NamedTuple):
    """A record with its offset."""

    offset: int
    entry: Entry


@dataclass
class Log:
    """One partition."""

    entries: list[Entry] = field(default_factory=list)
    open: dict[Transaction, int] = field(default_factory=dict)
    """Transactions whose marker has not come yet, to their first offset here."""

    @property
    def end(self) -> int:
        return len(self.entries)

    @property
    def stable_end(self) -> int:
        """Up to here ``read_committed`` reads."""
        return min(self.open.values(), default=self.end)

    def committed(self, start: int = 0, end: int | None = None) -> list[Found]:
        """What ``read_committed`` shows, up to the stable end or to an ``end`` before it."""
        end = self.stable_end if end is None else end
        return [
            Found(offset, entry)
            for offset, entry in enumerate(self.entries[start:end], start)
            if not entry.is_marker and (entry.transaction is None or entry.transaction.fate is Fate.COMMITTED)
        ]


class RefusedError(Exception):
    """The broker refuses a request of somebody who has been replaced."""


@dataclass
class _Producer:
    name: str
    epoch: int = 0
    transaction: Transaction | None = None
    markers: list[tuple[Transaction, Place | str]] = field(default_factory=list)
    """What has to hear yet of the end of its last transaction: partitions and groups."""


class Broker:
    """The logs, the coordinator of transactions and that of groups."""

    def __init__(
        self,
        topics: Iterable[str],
        numbers: int,
        groups: Iterable[str],
        random: Random,
        clock_ms: Callable[[], int],
        seconds: Callable[[], float],
        tell: Callable[[str], None],
        defect: Defect = Defect.NONE,
    ) -> None:
        self.numbers = numbers
        self.logs = {(topic, number): Log() for topic in topics for number in range(numbers)}
        self.groups = {name: Group(name, numbers, tell) for name in groups}
        self.lazy_markers = False
        """Markers come when they are sent on their way (:meth:`send_marker`), not at once."""
        self.fenced = 0
        """Requests of somebody who has been replaced."""
        self.commits = 0
        self._random = random
        self._clock_ms = clock_ms
        self._seconds = seconds
        self._tell = tell
        self._defect = defect
        self._producers: dict[str, _Producer] = {}
        self._waiting: list[asyncio.Future[None]] = []

    # -- records

    def append(
        self,
        topic: str,
        number: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        transaction: Transaction | None = None,
        at_ms: int = 0,
    ) -> None:
        """Write one record; a negative number stands for the partition of its key, the time 0 for now."""
        place = topic, partition_of(key or b"", self.numbers) if number < 0 else number
        log = self.logs[place]
        if transaction is not None:
            transaction.size += 1
            if transaction not in log.open:
                log.open[transaction] = log.end
                transaction.places.append(place)
        log.entries.append(Entry(key, value, at_ms or self._clock_ms(), headers, transaction))

    def committed(self, topic: str) -> list[tuple[int, Found]]:
        """All records of a topic that ``read_committed`` shows, with their partitions."""
        return [(number, found) for number in range(self.numbers) for found in self.logs[topic, number].committed()]

    # -- transactions

    def begin_life(self, transactional_id: str) -> int:
        """A producer begins under an id (``InitProducerId``): whoever had it is fenced. Returns its epoch."""
        producer = self._producers.setdefault(transactional_id, _Producer(transactional_id))
        self._end_life(producer)
        return producer.epoch

    def _end_life(self, producer: _Producer) -> None:
        producer.epoch += 1
        if producer.transaction is not None:
            self._decide(producer, Fate.ABORTED)
        while producer.markers:
            self._send_marker(producer)

    def transaction(self, transactional_id: str, epoch: int) -> Transaction:
        """The open transaction of a producer, a new one where there is none. Raises :class:`RefusedError`."""
        producer = self._producer(transactional_id, epoch)
        while producer.markers:  # The coordinator ends one before it begins another.
            self._send_marker(producer)
        if producer.transaction is None:
            producer.transaction = Transaction(self._seconds())
        return producer.transaction

    def add_offsets(self, transaction: Transaction, member: Member, offsets: Mapping[Place, int]) -> None:
        """Offsets that hold with the transaction. Raises :class:`RefusedError` for a member of the past."""
        group = self.groups[member.group]
        if self._defect is not Defect.GENERATION_NOT_FENCED and (
            member.id not in group.members or member.generation != group.generation
        ):
            self.fenced += 1
            raise RefusedError(f"{member.id} of generation {member.generation} is not in generation {group.generation}")
        if self._defect is Defect.OFFSETS_OUTSIDE_TRANSACTION:
            group.offsets.update(offsets)
        else:
            transaction.offsets.setdefault(member.group, {}).update(offsets)

    def end(self, transactional_id: str, epoch: int, fate: Fate) -> None:
        """Commit or abort. Raises :class:`RefusedError`."""
        producer = self._producer(transactional_id, epoch)
        if producer.transaction is not None:
            self._decide(producer, fate)

    def time_out(self, older_than_seconds: float) -> int:
        """Abort transactions that are open for too long, and fence their producers. Returns how many."""
        late = [
            producer
            for producer in self._producers.values()
            if producer.transaction is not None
            and self._seconds() - producer.transaction.began_at >= older_than_seconds
        ]
        for producer in late:
            self._end_life(producer)
        return len(late)

    def _producer(self, transactional_id: str, epoch: int) -> _Producer:
        producer = self._producers[transactional_id]
        if epoch != producer.epoch and self._defect is not Defect.EPOCH_NOT_FENCED:
            self.fenced += 1
            raise RefusedError(f"{transactional_id} of epoch {epoch} was replaced by epoch {producer.epoch}")
        return producer

    def _decide(self, producer: _Producer, fate: Fate) -> None:
        transaction = producer.transaction
        assert transaction is not None
        producer.transaction = None
        transaction.fate = fate
        self._tell(f"{producer.name} epoch {producer.epoch}: {transaction.size} records {fate.value}")
        self.commits += fate is Fate.COMMITTED
        producer.markers = [(transaction, to) for to in (*transaction.places, *transaction.offsets)]
        self._random.shuffle(producer.markers)
        while producer.markers and not self.lazy_markers:
            self._send_marker(producer)

    def send_marker(self) -> bool:
        """Let one marker arrive that is on its way; False without any."""
        under_way = [producer for producer in self._producers.values() if producer.markers]
        if under_way:
            self._send_marker(self._random.choice(under_way))
        return bool(under_way)

    def _send_marker(self, producer: _Producer) -> None:
        transaction, to = producer.markers.pop()
        if isinstance(to, str):
            offsets = transaction.offsets.pop(to)
            if transaction.fate is Fate.COMMITTED:
                self.groups[to].offsets.update(offsets)
        else:
            log = self.logs[to]
            del log.open[transaction]
            log.entries.append(Entry(None, None, 0, (), transaction, is_marker=True))
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def change(self) -> None:
        """Wait until a marker has arrived."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future

    # -- groups

    def stable_offsets(self, group: str, places: Sequence[Place]) -> dict[Place, int] | None:
        """Committed offsets, 0 without one; None while a transaction is open that holds offsets of these places."""
        if self._defect is not Defect.UNSTABLE_OFFSETS:
            for producer in self._producers.values():
                undecided = [transaction for transaction, to in producer.markers if to == group]
                if producer.transaction is not None:
                    undecided.append(producer.transaction)
                if any(place in one.offsets.get(group, ()) for one in undecided for place in places):
                    return None
        return {place: self.groups[group].offsets.get(place, 0) for place in places}
