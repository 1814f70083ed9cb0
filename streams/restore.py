"""Reading a changelog back: the state of one partition, when it is assigned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, cast

import confluent_kafka
from confluent_kafka import IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its public names, but not declared as such
    AdminClient,
    OffsetSpec,
)

from streams.clients import LOG, ClientSettings, Deadline, client_config

_DEFAULTS: Final[dict[str, Any]] = {
    "queued.max.messages.kbytes": 65_536,
    "fetch.message.max.bytes": 4_194_304,
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 20,
    "allow.auto.create.topics": False,
}
_RECORDS_AT_ONCE: Final = 20_000
_CONSUME_SECONDS: Final = 0.02


class RestoreError(Exception):
    """A changelog could not be read to its end."""


class ReadToEnd(Protocol):
    """How a changelog is read back: :func:`read_to_end`, or what stands in for it without Kafka."""

    async def __call__(
        self,
        config: ClientSettings,
        topic: str,
        partition: int,
        on_records: Callable[[Sequence[tuple[bytes, bytes | None]]], None],
        *,
        deadline_seconds: float,
    ) -> int:
        """See :func:`read_to_end`."""


async def read_to_end(
    config: ClientSettings,
    topic: str,
    partition: int,
    on_records: Callable[[Sequence[tuple[bytes, bytes | None]]], None],
    *,
    deadline_seconds: float = 300.0,
) -> int:
    """Read a changelog partition from its start to its end and return how many records there were.

    ``on_records`` is called in the reading thread (nobody else may touch what it writes to until this returns), with
    batches of (key, value), in order; a value of None is a tombstone. Raises :class:`RestoreError`. When the caller is
    cancelled, the thread stops with its next batch.
    """
    stopped: list[bool] = []
    try:
        return await asyncio.to_thread(
            _read_to_end, config, topic, partition, on_records, Deadline(deadline_seconds), stopped
        )
    except KafkaException as error:
        raise RestoreError(f"{topic}[{partition}] could not be read: {error}") from error
    finally:
        stopped.append(True)


def _read_to_end(
    config: ClientSettings,
    topic: str,
    partition: int,
    on_records: Callable[[Sequence[tuple[bytes, bytes | None]]], None],
    deadline: Deadline,
    stopped: Sequence[bool],
) -> int:
    end = _end(config, topic, partition, deadline)
    consumer = confluent_kafka.Consumer(
        client_config(
            config,
            defaults=_DEFAULTS,
            fixed={
                "group.id": "deskpulse-restore",  # librdkafka wants one; nothing is committed under it
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
            },
        )
    )
    count = 0
    reached = 0
    try:
        # A number, not OFFSET_BEGINNING, for which librdkafka takes half a second. Where the log begins later than
        # this, it is read from its earliest record all the same.
        consumer.assign([TopicPartition(topic, partition, 0)])
        while reached < end and not stopped:
            if deadline.is_over:
                raise RestoreError(
                    f"{topic}[{partition}] was read to offset {reached} of {end} when the time was over; "
                    "is a transaction of another worker still open?"
                )
            messages = consumer.consume(_RECORDS_AT_ONCE, _CONSUME_SECONDS)
            if any(map(Message.error, messages)):
                for message in messages:
                    reached = max(reached, _end_seen(message))
                messages = [message for message in messages if message.error() is None]
            if messages:
                keys, values = map(Message.key, messages), map(Message.value, messages)
                on_records(cast(list[tuple[bytes, bytes | None]], list(zip(keys, values, strict=True))))
                count += len(messages)
                reached = max(reached, cast(int, messages[-1].offset()) + 1)
    finally:
        consumer.close()
    return count


def _end(config: ClientSettings, topic: str, partition: int, deadline: Deadline) -> int:
    """The end of everything written, transactions that are still open included: they have to be waited for.

    A read_committed end would lie before them, although the offsets that they hold may be seen as committed already
    (KAFKA-10167: the markers of one transaction come at different times to different partitions).
    """
    asked = TopicPartition(topic, partition)
    timeout_seconds = max(1.0, deadline.remaining_seconds)
    admin = AdminClient(client_config(config))  # kept: without it, no answer would ever come
    found = admin.list_offsets(
        {asked: OffsetSpec.latest()},  # type: ignore[no-untyped-call]
        isolation_level=IsolationLevel.READ_UNCOMMITTED,
        request_timeout=timeout_seconds,
    )
    offset: int = found[asked].result(timeout_seconds).offset
    return offset


def _end_seen(message: Message) -> int:
    """The offset where there was nothing more to read; markers and gaps count as read."""
    error = message.error()
    if error is None:
        return 0
    if error.code() == KafkaError._PARTITION_EOF:
        return message.offset() or 0
    if error.retriable() or error.code() in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
        LOG.warning("restoring: %s", error.str())
        return 0
    raise KafkaException(error)
