"""Restores every partition from the changelog, one after the other, as a worker does when it gets them.

A process of its own: ``python -m bench.restoring '{"bootstrap": ..., "partitions": 4}'``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

from deskpulse.durations import duration_ms
from deskpulse.settings import Settings
from schemas.events import INPUT_TOPICS
from schemas.outputs import HISTORIES
from streams.attributes import AttributeGraph, Dimensions
from streams.partition import Partition
from streams.restore import read_to_end
from streams.watermark import Watermark


async def main() -> None:
    """Time the reading and the rebuilding apart."""
    asked = json.loads(sys.argv[1])
    settings = Settings()
    domain = settings.domain()
    dimensions = Dimensions(domain.dimensions)
    graph = AttributeGraph(dimensions)
    read = rebuilt = 0.0
    records = tickets = 0
    kept: list[Partition] = []
    began_cpu = time.process_time()
    for number in range(asked["partitions"]):
        watermark = Watermark(INPUT_TOPICS, duration_ms(settings.worker.grace), True)
        partition = Partition(number, domain, dimensions, graph, watermark)
        began = time.monotonic()
        records += await read_to_end({"bootstrap.servers": asked["bootstrap"]}, HISTORIES, number, partition.restore)
        middle = time.monotonic()
        partition.restored()
        read, rebuilt = read + middle - began, rebuilt + time.monotonic() - middle
        tickets += len(partition)
        kept.append(partition)
    answer = {
        "records": records,
        "tickets": tickets,
        "read_seconds": read,
        "rebuild_seconds": rebuilt,
        "cpu_seconds": time.process_time() - began_cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    asyncio.run(main())
