"""Reading the dead letters, and which of them were sent again: what is committed, and without a consumer group."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from confluent_kafka import Message, TopicPartition
from confluent_kafka.admin import AdminClient
from faust.types import TP

from deskpulse.dlq.letters import Letter, LetterId, Wanted, letter_of, parse_id
from schemas.outputs import DEAD_LETTERS, LARGEST_RECORD_BYTES, REPLAYED, Replayed
from streams.clients import ClientSettings, client_config, make_consumer
from streams.reading import Reading, written_ends

_RECORDS_AT_ONCE: Final = 2_000
_CONSUME_SECONDS: Final = 0.05
_ANSWER_SECONDS: Final = 15.0
_STALL_SECONDS: Final = 30.0
"""Longer than an open transaction of a worker that is gone lasts (10 s, and the broker's clean-up interval)."""
_decode: Final = msgspec.json.Decoder(Replayed).decode

Progress = Callable[[int, int], None]
"""Told how many records were read, and of how many."""


class DeadLettersError(Exception):
    """The dead letters can't be read, or a letter is not there; says what to do."""


class Reader:
    """Reads the topics of the dead letters, from any place, as often as asked."""

    def __init__(self, client: ClientSettings) -> None:
        self._admin = AdminClient(client_config(client))
        fixed = {
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "fetch.message.max.bytes": 1_048_576,
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 20,
            "fetch.error.backoff.ms": 50,
            "receive.message.max.bytes": 8 * LARGEST_RECORD_BYTES,
        }
        # librdkafka wants a group; nothing is committed under it.
        self._consumer = make_consumer(client, "deskpulse-dlq", fixed=fixed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def replayed(self) -> dict[LetterId, Replayed]:
        """The letters that were sent again."""
        partitions = self._partitions(REPLAYED)
        found: dict[LetterId, Replayed] = {}
        for message in self._read(REPLAYED, dict.fromkeys(partitions, 0), self._ends(REPLAYED, partitions)):
            key, value = message.key(), message.value()
            if key is not None and value is not None:
                found[parse_id(key.decode())] = _decode(value)
        return found

    def letters(self, wanted: Wanted, on_progress: Progress = lambda *_: None) -> Iterator[Letter]:
        """The letters that are wanted and were there when this began; those of a partition oldest first.

        Raises :class:`DeadLettersError` where one that is wanted by its id is not there.
        """
        partitions = list(range(self.partition_count()))
        ends = self._ends(DEAD_LETTERS, partitions)
        starts = self._starts(DEAD_LETTERS, partitions, wanted.since_ms)
        if wanted.ids:
            by_partition: dict[int, list[int]] = {}
            for one in wanted.ids:
                by_partition.setdefault(one.partition, []).append(one.offset)
            starts = {number: min(offsets) for number, offsets in by_partition.items() if number in ends}
            ends = {number: min(ends[number], max(by_partition[number]) + 1) for number in starts}
        left = set(wanted.ids)
        for message in self._read(DEAD_LETTERS, starts, ends, on_progress):
            letter = letter_of(message)
            left.discard(letter.id)
            if wanted.has(letter):
                yield letter
        if left:
            told = ", ".join(map(str, sorted(left)[:5]))
            raise DeadLettersError(f"no such dead letter: {told}; `deskpulse dlq list` shows those that are there")

    def records(self, topic: str, since_ms: int = 0, on_progress: Progress = lambda *_: None) -> Iterator[Message]:
        """The committed records of any topic that came since a time and were there when this began."""
        partitions = self._partitions(topic)
        ends = self._ends(topic, partitions)
        starts = self._starts(topic, partitions, since_ms) if partitions else {}
        return self._read(topic, starts, ends, on_progress)

    def last(self, partitions: Iterable[int], most: int) -> Iterator[Letter]:
        """The letters among the last ``most`` records of each of these partitions, as far as they are committed."""
        there = set(self._partitions(DEAD_LETTERS))
        ends = self._ends(DEAD_LETTERS, sorted(there.intersection(partitions)))
        starts = {number: max(0, end - most) for number, end in ends.items()}
        for message in self._read(DEAD_LETTERS, starts, ends, wait=False):
            yield letter_of(message)

    def partition_count(self) -> int:
        """How many partitions the topic of dead letters has; :class:`DeadLettersError` where there is none."""
        partitions = self._partitions(DEAD_LETTERS)
        if not partitions:
            raise DeadLettersError(f"there is no topic {DEAD_LETTERS}; `deskpulse topics create` makes what is missing")
        return len(partitions)

    def _partitions(self, topic: str) -> list[int]:
        # Both clients, and all topics rather than this one by its name, which could make it. A client that is asked for
        # offsets, or to read, before it knows the brokers took 1 to 3 seconds one time in twenty: its first request
        # goes down with the connection to the bootstrap address, and waits to be sent again.
        self._admin.list_topics(timeout=_ANSWER_SECONDS)
        found: Any = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics.get(topic)
        return sorted(found.partitions) if found is not None and found.error is None else []

    def _starts(self, topic: str, partitions: list[int], since_ms: int) -> dict[int, int]:
        if not since_ms:
            return dict.fromkeys(partitions, 0)
        asked = [TopicPartition(topic, number, since_ms) for number in partitions]
        found = self._consumer.offsets_for_times(asked, _ANSWER_SECONDS)
        # Without a record since then: the end, which librdkafka says as a negative number.
        return {at.partition: at.offset if at.offset >= 0 else 2**62 for at in found}

    def _ends(self, topic: str, partitions: list[int]) -> dict[int, int]:
        found = written_ends(self._admin, [TP(topic, number) for number in partitions], _ANSWER_SECONDS)
        return {tp.partition: end for tp, end in found.items()}

    def _read(
        self,
        topic: str,
        starts: dict[int, int],
        ends: dict[int, int],
        on_progress: Progress = lambda *_: None,
        *,
        wait: bool = True,
    ) -> Iterator[Message]:
        """The committed records from the starts to before the ends.

        ``wait``: for transactions that are open, up to :data:`_STALL_SECONDS`.
        """
        first = {TP(topic, number): start for number, start in starts.items()}
        reading = Reading(
            self._consumer, first, {TP(topic, number): end for number, end in ends.items()}, open_too=wait
        )
        begun = sum(reading.reached.values())
        total = sum(ends[tp.partition] for tp in reading.reached) - begun
        for batches in reading.batches(_RECORDS_AT_ONCE, _CONSUME_SECONDS):
            for records in batches.values():
                yield from records
            on_progress(min(total, sum(reading.reached.values()) - begun), total)
            if not batches and reading.silent_seconds > _STALL_SECONDS:
                raise DeadLettersError(
                    f"{reading}, and nothing more came for {_STALL_SECONDS:g} s; is a transaction of a worker still "
                    "open?"
                )
