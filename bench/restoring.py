"""Restores all partitions from the changelog, as a worker does when it gets them.

A process of its own: ``python -m bench.restoring '{"bootstrap": ..., "partitions": 4}'``.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time

from faust.types import TP

from deskpulse.allocator import collect_seldom, hold_memory
from deskpulse.durations import duration_ms
from deskpulse.settings import Settings
from schemas.events import INPUT_TOPICS
from schemas.outputs import HISTORIES
from streams.partition import Partition
from streams.restore import read_to_end
from streams.watermark import Watermark


async def main() -> None:
    """Time the reading and the rebuilding apart."""
    asked = json.loads(sys.argv[1])
    settings = Settings()
    domain = settings.domain()
    began_cpu = time.process_time()
    partitions = [
        Partition(number, domain, Watermark(INPUT_TOPICS, duration_ms(settings.worker.grace), True))
        for number in range(asked["partitions"])
    ]
    began = time.monotonic()
    ends = await read_to_end(
        {"bootstrap.servers": asked["bootstrap"]},
        {TP(HISTORIES, partition.number): (0, partition.restore) for partition in partitions},
    )
    middle = time.monotonic()
    for partition in partitions:
        partition.restored()
    ended = time.monotonic()
    answer = {
        # Ends of transactions have an offset, too; they are few.
        "records": sum(ends.values()),
        "tickets": sum(map(len, partitions)),
        "read_seconds": middle - began,
        "rebuild_seconds": ended - middle,
        "cpu_seconds": time.process_time() - began_cpu,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    hold_memory()
    collect_seldom()
    asyncio.run(main())
