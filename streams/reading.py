"""Reading partitions of topics from somewhere to their ends, without a group: changelogs, dead letters, old records."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its public names, but not declared as such
    AdminClient,
    OffsetSpec,
)
from faust.types import TP
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from streams.clients import LOG, kafka_error
from streams.transport.batch import by_partition, partition_of

_PAUSE_SECONDS: Final = 0.1
_MOVING: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError._NOENT,
    }
)
"""The leader of a partition is not known, as for a moment after a topic was made or a broker began."""


class Reading:
    """One pass over some partitions, for which the consumer is made with ``enable.partition.eof``."""

    def __init__(
        self,
        consumer: Consumer,
        starts: Mapping[TP, int],
        ends: Mapping[TP, int],
        *,
        open_too: bool = True,
        assigned: bool = False,
    ) -> None:
        """``ends``: read to before these offsets. ``open_too``: what open transactions hold is waited for.

        ``assigned``: the consumer reads from ``starts`` already (:func:`assign`).
        """
        self._consumer = consumer
        self._ends = ends
        self._open_too = open_too
        self._assigned = assigned
        self.reached = {tp: start for tp, start in starts.items() if start < ends[tp]}
        """The next offset to be read of each partition that has any to be read."""
        self._left = set(self.reached)
        self._heard_at = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        """How long nothing has come."""
        return time.monotonic() - self._heard_at

    def __str__(self) -> str:
        """How far the reading of the first partition that is not at its end has come."""
        tp = min(self._left)
        return f"{tp.topic}[{tp.partition}] was read to offset {self.reached[tp]} of {self._ends[tp]}"

    def batches(self, at_once: int, wait_seconds: float) -> Iterator[dict[TP, list[Message]]]:
        """Committed records before the ends, until all partitions are there; nothing at times, when nothing has come.

        Raises ``KafkaException`` for what librdkafka does not get over by itself.
        """
        if not self._left:
            return
        if not self._assigned:
            assign(self._consumer, self.reached)
        self._heard_at = time.monotonic()
        try:
            while self._left:
                messages = self._consumer.consume(at_once, wait_seconds)
                came = bool(messages)
                if any(map(Message.error, messages)):
                    messages = [message for message in messages if self._is_record(message)]
                found = {tp: self._taken(tp, records) for tp, records in by_partition(messages).items()}
                self._leave_behind()
                if found or self._left:
                    yield found
                if came:
                    self._heard_at = time.monotonic()
        finally:
            self._consumer.unassign()

    def _taken(self, tp: TP, records: list[Message]) -> list[Message]:
        after = (records[-1].offset() or 0) + 1
        self._get_to(tp, after)
        end = self._ends[tp]
        return records if after <= end else [record for record in records if (record.offset() or 0) < end]

    def _is_record(self, message: Message) -> bool:
        error = message.error()
        if error is None:
            return True
        if error.code() == KafkaError._PARTITION_EOF:
            # Markers of transactions, and gaps, count as read.
            tp = partition_of(message)
            self._get_to(tp, (message.offset() or 0) if self._open_too else self._ends[tp])
        elif error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
            LOG.warning("reading: %s", error.str())
        else:
            raise KafkaException(error)
        return False

    def _get_to(self, tp: TP, offset: int) -> None:
        if tp in self.reached:
            self.reached[tp] = max(self.reached[tp], offset)

    def _leave_behind(self) -> None:
        """Read no more of the partitions that are at their ends."""
        done = {tp for tp in self._left if self.reached[tp] >= self._ends[tp]}
        self._left -= done
        if done and self._left:
            self._consumer.pause([TopicPartition(*tp) for tp in done])


def assign(consumer: Consumer, starts: Mapping[TP, int]) -> None:
    """Let a consumer read from these offsets on."""
    # Numbers, not OFFSET_BEGINNING, for which librdkafka takes half a second. Where a log begins later than this, it is
    # read from its earliest record all the same.
    consumer.assign([TopicPartition(*tp, offset) for tp, offset in starts.items()])


def written_ends(admin: AdminClient, wanted: Iterable[TP], timeout_seconds: float) -> dict[TP, int]:
    """The ends of everything written, transactions that are still open included: they have to be waited for.

    A read_committed end would lie before them, although the offsets that they hold may be seen as committed already
    (KAFKA-10167: the markers of one transaction come at different times to different partitions). Raises
    ``KafkaException``.
    """
    asked = {tp: TopicPartition(*tp) for tp in wanted}
    specs = {of_one: OffsetSpec.latest() for of_one in asked.values()}  # type: ignore[no-untyped-call]

    def ends() -> dict[TP, int]:
        found = admin.list_offsets(
            specs, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=timeout_seconds
        )
        return {tp: found[of_one].result(timeout_seconds).offset for tp, of_one in asked.items()}

    retrying = Retrying(
        retry=retry_if_exception(_is_moving),
        stop=stop_after_delay(timeout_seconds),
        wait=wait_fixed(_PAUSE_SECONDS),
        reraise=True,
    )
    return retrying(ends) if asked else {}


def _is_moving(error: BaseException) -> bool:
    told = kafka_error(error)
    return told is not None and told.code() in _MOVING
