"""The cells of ClickHouse beside what they are to be: the sums of what all tickets contribute."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.verify.differences import HOUR_CELLS, MINUTE_CELLS, Differences, instant
from deskpulse.verify.expected import Expected
from deskpulse.verify.looks import Look
from schemas.outputs import ATTRIBUTES, CELLS
from sinks.tables import BUCKET_COLUMNS, COUNT_COLUMNS, MEASURE_COLUMNS, SUM_COLUMNS
from streams.partition import Partition

_KINDS: Final = {"minute": MINUTE_CELLS, "hour": HOUR_CELLS}
_MINUTE_MS: Final = 60_000
_PLAIN: Final = [column.name for column in (*COUNT_COLUMNS, *SUM_COLUMNS)]
_BUCKETS: Final = [(column.name, column.name.removesuffix("uckets")) for column in BUCKET_COLUMNS]
"""Columns of buckets, and what the names of their measures begin with."""
_FIXED: Final = ("toUnixTimestamp64Milli(pane_at)", "_offset", *ATTRIBUTES)
_NOTHING: Final[dict[str, int]] = {}

Values = tuple[str, ...]
"""Of every attribute, empty where it is no dimension."""
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
    rows, later = _rows(client, resolution, partition.number, since_ms, look.end_of(CELLS, partition.number))
    values = [_whole(expected, number) for number in range(len(expected.dimensions.values))]
    cells = partition.panes[resolution].take_dirty()
    panes: set[int] = set()
    for minute, of_pane in groupby(cells, key=lambda cell: cell[0]):
        pane_ms = minute * _MINUTE_MS
        wanted: Pane = {values[number]: measures for _, number, measures in of_pane}
        if pane_ms >= since_ms:
            panes.add(pane_ms)
            _compare_pane(resolution, partition.number, pane_ms, wanted, rows.get(pane_ms, {}), later, differences)
    for pane_ms in sorted(rows.keys() - panes):
        _compare_pane(resolution, partition.number, pane_ms, {}, rows[pane_ms], later, differences)
    return Compared(sum(map(len, rows.values())), len(later))


def _since_ms(resolution: str, partition: Partition) -> int:
    """The beginning of the first pane in which nothing can be missing by now."""
    panes = partition.panes[resolution]
    width_ms = panes.width * _MINUTE_MS
    horizon = partition.config.horizon_ms
    # What tickets contributed that have left the horizon since is no more in a pane that changes later.
    kept = 0 if horizon is None else -((horizon - partition.watermark.value) // width_ms)
    return max(panes.oldest, kept) * width_ms


def _rows(
    client: Client, resolution: str, partition: int, since_ms: int, end: int | None
) -> tuple[dict[int, Pane], set[tuple[int, Values]]]:
    """The cells by pane, without empty ones, and which of them changed after the look."""
    measures = [column.name for column in MEASURE_COLUMNS]
    # The SQL is made of this program's own constants.
    query = f"""SELECT {", ".join((*_FIXED, *measures))} FROM cells_{resolution} FINAL
WHERE _partition = {{partition:Int32}} AND pane_at >= fromUnixTimestamp64Milli({{since:Int64}})"""  # noqa: S608
    parameters = {"partition": partition, "since": since_ms}
    panes: dict[int, Pane] = {}
    later: set[tuple[int, Values]] = set()
    for row in client.query(query, parameters=parameters).result_rows:
        pane_ms, offset, values = row[0], row[1], tuple(row[2 : len(_FIXED)])
        if end is not None and offset >= end:
            later.add((pane_ms, values))
        held = _measures(dict(zip(measures, row[len(_FIXED) :], strict=True)))
        if held:
            panes.setdefault(pane_ms, {})[values] = held
    return panes, later


def _measures(row: dict[str, Any]) -> dict[str, int]:
    """The measures of a row that are not zero, by their names."""
    found = {name: row[name] for name in _PLAIN if row[name]}
    for column, prefix in _BUCKETS:
        if row[column]:
            found.update({f"{prefix}{bucket}": number for bucket, number in row[column].items()})
    return found


def _whole(expected: Expected, number: int) -> Values:
    named = expected.dimensions.named(number)
    return tuple([named.get(name, "") for name in ATTRIBUTES])


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
        named = [f"{name}={value}" for name, value in zip(ATTRIBUTES, values, strict=True) if value]
        where = f"{resolution} {instant(pane_ms)}, {', '.join(named) or 'no dimensions'}, partition {partition}"
        for name in sorted(of_expected.keys() | of_found.keys()):
            if of_expected.get(name, 0) != of_found.get(name, 0):
                differences.add(_KINDS[resolution], where, name, of_expected.get(name, 0), of_found.get(name, 0))
