"""Reading changelogs back: the state of partitions, when they are assigned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias, cast

from confluent_kafka import KafkaException, Message, TopicCollection
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]  # as in streams.clients
from faust.types import TP

from streams.clients import ClientSettings, Deadline, Reasons, UnansweredError, client_config, make_consumer, metadata
from streams.failures import MendableError
from streams.reading import Reading, assign, written_ends

Records: TypeAlias = Iterable[tuple[bytes, bytes | None]]
"""Keys and values; a value of None is a tombstone."""
Wanted: TypeAlias = Mapping[TP, tuple[int, Callable[[Records], None]]]
"""Partitions of changelogs: from which offset they are to be read, and what takes in their records."""

_DEFAULTS: Final[dict[str, Any]] = {
    "fetch.wait.max.ms": 50,
    "fetch.queue.backoff.ms": 1,  # by its default a full queue is left alone for a second
    "allow.auto.create.topics": False,
}
_READ_AHEAD_KIB: Final = 65_536
"""What is read ahead of all partitions together; librdkafka counts it by partition."""
_LEAST_READ_AHEAD_KIB: Final = 1_024
_RECORDS_AT_ONCE: Final = 5_000
_CONSUME_SECONDS: Final = 0.005
_GATHERED_BYTES: Final = 16_777_216
"""Of so much that was read only the newest record of each key is taken in: the others cost next to nothing."""
_KEY_BYTES: Final = 200
"""What a record takes in memory beside its value."""


class RestoreError(MendableError):
    """A changelog could not be read to its end."""


class Changelogs(Protocol):
    """What a processor asks of its changelogs: :class:`KafkaChangelogs`, or what stands in for them without Kafka."""

    async def read_to_end(self, wanted: Wanted, deadline_seconds: float) -> dict[TP, int]:
        """See :func:`read_to_end`."""

    def ends(self, wanted: Iterable[TP], timeout_seconds: float) -> dict[TP, int]:
        """See :func:`ends`."""

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See :func:`topic_ids`."""

    def partitions(self, topic: str) -> int:
        """See :func:`partitions`."""


class KafkaChangelogs:
    """The changelogs on Kafka."""

    def __init__(self, config: ClientSettings) -> None:
        self._config = config

    async def read_to_end(self, wanted: Wanted, deadline_seconds: float) -> dict[TP, int]:
        """See :func:`read_to_end`."""
        return await read_to_end(self._config, wanted, deadline_seconds=deadline_seconds)

    def ends(self, wanted: Iterable[TP], timeout_seconds: float) -> dict[TP, int]:
        """See :func:`ends`."""
        return ends(self._config, wanted, timeout_seconds)

    def topic_ids(self, topics: Sequence[str]) -> dict[str, str]:
        """See :func:`topic_ids`."""
        return topic_ids(self._config, topics)

    def partitions(self, topic: str) -> int:
        """See :func:`partitions`."""
        return partitions(self._config, topic)


async def read_to_end(
    config: ClientSettings,
    wanted: Wanted,
    *,
    deadline_seconds: float = 300.0,
) -> dict[TP, int]:
    """Read partitions of changelogs to their ends and return these.

    What ``wanted`` names for a partition is called in the reading thread (nobody else may touch what it writes to until
    this returns) with its records in their order, but of a key that comes several times in what was read at once only
    the last. Raises :class:`RestoreError`. When the caller is cancelled, the thread stops with its next batch.
    """
    stopped: list[bool] = []
    try:
        return await asyncio.to_thread(_read_to_end, config, wanted, Deadline(deadline_seconds), stopped)
    except (KafkaException, UnansweredError) as error:
        raise RestoreError(f"{', '.join(sorted({tp.topic for tp in wanted}))} could not be read: {error}") from error
    finally:
        stopped.append(True)


def _read_to_end(
    config: ClientSettings,
    wanted: Wanted,
    deadline: Deadline,
    stopped: Sequence[bool],
) -> dict[TP, int]:
    starts = {tp: start for tp, (start, _) in wanted.items()}
    read_ahead_kib = max(_LEAST_READ_AHEAD_KIB, _READ_AHEAD_KIB // max(1, len(wanted)))
    consumer = make_consumer(
        config,
        "deskpulse-restore",  # librdkafka wants one; nothing is committed under it
        defaults={
            **_DEFAULTS,
            "queued.max.messages.kbytes": read_ahead_kib,
            "fetch.message.max.bytes": 1024 * min(4_096, read_ahead_kib),
        },
        fixed={"enable.partition.eof": True, "auto.offset.reset": "earliest"},
    )
    try:
        # While the ends are asked for, which takes as long as reading 10,000 records, the first come in.
        assign(consumer, starts)
        found = ends(config, wanted, deadline.remaining_seconds)
        reading = Reading(consumer, starts, found, assigned=True)
        gathered = _Gathered(wanted)
        for batches in reading.batches(_RECORDS_AT_ONCE, _CONSUME_SECONDS):
            if stopped:
                return found
            for tp, records in batches.items():
                gathered.add(tp, records)
            if not batches and deadline.is_over:
                raise RestoreError(f"{reading} when the time was over; is a transaction of another worker still open?")
        gathered.hand_on()
    finally:
        consumer.close()
    return found


class _Gathered:
    """What was read and not taken in yet: the newest record of each key."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._newest: dict[TP, dict[bytes, bytes | None]] = {}
        self._bytes = 0

    def add(self, tp: TP, records: Sequence[Message]) -> None:
        """Take in the next records of a partition."""
        newest = self._newest.setdefault(tp, {})
        newest.update(cast(Records, zip(map(Message.key, records), map(Message.value, records), strict=True)))
        self._bytes += sum(map(len, records)) + _KEY_BYTES * len(records)
        if self._bytes > _GATHERED_BYTES:
            self.hand_on()

    def hand_on(self) -> None:
        """Let what is here be taken in by its partitions."""
        for tp, newest in self._newest.items():
            self._wanted[tp][1](newest.items())
        self._newest = {}
        self._bytes = 0


def ends(config: ClientSettings, wanted: Iterable[TP], timeout_seconds: float) -> dict[TP, int]:
    """See :func:`streams.reading.written_ends`."""
    timeout_seconds = max(1.0, timeout_seconds)
    return written_ends(_admin(config, timeout_seconds), wanted, timeout_seconds)


def topic_ids(config: ClientSettings, topics: Sequence[str], timeout_seconds: float = 30.0) -> dict[str, str]:
    """What no other topic has, also none of the same name made later. Blocks."""
    admin = _admin(config, timeout_seconds)
    found = admin.describe_topics(TopicCollection(list(topics)), request_timeout=timeout_seconds)
    return {topic: str(found[topic].result(timeout_seconds).topic_id) for topic in topics}


def partitions(config: ClientSettings, topic: str, timeout_seconds: float = 30.0) -> int:
    """How many partitions a topic has. Blocks. Raises :class:`RestoreError`."""
    try:
        known = _asked(config, timeout_seconds)[1].topics.get(topic)
    except UnansweredError as error:
        raise RestoreError(f"the brokers did not say how many partitions {topic} has: {error}") from error
    if known is None or not known.partitions:
        raise RestoreError(f"topic {topic!r} is not on the broker; `deskpulse topics` creates it")
    return len(known.partitions)


def _admin(config: ClientSettings, timeout_seconds: float) -> AdminClient:
    return _asked(config, timeout_seconds)[0]


def _asked(config: ClientSettings, timeout_seconds: float) -> tuple[AdminClient, ClusterMetadata]:
    reasons = Reasons()
    admin = AdminClient(client_config(config, fixed={"error_cb": reasons}))
    # What a client is asked before it knows the brokers may go down with its first connection, and takes seconds more.
    return admin, metadata(admin, reasons, Deadline(timeout_seconds))
