"""The cells of the period: what all tickets contribute to it, beside what ClickHouse holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

import msgspec

from deskpulse.backfill.period import Period
from deskpulse.backfill.tables import Fresh
from deskpulse.recompute import cell_rows
from deskpulse.recompute.cell_rows import HeldCell, Values, told, whole
from deskpulse.recompute.ticket_rows import Message
from deskpulse.recompute.tickets import Tickets
from deskpulse.verify.differences import HOUR_CELLS, MINUTE_CELLS, Differences, instant
from schemas.outputs import ATTRIBUTES, CELLS, Cell
from streams.cells import RESOLUTIONS, Panes

KINDS: Final = {"minute": MINUTE_CELLS, "hour": HOUR_CELLS}
_MINUTE_MS: Final = 60_000
_ROWS_AT_ONCE: Final = 10_000
_NOTHING: Final = HeldCell(-1, {})


class Sums:
    """What tickets contribute to the panes of a period, by partition."""

    def __init__(self, period: Period) -> None:
        self.panes: dict[int, dict[str, Panes]] = {}
        self._first, self._end = period.since_ms // _MINUTE_MS, period.until_ms // _MINUTE_MS

    def add(self, partition: int, packed: bytes) -> None:
        """Count what a ticket contributes (``streams.contributions``)."""
        of_partition = self.panes.get(partition)
        if of_partition is None:
            of_partition = self.panes[partition] = {
                name: Panes(width, None, self._first, self._end) for name, width in RESOLUTIONS.items()
            }
        for panes in of_partition.values():
            panes.gather(packed, 1)

    def finish(self) -> None:
        """Let what was added be seen."""
        for of_partition in self.panes.values():
            for panes in of_partition.values():
                panes.settle()


class Change(NamedTuple):
    """A cell that is not as it is to be."""

    pane_ms: int
    values: Values
    wanted: dict[str, int]
    held: HeldCell


def sums(tickets: Tickets, period: Period, on_progress: Callable[[int, int], None]) -> Sums:
    """What all tickets contribute to the period, as of the time of their partitions."""
    found = Sums(period)
    for done, (ticket_id, kept) in enumerate(tickets.kept.items(), 1):
        facts, _ = tickets.facts(ticket_id, tickets.now_of(ticket_id))
        found.add(kept.partition, tickets.teller.contributions(facts))
        on_progress(done, len(tickets.kept))
    found.finish()
    return found


def changes(wanted: Panes | None, held: cell_rows.Panes, tickets: Tickets, since_ms: int) -> Iterator[Change]:
    """The cells of a partition whose measures are to be others, also those that are to be empty.

    ``wanted`` are looked at once; what lies before ``since_ms`` is left out.
    """
    seen: set[tuple[int, Values]] = set()
    for minute, number, measures in () if wanted is None else wanted.take_dirty().named():
        pane_ms, values = minute * _MINUTE_MS, whole(tickets.teller.dimensions, number)
        seen.add((pane_ms, values))
        cell = held.get(pane_ms, {}).get(values, _NOTHING)
        if pane_ms >= since_ms and cell.measures != measures:
            yield Change(pane_ms, values, measures, cell)
    for pane_ms, pane in sorted(held.items()):
        for values, cell in sorted(pane.items()):
            if cell.measures and (pane_ms, values) not in seen:
                yield Change(pane_ms, values, {}, cell)


def tell(resolution: str, partition: int, change: Change, differences: Differences) -> None:
    """Note a change, measure by measure: what is to be, and what is there."""
    where = f"{resolution} {instant(change.pane_ms)}, {told(change.values)}, partition {partition}"
    wanted, held = change.wanted, change.held.measures
    for name in sorted(wanted.keys() | held.keys()):
        if wanted.get(name, 0) != held.get(name, 0):
            differences.add(KINDS[resolution], where, name, wanted.get(name, 0), held.get(name, 0))


class Writer:
    """Writes changed cells into the fresh tables, as the sink would write those of a worker's records."""

    def __init__(self, fresh: Fresh, resolution: str, now_ms: int) -> None:
        self._fresh = fresh
        self._resolution = resolution
        self._now_ms = now_ms
        self._waiting: dict[int, list[Message]] = {}
        self._number = 0

    def put(self, partition: int, change: Change, as_of_ms: int) -> None:
        """Write a cell whole, in place of the row that is there."""
        named = dict(zip(ATTRIBUTES, change.values, strict=True))
        cell = Cell(
            resolution=self._resolution,
            pane_at_ms=change.pane_ms,
            as_of_ms=as_of_ms,
            dimensions=named,
            measures=change.wanted,
        )
        self._number += 1
        key = b"%d" % self._number
        # One more than the row that is replaced: the next record of that cell can't have it, since between the
        # transactions of two commits lies at least the mark that ends the first.
        message = Message(msgspec.json.encode(cell), key, change.held.offset + 1, self._now_ms)
        waiting = self._waiting.setdefault(partition, [])
        waiting.append(message)
        if len(waiting) >= _ROWS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        for partition, messages in self._waiting.items():
            self._fresh.put(CELLS, partition, messages)
        self._waiting = {}
