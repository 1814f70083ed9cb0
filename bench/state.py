"""What the state of many tickets takes, in memory and on the disk."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.report import Result, Table
from bench.running import answer_of
from bench.throughput import CORE

_DEADLINE_SECONDS = 3_600.0


def state(in_memory: int, on_disk: int) -> Result:
    """Fill so many tickets into partitions without Kafka, each in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="deskpulse-bench-") as name:
        folder = Path(name)
        for where, tickets in (("in memory", in_memory), ("on the disk", on_disk)):
            question = {"tickets": tickets, "folder": None if where == "in memory" else str(folder / "state")}
            found[where] = answer_of(CORE, "stating", folder, question, _DEADLINE_SECONDS)
    rows = [
        [
            where,
            f"{one['tickets']:,}",
            f"{one['full_mib']:,.0f}",
            f"{one['disk_mib']:,.0f}" if "disk_mib" in one else "",
            f"{one['reopened_seconds']:.1f}" if "reopened_seconds" in one else "",
        ]
        for where, one in found.items()
    ]
    columns = ["state", "tickets", "resident MiB", "disk MiB", "opened again, seconds"]
    return Result("state", [Table("Partitions and customers, without Kafka, 4 partitions", columns, rows)], found)
