"""Kafka's side: reading topics to their ends, waiting until a group has read them, and until when records stay."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its public names, but not declared as such
    AdminClient,
    ConfigResource,
    ResourceType,
)
from faust.types import TP

from streams.clients import ClientSettings, Deadline, client_config, make_consumer
from streams.reading import Reading, written_ends

_ANSWER_SECONDS: Final = 10.0
_RECORDS_AT_ONCE: Final = 20_000
_CONSUME_SECONDS: Final = 0.2
_PAUSE_SECONDS: Final = 0.2
_SILENT_SECONDS: Final = 60.0
"""Longer than any transaction stays open."""
_NOBODY_SECONDS: Final = 10.0
"""A group without members for so long has no worker that only restarts."""
_NEVER: Final = 2**62
"""Kafka's word for a time without end is the largest number."""

Places = dict[tuple[str, int], int]
"""Offset by topic and partition."""


class NotReadError(Exception):
    """What was published has not been read in time; says by whom, and what to do."""


class Kept(NamedTuple):
    """How long a topic keeps its records, as the broker says; None for ever."""

    retention_ms: int | None
    """From a record's time until it is gone at the latest, where the topic is not compacted."""
    compaction_ms: int | None
    """From then on that a record is superseded until it is gone at the latest, where it is."""
    compacted: bool


class Logs:
    """The topics of one cluster. Every method raises ``KafkaException`` when the brokers don't answer."""

    def __init__(self, client: ClientSettings) -> None:
        self._client = client
        self._admin = AdminClient(client_config(client))
        self._consumer = self._new_consumer("deskpulse-forget")  # nothing is committed under it
        self._partitions: dict[str, list[int]] = {}

    def _new_consumer(self, group: str) -> Consumer:
        fixed = {"enable.partition.eof": True, "auto.offset.reset": "earliest", "allow.auto.create.topics": False}
        # Many short logs are read to their ends: do not wait at each for more.
        quick = {"fetch.wait.max.ms": 50, "fetch.queue.backoff.ms": 20, "fetch.error.backoff.ms": 50}
        return make_consumer(self._client, group, defaults=quick, fixed=fixed)

    def close(self) -> None:
        """Let go of the brokers."""
        self._consumer.close()

    def partitions(self, topic: str) -> list[int]:
        """The numbers of a topic's partitions; none where there is no such topic."""
        if not self._partitions:
            found = self._consumer.list_topics(timeout=_ANSWER_SECONDS).topics
            self._partitions = {name: sorted(one.partitions) for name, one in found.items()}
        return self._partitions.get(topic, [])

    def read(self, topic: str, on_record: Callable[[Message], None], partition: int | None = None) -> int:
        """Read a topic (or one partition) from its beginning to where it ends now; how many records there were.

        Raises :class:`NotReadError` where a transaction stays open.
        """
        numbers = self.partitions(topic) if partition is None else [partition]
        return self._read({(topic, number): 0 for number in numbers}, on_record)

    def _read(self, begins: Places, on_record: Callable[[Message], None]) -> int:
        starts = {TP(*place): begin for place, begin in begins.items()}
        reading = Reading(self._consumer, starts, written_ends(self._admin, starts, _ANSWER_SECONDS))
        count = 0
        for batches in reading.batches(_RECORDS_AT_ONCE, _CONSUME_SECONDS):
            for records in batches.values():
                count += len(records)
                for record in records:
                    on_record(record)
            if not batches and reading.silent_seconds > _SILENT_SECONDS:
                raise NotReadError(f"{reading}, and nothing more came: is a transaction of a worker still open?")
        return count

    def await_read(self, group: str, topics: Iterable[str], deadline: Deadline) -> None:
        """Wait until a group has read and committed everything that is in some topics now.

        Raises :class:`NotReadError` at the deadline, or sooner when the group has no member.
        """
        consumer = self._new_consumer(group)
        try:
            asked = [TopicPartition(topic, number) for topic in topics for number in self.partitions(topic)]
            wanted = self._unread(self._committed(consumer, asked))
            nobody_since: float | None = None
            waited_for = [TopicPartition(*at) for at in wanted]
            while waited_for:
                unread = [at for at, offset in self._committed(consumer, waited_for).items() if offset < wanted[at]]
                if not unread:
                    return
                nobody_since = (nobody_since or time.monotonic()) if self._is_deserted(group) else None
                deserted = nobody_since is not None and time.monotonic() - nobody_since > _NOBODY_SECONDS
                if deserted or deadline.is_over:
                    raise NotReadError(_unread(group, unread, nobody_since is not None))
                time.sleep(_PAUSE_SECONDS)
        finally:
            consumer.close()

    def _committed(self, consumer: Consumer, asked: list[TopicPartition]) -> Places:
        return {
            (at.topic, at.partition): max(0, at.offset) for at in consumer.committed(asked, timeout=_ANSWER_SECONDS)
        }

    def _unread(self, committed: Places) -> Places:
        """Where the last record ends behind what is committed: the end of a log itself may be that of a transaction,
        which no reader ever gets to."""
        found: Places = {}

        def note(message: Message) -> None:
            found[str(message.topic()), message.partition() or 0] = (message.offset() or 0) + 1

        self._read(committed, note)
        return found

    def _is_deserted(self, group: str) -> bool:
        described = self._admin.describe_consumer_groups([group], request_timeout=_ANSWER_SECONDS)[group]
        try:
            return not described.result(_ANSWER_SECONDS).members
        except KafkaException:
            return False  # Its coordinator moves.

    def kept(self, topics: Iterable[str]) -> dict[str, Kept]:
        """How long topics keep what is in them."""
        asked = [ConfigResource(ResourceType.TOPIC, topic) for topic in topics if self.partitions(topic)]
        found = self._admin.describe_configs(asked, request_timeout=_ANSWER_SECONDS)
        return {
            resource.name: _kept({name: entry.value for name, entry in answer.result(_ANSWER_SECONDS).items()})
            for resource, answer in found.items()
        }


def _kept(config: Mapping[str, Any]) -> Kept:
    def ms(name: str) -> int | None:
        value = int(config[name])
        return None if value < 0 or value > _NEVER else value

    def together(*parts: int | None) -> int | None:
        return None if None in parts else sum(part or 0 for part in parts)

    compacted = "compact" in config["cleanup.policy"]
    # A segment goes as a whole, when the last record in it is old enough.
    retention = None if "delete" not in config["cleanup.policy"] else together(ms("retention.ms"), ms("segment.ms"))
    # What supersedes a record may be a tombstone, which has the same key and goes later.
    compaction = together(ms("max.compaction.lag.ms"), ms("delete.retention.ms")) if compacted else None
    return Kept(retention, compaction, compacted)


def _unread(group: str, unread: list[tuple[str, int]], deserted: bool) -> str:
    where = ", ".join(sorted({topic for topic, _ in unread}))
    if deserted:
        return f"no worker of group {group} runs, and not all of {where} is read; start one and forget again"
    return f"the workers of group {group} have not read all of {where} in time; forget again, with a longer --wait"
