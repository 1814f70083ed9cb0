"""Publishes records, each at its time, whatever happens to the broker meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, Message, Producer

from streams.clients import client_config
from tests.chaos.traffic import Record

_TICK_SECONDS: Final = 0.02
"""Records come so late at most: woken up for each of 2,000 a second, this took a quarter of a core."""
_FLUSH_SECONDS: Final = 120.0


class Feed(threading.Thread):
    """A producer that waits until the broker is back; every record is published once."""

    def __init__(self, client: Mapping[str, Any], records: Iterable[Record]) -> None:
        super().__init__(name="feed", daemon=True)
        self.failure: Exception | None = None
        self.sent = 0
        self._records = records
        self._failed: list[str] = []
        self._producer = Producer(
            client_config(
                client,
                fixed={
                    "enable.idempotence": True,
                    "partitioner": "murmur2_random",
                    "compression.type": "lz4",
                    "linger.ms": 5,
                    "queue.buffering.max.messages": 1_000_000,
                    "delivery.timeout.ms": int(_FLUSH_SECONDS * 1000),
                    "reconnect.backoff.max.ms": 1000,
                    "on_delivery": self._delivered,
                    "delivery.report.only.error": True,
                },
            )
        )

    def run(self) -> None:
        """Until all are with the broker."""
        try:
            for record in self._records:
                while record.due_ms > time.time() * 1000:
                    self._producer.poll(0)
                    time.sleep(_TICK_SECONDS)
                self._send(record)
                self.sent += 1
            left = self._producer.flush(_FLUSH_SECONDS)
            if left or self._failed:
                raise RuntimeError(f"{left} records did not reach the broker; {'; '.join(self._failed[:5])}")
        except Exception as error:
            self.failure = error

    def finish(self, deadline_seconds: float) -> None:
        """Wait for its end; raises what went wrong."""
        self.join(deadline_seconds)
        if self.is_alive():
            raise TimeoutError(f"not everything is published after {deadline_seconds:g} s more")
        if self.failure is not None:
            raise self.failure

    def _send(self, record: Record) -> None:
        while True:
            try:
                self._producer.produce(record.topic, record.value, record.key)
            except BufferError:
                self._producer.poll(0.1)
            else:
                return

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed.append(f"{message.topic()}: {error.str()}")
