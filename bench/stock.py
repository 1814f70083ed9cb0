"""Stock Faust, its own driver and its own table: counts the events of each type by minute, and keeps no more.

A process of its own: ``python -m bench.stock '{"bootstrap": ..., "name": ..., "topics": [...], ...}'``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import faust


def main() -> None:
    """Run until enough events are counted; the time begins with the first."""
    asked = json.loads(sys.argv[1])
    app = faust.App(
        asked["name"],
        broker=f"kafka://{asked['bootstrap']}",
        store="memory://",
        topic_partitions=asked["partitions"],
        topic_replication_factor=1,
        value_serializer="json",
        key_serializer="raw",
        web_enabled=False,
    )
    counts = app.Table("counts", default=int, key_type=str, value_type=int).tumbling(60.0)
    began: list[float] = []
    seen = 0

    @app.agent(app.topic(*asked["topics"]))
    async def count(events: Any) -> None:
        nonlocal seen
        async for event in events:
            if not began:
                began[:] = time.monotonic(), time.process_time()
            counts[event["type"]] += 1
            seen += 1
            if seen >= asked["events"]:
                wall, cpu = time.monotonic() - began[0], time.process_time() - began[1]
                # Not through Faust, which has taken over standard output.
                os.write(1, json.dumps({"events": seen, "seconds": wall, "cpu_seconds": cpu}).encode() + b"\n")
                os._exit(0)

    faust.Worker(app, loglevel="ERROR").execute_from_commandline()


if __name__ == "__main__":
    main()
