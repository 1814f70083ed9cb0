"""The topics that deskpulse needs: what they are to be, making them, checking them.

Producers of input events set librdkafka's ``partitioner`` to ``murmur2_random`` (see ``streams.partitioner``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its public names, but not declared as such
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from schemas.events import INPUT_TOPICS
from schemas.outputs import (
    CHANGELOGS,
    CUSTOMERS,
    DEAD_LETTERS,
    FACTS,
    INNER_TOPICS,
    LARGEST_RECORD_BYTES,
    LATE,
    OUTPUT_TOPICS,
    REPLAYED,
)
from streams.clients import ClientSettings, Deadline, Reasons, UnansweredError, client_config, kafka_error, metadata

_DAY_MS: Final = 86_400_000
_REFUSED: Final = (LATE, DEAD_LETTERS)
_LARGE: Final = {"max.message.bytes": str(LARGEST_RECORD_BYTES)}
_WITH_LARGE: Final = (*_REFUSED, FACTS, CUSTOMERS)
_CHANGELOG: Final = {
    "cleanup.policy": "compact",
    # A restore reads all of it. Only closed segments are compacted, so they are closed by time: by size alone 64 MiB of
    # superseded records would gather in each partition, and at 1,000 events/s restoring 20,000 tickets came to 15 s
    # within half an hour. What is compacted is merged into large segments again, which a largest record has to fit in.
    "min.cleanable.dirty.ratio": "0.1",
    "segment.ms": "60000",
    "segment.bytes": "33554432",
    **_LARGE,
    # What was superseded (it may be of a customer who was forgotten) is gone after two days at the latest; a worker
    # that was away for less than one sees every tombstone.
    "max.compaction.lag.ms": str(_DAY_MS),
    "delete.retention.ms": str(_DAY_MS),
}
_SEGMENT: Final = {"segment.ms": str(_DAY_MS)}
"""Kafka deletes whole segments: by its default of a week a record would live a week longer than its retention."""
_AT_LEAST: Final = frozenset({"retention.ms", "max.message.bytes"})
"""Settings that may be greater than wanted; a retention of -1 is without end."""
_AT_MOST: Final = frozenset({"max.compaction.lag.ms", "segment.ms"})
"""Settings that may be less than wanted."""
_PAUSE_SECONDS: Final = 0.1


class TopicError(Exception):
    """A topic could not be created or described."""


@dataclass(frozen=True)
class TopicSpec:
    """What a topic is to be; ``config`` are the broker's topic settings."""

    name: str
    partitions: int
    replication: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TopicRetention:
    """How long the topics keep their records, in milliseconds; changelogs keep the newest of each key."""

    inputs_ms: int = 7 * _DAY_MS
    outputs_ms: int = 7 * _DAY_MS
    """What workers tell each other included."""
    refused_ms: int = 30 * _DAY_MS
    """Late records and dead letters."""

    def of(self, topic: str) -> int:
        """Of one topic."""
        if topic in INPUT_TOPICS:
            return self.inputs_ms
        return self.refused_ms if topic in _REFUSED else self.outputs_ms


_RETENTION: Final = TopicRetention()


def default_specs(partitions: int, replication: int = 1, retention: TopicRetention = _RETENTION) -> list[TopicSpec]:
    """Inputs, outputs, what workers tell each other, changelogs and marks, all with the same number of partitions."""
    durable = {"min.insync.replicas": "2"} if replication > 2 else {}
    kept = [
        TopicSpec(
            name,
            partitions,
            replication,
            {
                "cleanup.policy": "delete",
                "retention.ms": str(retention.of(name)),
                **_SEGMENT,
                **(_LARGE if name in _WITH_LARGE else {}),
                **durable,
            },
        )
        for name in (*INPUT_TOPICS, *OUTPUT_TOPICS, *INNER_TOPICS)
    ]
    compacted = (*CHANGELOGS, REPLAYED)
    return [*kept, *(TopicSpec(name, partitions, replication, {**_CHANGELOG, **durable}) for name in compacted)]


def ensure_topics(client: ClientSettings, specs: Iterable[TopicSpec], deadline_seconds: float = 30.0) -> list[str]:
    """Create the topics that don't exist, wait until they can be used, and return the names of the new ones.

    What exists is left as it is, see :func:`check_topics`. Raises :class:`TopicError`. Blocks.
    """
    deadline = Deadline(deadline_seconds)
    specs = list(specs)
    brokers = _Brokers(client)
    there = brokers.partition_counts(deadline)
    missing = [spec for spec in specs if spec.name not in there]
    if not missing:
        return []
    created = []
    for name, made in brokers.admin.create_topics(
        [NewTopic(spec.name, spec.partitions, spec.replication, config=dict(spec.config)) for spec in missing],
        operation_timeout=deadline.remaining_seconds,
    ).items():
        try:
            made.result()
            created.append(name)
        except KafkaException as error:
            told = kafka_error(error)
            if told is None or told.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise TopicError(f"topic {name!r} could not be created: {error}") from error
    wanted = {spec.name for spec in missing}
    Retrying(
        retry=retry_if_result(lambda seen: not wanted <= seen.keys()),
        stop=stop_after_delay(deadline.remaining_seconds),
        wait=wait_fixed(_PAUSE_SECONDS),
        retry_error_callback=lambda _: _not_seen(wanted),
    )(brokers.partition_counts, deadline)
    return sorted(created)


def check_topics(client: ClientSettings, specs: Sequence[TopicSpec], deadline_seconds: float = 30.0) -> list[str]:
    """What is wrong with the topics, each a sentence that says what would be right; empty when all is well. Blocks.

    All of ``specs`` must have the same number of partitions, whatever it is: a ticket's events, its state and its
    output meet in one partition number.
    """
    deadline = Deadline(deadline_seconds)
    brokers = _Brokers(client)
    there = brokers.partition_counts(deadline)
    problems = [f"Topic {spec.name} is missing: create it." for spec in specs if spec.name not in there]
    present = [spec for spec in specs if spec.name in there]
    counts = {spec.name: there[spec.name] for spec in present}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"The topics must have equal numbers of partitions, but have: {told}.")
    if not present:
        return problems
    described = brokers.admin.describe_configs(
        [ConfigResource(ResourceType.TOPIC, spec.name) for spec in present],
        request_timeout=max(1.0, deadline.remaining_seconds),
    )
    configs = {resource.name: described[resource] for resource in described}
    for spec in present:
        try:
            actual = {name: entry.value for name, entry in configs[spec.name].result().items()}
        except KafkaException as error:
            raise TopicError(f"the settings of topic {spec.name!r} can't be read: {error}") from error
        problems += [
            f"Topic {spec.name} has {name}={actual.get(name)}, but it must be {wanted}"
            + (" or more." if name in _AT_LEAST else " or less." if name in _AT_MOST else ".")
            for name, wanted in spec.config.items()
            if not _is_right(name, wanted, actual.get(name))
        ]
    return problems


def _is_right(name: str, wanted: str, actual: str | None) -> bool:
    if name in _AT_LEAST and actual is not None:
        return int(actual) == -1 or int(actual) >= int(wanted)
    if name in _AT_MOST and actual is not None:
        return int(actual) <= int(wanted)
    return actual == wanted


class _Brokers:
    def __init__(self, client: ClientSettings) -> None:
        self._reasons = Reasons()
        self.admin = AdminClient(client_config(client, fixed={"error_cb": self._reasons}))

    def partition_counts(self, deadline: Deadline) -> dict[str, int]:
        """Every topic that can be used, with its number of partitions."""
        try:
            found: Any = metadata(self.admin, self._reasons, deadline).topics
        except UnansweredError as error:
            raise TopicError(f"the brokers do not answer: {error}") from error
        return {
            name: len(topic.partitions)
            for name, topic in found.items()
            if topic.error is None and topic.partitions and all(p.leader >= 0 for p in topic.partitions.values())
        }


def _not_seen(names: set[str]) -> dict[str, int]:
    raise TopicError(f"the brokers do not show all of the new topics in time: {', '.join(sorted(names))}")
