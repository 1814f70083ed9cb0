"""The cells of ClickHouse beside what they are to be: the sums of what all tickets contribute."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.recompute.cell_rows import Values, read, told, whole
from deskpulse.verify.differences import HOUR_CELLS, MINUTE_CELLS, Differences, instant
from deskpulse.verify.expected import Expected
from deskpulse.verify.looks import Look
from schemas.outputs import CELLS
from streams.partition import Partition

_KINDS: Final = {"minute": MINUTE_CELLS, "hour": HOUR_CELLS}
_MINUTE_MS: Final = 60_000
_NOTHING: Final[dict[str, int]] = {}

Pane = dict[Values, dict[str, int]]


class Compared(NamedTuple):
    """How much was compared."""

    cells: int
    moved: int
    """Cells that changed after the look: left out."""


def compare(
    client: Client,
    resolution: str,
    expected: Expected,
    look: Look,
    differences: Differences,
    on_progress: Callable[[int, int], None],
) -> Compared:
    """Compare the cells of one resolution, as far back as the workers keep them up to date."""
    compared = moved = 0
    for done, partition in enumerate(expected.partitions.values(), 1):
        found = _of_partition(client, resolution, partition, expected, look, differences)
        compared, moved = compared + found.cells, moved + found.moved
        on_progress(done, len(expected.partitions))
    return Compared(compared, moved)


def _of_partition(
    client: Client, resolution: str, partition: Partition, expected: Expected, look: Look, differences: Differences
) -> Compared:
    since_ms = _since_ms(resolution, partition)
    rows = read(client, resolution, partition.number, since_ms)
    end = look.end_of(CELLS, partition.number)
    later: set[tuple[int, Values]] = set()
    if end is not None:
        later = {(ms, values) for ms, pane in rows.items() for values, cell in pane.items() if cell.offset >= end}
    found = {
        pane_ms: {values: cell.measures for values, cell in pane.items() if cell.measures}
        for pane_ms, pane in rows.items()
    }
    values = [whole(partition.teller.dimensions, number) for number in range(len(partition.teller.dimensions.values))]
    cells = partition.panes[resolution].take_dirty().named()
    panes: set[int] = set()
    for minute, of_pane in groupby(cells, key=lambda cell: cell[0]):
        pane_ms = minute * _MINUTE_MS
        wanted: Pane = {values[number]: measures for _, number, measures in of_pane}
        if pane_ms >= since_ms:
            panes.add(pane_ms)
            _compare_pane(resolution, partition.number, pane_ms, wanted, found.get(pane_ms, {}), later, differences)
    for pane_ms in sorted(found.keys() - panes):
        _compare_pane(resolution, partition.number, pane_ms, {}, found[pane_ms], later, differences)
    return Compared(sum(map(len, found.values())), len(later))


def _since_ms(resolution: str, partition: Partition) -> int:
    """The beginning of the first pane in which nothing can be missing by now."""
    panes = partition.panes[resolution]
    width_ms = panes.width * _MINUTE_MS
    horizon = partition.config.horizon_ms
    # What tickets contributed that have left the horizon since is no more in a pane that changes later.
    kept = 0 if horizon is None else -((horizon - partition.watermark.value) // width_ms)
    return max(panes.oldest, kept) * width_ms


def _compare_pane(
    resolution: str,
    partition: int,
    pane_ms: int,
    wanted: Pane,
    found: Pane,
    later: set[tuple[int, Values]],
    differences: Differences,
) -> None:
    for values in sorted(wanted.keys() | found.keys()):
        of_expected, of_found = wanted.get(values, _NOTHING), found.get(values, _NOTHING)
        if of_expected == of_found or (pane_ms, values) in later:
            continue
        where = f"{resolution} {instant(pane_ms)}, {told(values)}, partition {partition}"
        for name in sorted(of_expected.keys() | of_found.keys()):
            if of_expected.get(name, 0) != of_found.get(name, 0):
                differences.add(_KINDS[resolution], where, name, of_expected.get(name, 0), of_found.get(name, 0))
