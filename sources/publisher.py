"""Writing events to Kafka: one producer for files and for the simulator, whose failures are never lost."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.events import INPUT_TOPICS
from schemas.outputs import DEAD_LETTER_HEADERS, DEAD_LETTERS, LARGEST_RECORD_BYTES

QUEUE_MESSAGES: Final = 200_000
"""What waits in the producer at most; beyond it sending waits."""
CONNECT_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 0.25
"""How long to wait before asking whether there is any hope."""
FLUSH_SECONDS: Final = 120.0
LOG: Final = logging.getLogger("deskpulse.kafka")
_MAX_SHOWN: Final = 5


class PublishError(Exception):
    """Records that did not reach the brokers, or brokers or topics that are not there."""


Outgoing: TypeAlias = dict[str, Any]
"""A record as the producer takes it: ``key`` and ``value``, bytes."""


class Publisher:
    """Sends records to their topics, partitioned by key like every Kafka client in Java does (murmur2).

    ``client``: options of librdkafka; they win over what is set here, but for what delivery depends on.
    """

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._failures: list[str] = []
        self._failed = 0
        self._queued: Counter[str] = Counter()
        self._reasons: list[str] = []
        self._refused = ""
        self._producer = Producer(
            {
                "compression.type": "lz4",
                "linger.ms": 20,
                "batch.size": 1 << 20,
                "batch.num.messages": 20_000,
                # Bad lines go whole to the dead letters, which take more than other topics.
                "message.max.bytes": LARGEST_RECORD_BYTES,
                "queue.buffering.max.kbytes": 512 * 1024,
                **client,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                # What is neither left nor failed has arrived; a callback for each record would halve the rate.
                "delivery.report.only.error": True,
                "error_cb": self._client_error,
            },
            logger=LOG,
        )

    def connect(self, topics: tuple[str, ...] = INPUT_TOPICS) -> None:
        """See that the brokers answer and have ``topics``; raises :class:`PublishError`."""
        deadline = monotonic() + CONNECT_SECONDS
        while True:
            try:
                there = self._producer.list_topics(timeout=LOOK_SECONDS).topics
                break
            except KafkaException as error:
                # What librdkafka found out on the way is told to `error_cb` only now.
                self._producer.poll(0)
                if self._refused:
                    raise PublishError(f"the brokers refuse: {self._refused}") from None
                if monotonic() > deadline:
                    why = self._reasons[-1] if self._reasons else error.args[0].str()
                    raise PublishError(
                        f"no broker answered within {CONNECT_SECONDS:.0f} s: {why}; "
                        "is Kafka up, are kafka.bootstrap and kafka.security right?"
                    ) from None
        if missing := [topic for topic in topics if topic not in there]:
            raise PublishError(f"missing: {', '.join(missing)}; `deskpulse topics create` makes what is missing")

    def send(self, topic: str, records: list[Outgoing]) -> None:
        """Queue records, waiting while the queue is full; raises :class:`PublishError` once any record has failed."""
        for start in range(0, len(records), QUEUE_MESSAGES // 4):
            part = records[start : start + QUEUE_MESSAGES // 4]
            self._wait_for_room(len(part))
            queued = self._producer.produce_batch(topic, part, on_delivery=self._delivered)
            self._queued[topic] += queued
            if queued < len(part):
                refused = [record for record in part if "_error" in record]
                raise PublishError(f"{topic}: {len(refused)} records refused: {refused[0]['_error']}")
        self._producer.poll(0)
        self._raise_failures()

    def send_dead_letter(self, value: bytes, reason: str, origin: str, offset: int, timestamp_ms: int) -> None:
        """Send a bad record, whole, to the dead letters; ``origin`` and ``offset`` say where it came from."""
        told = (reason, origin, "-1", str(offset), str(timestamp_ms))
        headers: list[tuple[str, str | bytes | None]] = [
            (name, text.encode()) for name, text in zip(DEAD_LETTER_HEADERS, told, strict=True)
        ]
        self._wait_for_room(1)
        try:
            self._producer.produce(DEAD_LETTERS, value=value, headers=headers, on_delivery=self._delivered)
        except KafkaException as error:
            raise PublishError(f"{DEAD_LETTERS}: a record was refused: {error.args[0].str()}") from None
        self._queued[DEAD_LETTERS] += 1

    def flush(self) -> None:
        """Wait until the brokers have everything; raises :class:`PublishError` for what they have not."""
        deadline = monotonic() + FLUSH_SECONDS
        while (left := self._producer.flush(1.0)) and monotonic() < deadline and not self._failed:
            pass
        self._raise_failures()
        if left:
            why = f" ({self._reasons[-1]})" if self._reasons else ""
            raise PublishError(f"{left:,} records have not reached the brokers after {FLUSH_SECONDS:.0f} s{why}")

    @property
    def by_topic(self) -> dict[str, int]:
        """Records sent, by topic; after :meth:`flush` all of them are with the brokers."""
        return dict(sorted(self._queued.items()))

    def _wait_for_room(self, records: int) -> None:
        while len(self._producer) + records > QUEUE_MESSAGES:
            self._producer.poll(0.05)
            self._raise_failures()

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed += 1
            if len(self._failures) < _MAX_SHOWN:
                self._failures.append(f"{message.topic()}: {error.str()}")

    def _client_error(self, error: KafkaError) -> None:
        # That all brokers are down follows from what was told of each.
        if not self._reasons or error.code() != KafkaError._ALL_BROKERS_DOWN:
            self._reasons[:] = [error.str()]
        # No waiting helps against an unknown user, or against a certificate that is not trusted.
        if error.code() == KafkaError._AUTHENTICATION or "certificate" in error.str():
            self._refused = error.str()

    def _raise_failures(self) -> None:
        if self._failed:
            raise PublishError(
                f"{self._failed:,} records were not delivered: {'; '.join(dict.fromkeys(self._failures))}"
            )
