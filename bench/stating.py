"""Keeps many tickets in partitions without Kafka, in memory or on the disk, and restores them.

A process of its own: ``python -m bench.stating '{"folder": ... or null, "tickets": 100000}'``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Final

from bench.running import MIB
from deskpulse.allocator import give_memory_back, hold_memory
from schemas.events import INPUT_TOPICS
from schemas.outputs import CUSTOMERS, HISTORIES
from sources.simulator import SimulatorConfig, simulate
from streams.config import DomainConfig
from streams.disk import Disk
from streams.kept import KeptPartition
from streams.partitioner import partition_of
from streams.watermark import Watermark

PARTITIONS: Final = 4
AT_ONCE: Final = 20_000
START_MS: Final = 1_780_272_000_000
CONFIG: Final = DomainConfig(horizon_ms=None)


class Record:
    """A record as it is read."""

    __slots__ = ("_key", "_value")

    def __init__(self, key: bytes, value: bytes) -> None:
        self._key, self._value = key, value

    def key(self) -> bytes:
        """Its key."""
        return self._key

    def value(self) -> bytes:
        """Its value."""
        return self._value

    def offset(self) -> int:
        """Nothing depends on it."""
        return 0


def resident_mib() -> float:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / MIB


def opened(folder: Path | None) -> list[KeptPartition]:
    """All partitions, with what is on the disk of them."""
    disks = [None if folder is None else Disk(folder / str(number), "bench", 0) for number in range(PARTITIONS)]
    kept = [KeptPartition(0, CONFIG, Watermark(INPUT_TOPICS, 0, event_clock=True), disk) for disk in disks]
    for one in kept:
        one.restored()
    return kept


def fill(kept: list[KeptPartition], part: int) -> None:
    """Some tickets more, each of whose events come in two halves."""
    name = f"{part:04d}-".encode()
    records: list[list[list[Record]]] = [[[] for _ in INPUT_TOPICS] for _ in range(PARTITIONS)]
    for _, topic, key, value in simulate(SimulatorConfig(START_MS, tickets=AT_ONCE, days=7, seed=part)):
        one = Record(name + key, value.replace(b'"ticket_id":"', b'"ticket_id":"' + name))
        records[partition_of(one.key(), PARTITIONS)][INPUT_TOPICS.index(topic)].append(one)
    for half in (0, 1):
        for of_topics, one_kept in zip(records, kept, strict=True):
            for topic, all_of_them in zip(INPUT_TOPICS, of_topics, strict=True):
                middle = len(all_of_them) // 2
                one_kept.partition.apply(topic, all_of_them[:middle] if half == 0 else all_of_them[middle:])
            one_kept.partition.advance((), 0)
            made = one_kept.partition.cut().records
            told = [(key, value or b"") for key, value in made.get(CUSTOMERS, [])]
            one_kept.customers.apply(told)
            _, customer_tickets = one_kept.customers.cut()
            one_kept.cut(made.get(HISTORIES, []), customer_tickets)
            one_kept.committed()


def main() -> None:
    """Fill, measure, open again."""
    asked = json.loads(sys.argv[1])
    folder = asked["folder"] and Path(asked["folder"])
    hold_memory()
    kept = opened(folder)
    empty_mib = resident_mib()
    for part in range(-(-asked["tickets"] // AT_ONCE)):
        fill(kept, part)
    give_memory_back()  # As a worker does when it has caught up.
    answer = {"tickets": sum(len(one.partition) for one in kept), "empty_mib": empty_mib, "full_mib": resident_mib()}
    if folder is not None:
        for one in kept:
            one.close()
        del kept, one
        began = time.monotonic()
        kept = opened(folder)
        answer["reopened_seconds"] = time.monotonic() - began
        assert sum(len(one.partition) for one in kept) == answer["tickets"]
        answer["disk_mib"] = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MIB
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
