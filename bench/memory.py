"""Resident memory of a processor that tracks many tickets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from bench.report import Result, Table
from bench.running import MIB, Worker, wait_until, worker
from bench.stage import EVENTS_PER_TICKET, Desk, Stage, stage
from bench.throughput import DEADLINE_SECONDS, processed
from schemas.events import INPUT_TOPICS

BASE_MIB: Final = 200
"""What a worker may take whatever it tracks."""
TARGET_BYTES: Final = 1024
"""What a ticket may take beyond that."""
DAYS: Final = 7.0
REST_SECONDS: Final = 40.0
"""Longer than a worker takes to pack what rests: only then it gives the memory back."""


@dataclass(frozen=True)
class Memory:
    """One worker, all of whose tickets are tracked."""

    tickets: int
    ready_mib: float
    """Before the first event."""
    done_mib: float
    """With everything read and committed."""
    most_mib: float
    """The greatest until then."""
    again_mib: float
    """Of another worker that has restored the same state."""

    @property
    def bytes_per_ticket(self) -> float:
        """Beyond what a worker may take anyhow."""
        return max(0.0, self.done_mib - BASE_MIB) * MIB / self.tickets


def memory(tickets: Sequence[int]) -> Result:
    """Measure with so many tickets each, in increasing order, and what one more costs between the ends."""
    with stage() as on:
        found = [_measure(on, number) for number in sorted(tickets)]
    rows = [
        [
            f"{one.tickets:,}",
            *(f"{mib:,.0f}" for mib in (one.ready_mib, one.done_mib, one.most_mib, one.again_mib)),
            f"{one.bytes_per_ticket:,.0f}",
        ]
        for one in found
    ]
    columns = ["tickets", "empty", "with all", "peak", "restored", f"bytes/ticket beyond {BASE_MIB} MiB"]
    notes = []
    first, last = found[0], found[-1]
    if last.tickets > first.tickets:
        more = (last.done_mib - first.done_mib) * MIB / (last.tickets - first.tickets)
        notes.append(f"From {first.tickets:,} to {last.tickets:,} tickets, one ticket more costs {more:,.0f} bytes.")
    data = [{**asdict(one), "bytes_per_ticket": round(one.bytes_per_ticket)} for one in found]
    return Result(
        "memory",
        [Table("Resident memory of the processor, MiB", columns, rows)],
        {"base_mib": BASE_MIB, "target_bytes_per_ticket": TARGET_BYTES, "workers": data},
        notes,
    )


def _measure(on: Stage, tickets: int) -> Memory:
    on.make_topics(inputs=True)
    group = f"memory-{tickets}"
    settings = on.settings(group, clock="event", horizon="unlimited")
    with worker(on.folder, settings) as running:
        # Without events first: what is published later is then not yet in the reader's queue.
        running.await_ready()
        ready_mib = running.memory_mib()
        total = on.publish(Desk(tickets * EVENTS_PER_TICKET, DAYS))
        processed(on, running, group, total, on.ends(INPUT_TOPICS))
        tracked = wait_until(running.status, 30, "the worker's status")["health"]["tracked_tickets"]
        done_mib, most_mib = _at_rest_mib(running), running.memory_mib("VmHWM")
    with worker(on.folder, settings) as running:
        running.await_ready(DEADLINE_SECONDS)
        return Memory(tracked, ready_mib, done_mib, most_mib, _at_rest_mib(running))


def _at_rest_mib(running: Worker) -> float:
    """Resident memory when it has not fallen any more for some seconds: a worker tidies up when it has time."""
    least, since = running.memory_mib(), time.monotonic()
    while time.monotonic() - since < REST_SECONDS:
        time.sleep(0.1)
        now_mib = running.memory_mib()
        if now_mib < least - 1:
            least, since = now_mib, time.monotonic()
    return running.memory_mib()
