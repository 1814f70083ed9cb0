"""How far each partition was read: from the messages of the client to batches that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Message
from faust.types import TP

from streams.clients import LOG
from streams.transport.batch import Batch, by_partition, partition_of

_PASSING: Final = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._MAX_POLL_EXCEEDED}
)
"""Errors that librdkafka recovers from by itself."""


class ReadError(Exception):
    """The topics can't be read on; with a ``KafkaException`` as its cause a new life may get over it."""


class Positions:
    """The positions of the assigned partitions. Written by the reader's thread, read from the main loop."""

    def __init__(self, starts: Mapping[TP, int]) -> None:
        self.ends = dict(starts)
        """The assigned partitions, each with the next offset after all that was read of it."""
        self._one = {tp: tp for tp in starts}
        """One object for each partition: those of a backlog's batches would keep its memory where they stay."""
        self._exhausted: set[TP] = set()
        self.highwaters: dict[TP, int] = {}
        """The next offset that a record will get, as last heard from the broker."""

    def end_of(self, tp: TP) -> tuple[int, bool]:
        """The next offset after all that was read of ``tp``, and whether there was nothing beyond it."""
        return self.ends.get(tp, 0), tp in self._exhausted

    def passed(self, tp: TP) -> int:
        """As :meth:`end_of`, but behind the markers of transactions, too, that no record followed yet."""
        end, exhausted = self.end_of(tp)
        return max(end, self.highwaters.get(tp, 0)) if exhausted else end

    @property
    def unheard(self) -> list[TP]:
        """The partitions of which it is not known how far they go."""
        return [tp for tp in self.ends if tp not in self.highwaters]

    def move(self, offsets: Mapping[TP, int]) -> None:
        """Go on from other offsets."""
        self.ends.update(offsets)
        self._exhausted.difference_update(offsets)

    def hear(self, tp: TP, highwater: int) -> None:
        """The broker has told how far ``tp`` goes.

        While records keep coming in, librdkafka sees no end of the partition, although all of them are read.
        """
        end = self.ends[tp]
        self.highwaters[tp] = max(end, highwater)
        if highwater == end:
            self._exhausted.add(tp)

    def guess(self, tp: TP, highwater: int) -> None:
        """``tp`` goes as far as this at least, as heard once: perhaps before its assignment, so it proves no end."""
        if highwater > self.ends[tp]:
            self.highwaters[tp] = highwater

    def batches(self, messages: list[Message]) -> list[Batch]:
        """The records of ``messages`` by partition; their ends and errors are noted. Raises :class:`ReadError`."""
        if any(map(Message.error, messages)):
            records = by_partition([message for message in messages if self._is_record(message)])
        else:
            records = by_partition(messages)
            self._exhausted.difference_update(records)
        return [self._batch(self._one.get(tp, tp), of_one) for tp, of_one in records.items()]

    def _is_record(self, message: Message) -> bool:
        tp, error = partition_of(message), message.error()
        tp = self._one.get(tp, tp)
        if error is None:
            self._exhausted.discard(tp)
            return True
        code = error.code()
        if code == KafkaError._PARTITION_EOF:
            self._exhausted.add(tp)
            self.highwaters[tp] = message.offset() or 0
        elif code == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ReadError(f"topic {tp.topic!r} is not on the broker; create it, or correct its name in the settings")
        elif error.retriable() or code in _PASSING:
            LOG.warning("reading %s[%s]: %s", tp.topic, tp.partition, error.str())
        else:
            raise ReadError(f"reading {tp.topic}[{tp.partition}]: {error.str()}") from KafkaException(error)
        return False

    def _batch(self, tp: TP, records: list[Message]) -> Batch:
        last = records[-1].offset()
        assert last is not None  # only errors have none
        batch = Batch(tp, self.ends[tp], last + 1, records)
        self.ends[tp] = batch.end
        return batch
