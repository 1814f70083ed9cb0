"""The least that any reader of the events has to do: ``consume()`` and decode each with msgspec.

A process of its own: ``python -m bench.raw '{"bootstrap": ..., "ends": [[topic, partition, offset], ...]}'``.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from schemas.events import decoder


def main() -> None:
    """Read all that there is; the time begins when nothing was read yet for the last time."""
    asked = json.loads(sys.argv[1])
    consumer = Consumer(
        {
            "bootstrap.servers": asked["bootstrap"],
            "group.id": "raw",
            "enable.auto.commit": False,
            "queued.min.messages": 100_000,
            "fetch.queue.backoff.ms": 20,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for topic, number, _ in asked["ends"]])
    total = sum(end for _, _, end in asked["ends"])
    decode: Callable[[Any], object] = decoder.decode
    wall, cpu, read = 0.0, 0.0, 0
    while read < total:
        if not read:
            # As of the worker: from when it was last seen to have read nothing, looked at every 10 ms.
            wall, cpu = time.monotonic(), time.process_time()
        messages = consumer.consume(10_000, 0.1 if read else 0.01)
        for message in messages:
            decode(message.value())
        read += len(messages)
    print(json.dumps({"events": read, "seconds": time.monotonic() - wall, "cpu_seconds": time.process_time() - cpu}))
    consumer.close()


if __name__ == "__main__":
    main()
