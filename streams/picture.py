"""The live figures, put together from the partitions that a worker owns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import ceil
from typing import Final

from streams.attributes import Dimensions
from streams.figures import HOUR_WINDOWS, MINUTE_WINDOWS, WINDOWS_SECONDS
from streams.history import STATUSES
from streams.live import ALL, OTHER, BacklogAge, Group, LiveFigures
from streams.measures import COUNT_ID
from streams.partition import Partition

_MINUTE_MS: Final = 60_000
_EVERYTHING: Final = Group(ALL, "")
_ACTIVITY: Final = tuple(COUNT_ID[name] for name in ("created", "solves", "agent_replies"))

WINDOW_PANES: Final[dict[str, tuple[str, int]]] = {
    name: ("minute", WINDOWS_SECONDS[name] // 60) for name in MINUTE_WINDOWS
} | {name: ("hour", WINDOWS_SECONDS[name] // 3_600) for name in HOUR_WINDOWS}
"""Window to the resolution that it is made of and its length in panes."""
CHART_MINUTES: Final = 60


def picture(partitions: Sequence[Partition], dimensions: Dimensions, now_ms: int, limit: int) -> LiveFigures:
    """The figures at ``now_ms``. Of a dimension's values the ``limit`` busiest have their own, the rest is `other`."""
    minute = now_ms // _MINUTE_MS
    by_window = {
        window: _merged(partition.panes[resolution].totals(minute, length) for partition in partitions)
        for window, (resolution, length) in WINDOW_PANES.items()
    }
    open_since = _open_since(partitions)
    groups = _Groups(dimensions, limit, by_window, open_since)
    backlog: dict[Group, dict[str, int]] = {}
    ages: dict[Group, list[int]] = {}
    for (number, status), created in open_since.items():
        count = sum(created.values())
        held = [at for at, n in created.items() for _ in range(n)]
        for group in groups.of(number):
            by_status = backlog.setdefault(group, {})
            by_status[STATUSES[status]] = by_status.get(STATUSES[status], 0) + count
            ages.setdefault(group, []).extend(held)
    series = [
        _merged({0: pane} for pane in panes).get(0, {})
        for panes in zip(
            *(partition.panes["minute"].series(minute, CHART_MINUTES) for partition in partitions), strict=True
        )
    ]
    return LiveFigures(
        now_ms=now_ms,
        totals={window: groups.totals(totals) for window, totals in by_window.items()},
        backlog=backlog,
        ages={group: _age(created, now_ms) for group, created in ages.items()},
        history=tuple(series),
    )


class _Groups:
    """Which groups a combination of dimensions counts in."""

    def __init__(
        self,
        dimensions: Dimensions,
        limit: int,
        by_window: dict[str, dict[int, dict[int, int]]],
        open_since: dict[tuple[int, int], dict[int, int]],
    ) -> None:
        self._dimensions = dimensions
        self._of: dict[int, tuple[Group, ...]] = {}
        activity: dict[Group, int] = {}
        for totals in by_window.values():
            for number, measures in totals.items():
                weight = sum(measures.get(measure, 0) for measure in _ACTIVITY)
                self._weigh(activity, number, weight)
        for (number, _), created in open_since.items():
            self._weigh(activity, number, sum(created.values()))
        self._named: set[Group] = set()
        for name in dimensions.names:
            of_name = [group for group in activity if group.dimension == name]
            of_name.sort(key=lambda group: (-activity[group], group.value))
            self._named.update(of_name[:limit])

    def _weigh(self, activity: dict[Group, int], number: int, weight: int) -> None:
        for name, value in zip(self._dimensions.names, self._dimensions.values[number], strict=True):
            group = Group(name, value)
            activity[group] = activity.get(group, 0) + weight

    def of(self, number: int) -> tuple[Group, ...]:
        """Everything, and one group of each dimension."""
        found = self._of.get(number)
        if found is None:
            own = [Group(*pair) for pair in zip(self._dimensions.names, self._dimensions.values[number], strict=True)]
            found = self._of[number] = (
                _EVERYTHING,
                *(group if group in self._named else Group(group.dimension, OTHER) for group in own),
            )
        return found

    def totals(self, by_number: dict[int, dict[int, int]]) -> dict[Group, dict[int, int]]:
        """The totals of each group."""
        found: dict[Group, dict[int, int]] = {_EVERYTHING: {}}
        for number, measures in by_number.items():
            for group in self.of(number):
                _add(found.setdefault(group, {}), measures)
        return found


def _add(to: dict[int, int], measures: dict[int, int]) -> None:
    for measure, amount in measures.items():
        to[measure] = to.get(measure, 0) + amount


def _merged(parts: Iterable[dict[int, dict[int, int]]]) -> dict[int, dict[int, int]]:
    merged: dict[int, dict[int, int]] = {}
    for part in parts:
        for number, measures in part.items():
            _add(merged.setdefault(number, {}), measures)
    return merged


def _open_since(partitions: Sequence[Partition]) -> dict[tuple[int, int], dict[int, int]]:
    found: dict[tuple[int, int], dict[int, int]] = {}
    for partition in partitions:
        for number, status, created in partition.backlog.groups():
            _add(found.setdefault((number, status), {}), created)
    return found


def _age(created: list[int], now_ms: int) -> BacklogAge:
    created.sort(reverse=True)
    youngest_first = created

    def at(q: float) -> float:
        return (now_ms - youngest_first[max(0, ceil(q * len(youngest_first)) - 1)]) / 1000

    return BacklogAge(oldest_seconds=at(1.0), p50_seconds=at(0.5), p90_seconds=at(0.9))
