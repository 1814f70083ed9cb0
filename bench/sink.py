"""How fast the outputs and the raw events get into ClickHouse."""

from __future__ import annotations

import time
from typing import Final

from bench.report import Result, Table
from bench.running import Worker, wait_until, worker
from bench.stage import Desk, stage
from bench.throughput import DEADLINE_SECONDS, processed
from schemas.events import INPUT_TOPICS
from schemas.outputs import CELLS, FACTS

TOPICS: Final = (FACTS, CELLS, *INPUT_TOPICS)


def sink(events: int) -> Result:
    """Let a processor write the outputs of these events, then time a sink of its own on all of it; not pinned."""
    with stage() as on:
        on.make_topics(inputs=True)
        total = on.publish(Desk(events, 1.0))
        with worker(on.folder, on.settings("sink", clock="event")) as running:
            processed(on, running, "sink", total, on.ends(INPUT_TOPICS))
        records = on.records(TOPICS)
        settings = on.settings("sink", "sink") | {"clickhouse.path": on.folder / "clickhouse"}
        with worker(on.folder, settings) as running:
            seconds, cpu_seconds = _drained(running)
            peak = running.memory_mib("VmHWM")
    rows = sum(records.values())
    found = {"events": total, "records": records, "seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak}
    table = Table(
        f"{rows:,} records into ClickHouse inside the worker's process (roles: sink)",
        ["seconds", "records/s", "CPU seconds", "peak MiB"],
        [[f"{seconds:.1f}", f"{rows / seconds:,.0f}", f"{cpu_seconds:.1f}", f"{peak:,.0f}"]],
    )
    told = ", ".join(f"{topic} {number:,}" for topic, number in records.items())
    return Result("sink", [table], found, [f"Records: {told}."])


def _drained(running: Worker) -> tuple[float, float]:
    """From the last time that it had no partitions until nothing is left."""
    began = time.monotonic(), running.cpu_seconds()

    def assigned() -> bool:
        nonlocal began
        asked = time.monotonic(), running.cpu_seconds()
        status = running.status()
        if status is not None and status["ready"]:
            return True
        began = asked
        return False

    def done() -> bool:
        status = running.status()
        return status is not None and status["ready"] and not status["health"]["sink_lag"]

    wait_until(assigned, 120, "the sink has partitions", 0.01)
    wait_until(done, DEADLINE_SECONDS, "everything is in ClickHouse", 0.1)
    return time.monotonic() - began[0], running.cpu_seconds() - began[1]
