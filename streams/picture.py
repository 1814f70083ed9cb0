"""The live figures, put together from the partitions that a worker owns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.attributes import Dimensions
from streams.cells import sum_by
from streams.contributions import UNANSWERED
from streams.figures import HOUR_WINDOWS, MINUTE_WINDOWS, WINDOWS_SECONDS
from streams.history import STATUSES
from streams.live import ALL, OTHER, SLA_STATES, BacklogAge, Group, LiveFigures
from streams.measures import COUNT_ID, TARGETS
from streams.partition import Partition
from streams.tally import MEASURE_BITS, MEASURE_MASK

Int64s: TypeAlias = NDArray[np.int64]

_MINUTE_MS: Final = 60_000
_TARGET_STATES: Final = len(TARGETS) * len(SLA_STATES)
_EVERYTHING: Final = Group(ALL, "")
_ACTIVITY: Final = np.array([COUNT_ID[name] for name in ("created", "solves", "agent_replies")])

WINDOW_PANES: Final[dict[str, tuple[str, int]]] = {
    name: ("minute", WINDOWS_SECONDS[name] // 60) for name in MINUTE_WINDOWS
} | {name: ("hour", WINDOWS_SECONDS[name] // 3_600) for name in HOUR_WINDOWS}
"""Window to the resolution that it is made of and its length in panes."""
CHART_MINUTES: Final = 60


def picture(partitions: Sequence[Partition], names: tuple[str, ...], now_ms: int, limit: int) -> LiveFigures:
    """The figures at ``now_ms`` by the dimensions of these ``names``.

    Of a dimension's values the ``limit`` busiest have their own, the rest is `other`.
    """
    minute = now_ms // _MINUTE_MS
    dimensions = Dimensions(names)
    # Each partition has numbers of its own; these are the picture's, by the partition's.
    numbers = [
        np.fromiter(map(dimensions.number, partition.teller.dimensions.values), np.int64) for partition in partitions
    ]
    windows = {
        window: _window(partitions, numbers, resolution, minute, length)
        for window, (resolution, length) in WINDOW_PANES.items()
    }
    waiting = _renumbered([partition.backlog.rows() for partition in partitions], numbers)
    running = _renumbered([partition.backlog.running() for partition in partitions], numbers)
    groupings = _groupings(dimensions, limit, [*windows.values()], waiting[:, 0])
    unanswered = waiting[:, 1] >= UNANSWERED
    waiting[:, 1] %= UNANSWERED
    return LiveFigures(
        now_ms=now_ms,
        totals={window: _totals(low, amounts, groupings) for window, (low, amounts) in windows.items()},
        backlog=_backlog(waiting, groupings),
        ages=_ages(waiting, groupings, now_ms),
        history=_series(partitions, minute),
        unanswered=_unanswered(waiting[unanswered], groupings),
        sla=_sla(running, groupings),
    )


_Window: TypeAlias = tuple[Int64s, Int64s]
"""Low keys and amounts, see ``cells.Panes.window``."""
_Grouping: TypeAlias = tuple[list[Group], Int64s]
"""Groups of one dimension, and for each combination of dimensions the place of its group among them."""


def _renumbered(rows: Sequence[Int64s], numbers: Sequence[Int64s]) -> Int64s:
    """Rows of all partitions, that have the number of a combination of dimensions in their first column."""
    for of_one, number_of in zip(rows, numbers, strict=True):
        of_one[:, 0] = number_of[of_one[:, 0]]
    return np.concatenate([np.empty((0, 3), np.int64), *rows])


def _window(
    partitions: Sequence[Partition], numbers: Sequence[Int64s], resolution: str, minute: int, length: int
) -> _Window:
    parts = [partition.panes[resolution].window(minute, length) for partition in partitions]
    empty = np.empty(0, np.int64)
    renumbered = (
        number_of[low >> MEASURE_BITS] << MEASURE_BITS | low & MEASURE_MASK
        for (low, _), number_of in zip(parts, numbers, strict=True)
    )
    return sum_by(
        np.concatenate([empty, *renumbered]),
        np.concatenate([empty, *(amounts for _, amounts in parts)]),
    )


def _groupings(dimensions: Dimensions, limit: int, windows: Sequence[_Window], waiting: Int64s) -> list[_Grouping]:
    """Everything as one group, then a grouping for each dimension."""
    combinations = len(dimensions.values)
    weights = np.bincount(waiting, minlength=combinations).astype(np.int64)
    for low, amounts in windows:
        active = np.isin(low & MEASURE_MASK, _ACTIVITY)
        np.add.at(weights, low[active] >> MEASURE_BITS, amounts[active])
    groupings: list[_Grouping] = [([_EVERYTHING], np.zeros(combinations, np.int64))]
    for place, name in enumerate(dimensions.names):
        weight_of: dict[str, int] = {}
        for values, weight in zip(dimensions.values, weights.tolist(), strict=True):
            weight_of[values[place]] = weight_of.get(values[place], 0) + weight
        busiest = sorted(weight_of, key=lambda value: (-weight_of[value], value))
        own = {value: number for number, value in enumerate(busiest[:limit])}
        groups = [Group(name, value) for value in own]
        if len(busiest) > limit:
            groups.append(Group(name, OTHER))
        of = [own.get(values[place], limit) for values in dimensions.values]
        groupings.append((groups, np.array(of, np.int64)))
    return groupings


def _totals(low: Int64s, amounts: Int64s, groupings: Sequence[_Grouping]) -> dict[Group, dict[int, int]]:
    found: dict[Group, dict[int, int]] = {_EVERYTHING: {}}
    measures = low & MEASURE_MASK
    for groups, group_of in groupings:
        keys, sums = sum_by(group_of[low >> MEASURE_BITS] << MEASURE_BITS | measures, amounts)
        for key, amount in zip(keys.tolist(), sums.tolist(), strict=True):
            if amount:
                found.setdefault(groups[key >> MEASURE_BITS], {})[key & MEASURE_MASK] = amount
    return found


def _backlog(waiting: Int64s, groupings: Sequence[_Grouping]) -> dict[Group, dict[str, int]]:
    found: dict[Group, dict[str, int]] = {}
    for groups, group_of in groupings:
        keys, counts = np.unique(group_of[waiting[:, 0]] * len(STATUSES) + waiting[:, 1], return_counts=True)
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            group, status = divmod(key, len(STATUSES))
            found.setdefault(groups[group], {})[STATUSES[status]] = count
    return found


def _unanswered(waiting: Int64s, groupings: Sequence[_Grouping]) -> dict[Group, int]:
    found: dict[Group, int] = {}
    for groups, group_of in groupings:
        numbers, counts = np.unique(group_of[waiting[:, 0]], return_counts=True)
        found.update({groups[n]: count for n, count in zip(numbers.tolist(), counts.tolist(), strict=True)})
    return found


def _sla(running: Int64s, groupings: Sequence[_Grouping]) -> dict[Group, dict[tuple[str, str], int]]:
    found: dict[Group, dict[tuple[str, str], int]] = {}
    states = len(SLA_STATES)
    for groups, group_of in groupings:
        keys, sums = sum_by(group_of[running[:, 0]] * _TARGET_STATES + running[:, 1], running[:, 2])
        for key, number in zip(keys.tolist(), sums.tolist(), strict=True):
            group, what = divmod(key, _TARGET_STATES)
            found.setdefault(groups[group], {})[TARGETS[what // states], SLA_STATES[what % states]] = number
    return found


def _ages(waiting: Int64s, groupings: Sequence[_Grouping], now_ms: int) -> dict[Group, BacklogAge]:
    """Quantiles by nearest rank."""
    found: dict[Group, BacklogAge] = {}
    for groups, group_of in groupings:
        of = group_of[waiting[:, 0]]
        order = np.lexsort((-waiting[:, 2], of))
        ages = (now_ms - waiting[order, 2]) / 1000
        numbers, starts, counts = np.unique(of[order], return_index=True, return_counts=True)
        for number, start, count in zip(numbers.tolist(), starts.tolist(), counts.tolist(), strict=True):
            p50, p90 = (float(ages[start + -(-count * tenths // 10) - 1]) for tenths in (5, 9))
            found[groups[number]] = BacklogAge(float(ages[start + count - 1]), p50, p90)
    return found


def _series(partitions: Sequence[Partition], minute: int) -> tuple[dict[int, int], ...]:
    series: list[dict[int, int]] = [{} for _ in range(CHART_MINUTES)]
    for partition in partitions:
        for total, pane in zip(series, partition.panes["minute"].series(minute, CHART_MINUTES), strict=True):
            for measure, amount in pane.items():
                total[measure] = total.get(measure, 0) + amount
    return tuple(series)
