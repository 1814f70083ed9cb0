"""The producer of Faust's own sends. What belongs to the state goes by the transaction instead, see streams.commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import confluent_kafka
from confluent_kafka import KafkaError, Message
from faust.exceptions import ProducerSendError
from faust.transport import producer as faust_producer
from faust.types import TP
from faust.types.tuples import RecordMetadata
from mode.utils.times import want_seconds

from streams import topics
from streams.clients import client_config
from streams.partitioner import partition_of

if TYPE_CHECKING:
    from streams.transport.app import App

_POLL_SECONDS: Final = 0.1
_FLUSH_SECONDS: Final = 30.0
_ASK_SECONDS: Final = 30.0


class Producer(faust_producer.Producer):
    """Sends single records, at least once; one that can't be delivered ends the worker.

    The client is made by the first send: a worker that sends nothing this way has none.
    """

    app: App

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._client_or_none: confluent_kafka.Producer | None = None
        self._stopping = threading.Event()

    def _client(self) -> confluent_kafka.Producer:
        if self._client_or_none is None:
            self._client_or_none = confluent_kafka.Producer(
                client_config(
                    self.app.client,
                    defaults={"linger.ms": 5, "compression.type": "lz4"},
                    fixed={
                        "enable.idempotence": True,
                        "partitioner": "murmur2_random",
                    },
                )
            )
            threading.Thread(target=self._poll, args=(self._client_or_none,), name="producer", daemon=True).start()
        return self._client_or_none

    def _poll(self, client: confluent_kafka.Producer) -> None:
        try:
            while not self._stopping.is_set():
                client.poll(_POLL_SECONDS)
        except BaseException as error:
            self.app.fail(error)

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> Awaitable[RecordMetadata]:
        """Send one record; the awaitable that is returned waits for its delivery."""
        loop = asyncio.get_running_loop()
        delivered: asyncio.Future[RecordMetadata] = loop.create_future()

        def on_delivery(error: KafkaError | None, record: Message) -> None:
            loop.call_soon_threadsafe(self._delivered, delivered, error, record)

        options: dict[str, Any] = {"on_delivery": on_delivery}
        if partition is not None:
            options["partition"] = partition
        if timestamp is not None:
            options["timestamp"] = round(1000 * timestamp)
        if headers:
            options["headers"] = list(headers.items()) if isinstance(headers, Mapping) else list(headers)
        while True:
            try:
                self._client().produce(topic, value, key, **options)
            except BufferError:
                await asyncio.sleep(_POLL_SECONDS)
            else:
                return delivered

    def _delivered(self, delivered: asyncio.Future[RecordMetadata], error: KafkaError | None, record: Message) -> None:
        topic, partition = str(record.topic()), int(record.partition() or 0)
        if error is not None:
            failure = ProducerSendError(f"a record of {topic} with key {record.key()!r} was not sent: {error.str()}")
            if not delivered.done():
                delivered.set_exception(failure)
                delivered.exception()  # told here, whether or not somebody awaits it
            self.app.fail(failure)
        elif not delivered.done():
            timestamp_type, timestamp_ms = record.timestamp()
            delivered.set_result(
                RecordMetadata(
                    topic, partition, TP(topic, partition), record.offset() or 0, timestamp_ms / 1000, timestamp_type
                )
            )

    async def send_and_wait(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,
        headers: Any,
        *,
        transactional_id: str | None = None,
    ) -> RecordMetadata:
        """Send one record and wait for its delivery."""
        return await (await self.send(topic, key, value, partition, timestamp, headers))

    async def flush(self) -> None:
        """Wait until everything sent is delivered."""
        await self.buffer.flush()
        client = self._client_or_none
        left: int = await asyncio.to_thread(client.flush, _FLUSH_SECONDS) if client is not None else 0
        if left:
            self.app.fail(ProducerSendError(f"records were not delivered within {_FLUSH_SECONDS:g} s"))

    async def on_stop(self) -> None:
        """Deliver what is left."""
        await self.flush()
        self._stopping.set()

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,
        *,
        config: Mapping[str, Any] | None = None,
        timeout: Any = 30.0,  # noqa: ASYNC109 (Faust's name)
        retention: Any = None,
        compacting: bool | None = None,
        deleting: bool | None = None,
        ensure_created: bool = False,
    ) -> None:
        """Create a topic if it isn't there."""
        spec = topics.TopicSpec(
            topic, partitions, replication, _topic_config(config or {}, retention, compacting, deleting)
        )
        await asyncio.to_thread(topics.ensure_topics, self.app.client, [spec], want_seconds(timeout))

    def key_partition(self, topic: str, key: bytes) -> TP:
        """The partition of a key. Blocks."""
        found = self._client().list_topics(topic, _ASK_SECONDS).topics[topic]
        return TP(topic, partition_of(key, len(found.partitions)))

    def supports_headers(self) -> bool:
        """Yes."""
        return True


def _topic_config(
    config: Mapping[str, Any], retention: Any, compacting: bool | None, deleting: bool | None
) -> dict[str, str]:
    policies: Iterable[str] = [name for name, wanted in (("compact", compacting), ("delete", deleting)) if wanted]
    policy = ",".join(policies)
    made = {"cleanup.policy": policy} if policy else {}
    if retention:
        made["retention.ms"] = str(round(1000 * want_seconds(retention)))
    return {**made, **{name: str(value) for name, value in config.items()}}
