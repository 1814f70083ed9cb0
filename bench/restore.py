"""How fast a worker gets its state back."""

from __future__ import annotations

from bench.report import Result, Table
from bench.running import answer_of, worker
from bench.stage import PARTITIONS, Desk, stage
from bench.throughput import CORE, DEADLINE_SECONDS, processed
from schemas.events import INPUT_TOPICS


def restore(events: int) -> Result:
    """Let a worker write the changelog of these events, then restore all partitions on one core."""
    with stage() as on:
        on.make_topics(inputs=True)
        total = on.publish(Desk(events, 1.0))
        with worker(on.folder, on.settings("restore", clock="event")) as running:
            processed(on, running, "restore", total, on.ends(INPUT_TOPICS))
        question = {"bootstrap": on.bootstrap, "partitions": PARTITIONS}
        found = answer_of(CORE, "restoring", on.folder, question, DEADLINE_SECONDS)
    records, tickets = found["records"], found["tickets"]
    read, rebuilt = found["read_seconds"], found["rebuild_seconds"]
    rows = [
        ["read the changelog", f"{read:.2f}", f"{records / read:,.0f}", f"{tickets / read:,.0f}"],
        ["rebuild figures and timers", f"{rebuilt:.2f}", "", f"{tickets / rebuilt:,.0f}"],
        [
            "both",
            f"{read + rebuilt:.2f}",
            f"{records / (read + rebuilt):,.0f}",
            f"{tickets / (read + rebuilt):,.0f}",
        ],
    ]
    title = f"{tickets:,} tickets of {total:,} events, {records:,} changelog records (not yet compacted), one core"
    table = Table(title, ["", "seconds", "records/s", "tickets/s"], rows)
    return Result("restore", [table], {"events": total, **found})
