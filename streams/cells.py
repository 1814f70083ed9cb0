"""The cells of one partition: what was counted, by pane, combination of dimensions and measure.

A cell entry is one 64-bit key (pane, dimensions, measure) with one integer; entries lie in two sorted arrays, so a
window is a slice and its totals are one pass of numpy over it. Contributions come in as packed arrays
(``streams.contributions``): those of before are taken back, those of after are added, and what did not change cancels.
Totals are always summed from the cells, never carried along, so they cannot drift.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams.contributions import PACKED_DTYPE
from streams.measures import NAME_OF
from streams.tally import CELL_SHIFT, DIMENSION_BITS, DIMENSION_MASK, MEASURE_BITS, MEASURE_MASK, NEVER, Tally

Int64s: TypeAlias = NDArray[np.int64]

RESOLUTIONS: Final[dict[str, int]] = {"minute": 1, "hour": 60}
"""Width of a pane in minutes."""

_NAMES: Final = np.full(1 << MEASURE_BITS, None, dtype=object)
"""The name of each measure by its number: numpy finds the names of many at once. None of a number that is no measure,
which no record can be made of."""
_NAMES[list(NAME_OF)] = list(NAME_OF.values())


class Entries:
    """Sorted keys with their amounts; adding is a merge."""

    def __init__(self) -> None:
        self.keys: Int64s = np.empty(0, np.int64)
        self.amounts: Int64s = np.empty(0, np.int64)

    def __len__(self) -> int:
        """How many entries."""
        return len(self.keys)

    def add(self, keys: Int64s, amounts: Int64s) -> None:
        """Add amounts, none of them zero, under sorted keys of which none stands twice. What becomes zero goes."""
        if not len(self.keys):
            self.keys, self.amounts = keys, amounts
            return
        places = np.searchsorted(self.keys, keys)
        known = np.zeros(len(keys), np.bool_)
        inside = places < len(self.keys)
        known[inside] = self.keys[places[inside]] == keys[inside]
        at = places[known]
        self.amounts[at] += amounts[known]
        gone = at[self.amounts[at] == 0]
        fresh = ~known
        if fresh.any():
            self.keys = np.insert(self.keys, places[fresh], keys[fresh])
            self.amounts = np.insert(self.amounts, places[fresh], amounts[fresh])
            if len(gone):
                gone = gone + np.searchsorted(places[fresh], gone, side="right")
        if len(gone):
            self.keys = np.delete(self.keys, gone)
            self.amounts = np.delete(self.amounts, gone)

    def between(self, first: int, last: int) -> tuple[Int64s, Int64s]:
        """The entries with ``first <= key < last``."""
        start, end = np.searchsorted(self.keys, (first, last))
        return self.keys[start:end], self.amounts[start:end]

    def drop_before(self, key: int) -> None:
        """Forget all entries under ``key``."""
        start = int(np.searchsorted(self.keys, key))
        if start:
            self.keys = self.keys[start:].copy()
            self.amounts = self.amounts[start:].copy()


@dataclass(frozen=True, slots=True)
class Dirty:
    """Some cells: minute at which each begins, dimensions, number of entries; and measures and amounts of them all."""

    minutes: Int64s
    dimensions: Int64s
    lengths: Int64s
    measures: Int64s
    amounts: Int64s

    def named(self) -> Iterator[tuple[int, int, dict[str, int]]]:
        """Each cell: when it begins (minutes), dimensions, measures by name."""
        measures = zip(_NAMES[self.measures].tolist(), self.amounts.tolist(), strict=True)
        cells = zip(self.minutes.tolist(), self.dimensions.tolist(), self.lengths.tolist(), strict=True)
        for minute, dimensions, length in cells:
            yield minute, dimensions, dict(islice(measures, length))


class Panes:
    """The cells of one resolution: panes of ``width`` minutes, of which the last ``kept`` are kept (None: all)."""

    def __init__(self, width: int, kept: int | None, first: int = 0, end: int = NEVER) -> None:
        """Only what counts at a minute from ``first`` to before ``end`` is counted."""
        self.width = width
        self.kept = kept
        self.oldest = 0
        """Number of the oldest pane that is kept."""
        self._entries = Entries()
        self._tally = Tally(width, first, end)
        self._dirty: Int64s = np.empty(0, np.int64)

    def __len__(self) -> int:
        """How many entries all cells have together."""
        return len(self._entries)

    def gather(self, packed: bytes, sign: int) -> None:
        """Packed contributions come (``sign`` 1) or go (-1), to be seen after :meth:`settle`.

        Those to panes that are kept no more are left out.
        """
        self._tally.gather(packed, sign)

    def settle(self) -> None:
        """Add what was gathered."""
        pairs = np.frombuffer(self._tally.take(), np.int64).reshape(-1, 2)
        pairs = pairs[pairs[:, 1] != 0]
        if len(pairs):
            pairs = pairs[np.argsort(pairs[:, 0])]
            keys, sums = pairs[:, 0].copy(), pairs[:, 1].copy()
            self._entries.add(keys, sums)
            cells = _distinct(keys >> MEASURE_BITS)
            self._dirty = cells if not len(self._dirty) else _distinct(np.sort(np.concatenate((self._dirty, cells))))

    def advance(self, minute: int) -> None:
        """Let now be ``minute``: panes beyond what is kept go."""
        if self.kept is None:
            return
        oldest = minute // self.width - self.kept + 1
        if oldest > self.oldest:
            self.oldest = oldest
            self._tally.first = max(self._tally.first, oldest * self.width)
            self._entries.drop_before(oldest << CELL_SHIFT)

    def take_dirty(self) -> Dirty:
        """The cells that changed since the last call, whole."""
        cells = self._dirty[self._dirty >= self.oldest << DIMENSION_BITS]
        self._dirty = np.empty(0, np.int64)
        keys, amounts = self._entries.keys, self._entries.amounts
        starts = np.searchsorted(keys, cells << MEASURE_BITS)
        lengths = np.searchsorted(keys, (cells + 1) << MEASURE_BITS) - starts
        ends = np.cumsum(lengths)
        places = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        minutes = (cells >> DIMENSION_BITS) * self.width
        return Dirty(minutes, cells & DIMENSION_MASK, lengths, keys[places] & MEASURE_MASK, amounts[places])

    def forget_dirty(self) -> None:
        """Take all cells as published."""
        self._dirty = np.empty(0, np.int64)

    def window(self, now_minute: int, length: int) -> tuple[Int64s, Int64s]:
        """The totals of the window of ``length`` panes that ends with that of now.

        Two arrays: the low keys (``dimensions << MEASURE_BITS | measure``) in order, and their amounts.
        """
        now = now_minute // self.width
        keys, amounts = self._entries.between((now - length + 1) << CELL_SHIFT, (now + 1) << CELL_SHIFT)
        return sum_by(keys & ((1 << CELL_SHIFT) - 1), amounts)

    def series(self, now_minute: int, length: int) -> list[dict[int, int]]:
        """The totals of each of the last ``length`` panes over all dimensions, oldest first."""
        now = now_minute // self.width
        first = now - length + 1
        keys, amounts = self._entries.between(first << CELL_SHIFT, (now + 1) << CELL_SHIFT)
        found: list[dict[int, int]] = [{} for _ in range(length)]
        by_pane, sums = sum_by((keys >> CELL_SHIFT << MEASURE_BITS) | (keys & MEASURE_MASK), amounts)
        for key, amount in zip(by_pane.tolist(), sums.tolist(), strict=True):
            if amount:
                found[(key >> MEASURE_BITS) - first][key & MEASURE_MASK] = amount
        return found


def sum_by(keys: Int64s, amounts: Int64s, *, in_runs: bool = True) -> tuple[Int64s, Int64s]:
    """The distinct keys in order, and the sum of the amounts under each.

    ``in_runs``: the keys are put together from some that are in order, from which numpy's stable sort gains; of those
    in no order its other sort takes little more than half the time.
    """
    if not len(keys):
        return keys, amounts
    order = np.argsort(keys, kind="stable" if in_runs else "quicksort")
    keys = keys[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    return keys[starts], np.add.reduceat(amounts[order], starts)


def _distinct(in_order: Int64s) -> Int64s:
    return in_order[np.concatenate(([True], in_order[1:] != in_order[:-1]))]


def dimensions_of(packed: bytes) -> set[int]:
    """The combinations of dimensions that packed contributions are for."""
    rows: NDArray[Any] = np.frombuffer(packed, PACKED_DTYPE)
    return set(np.flatnonzero(np.bincount(rows["dimensions"])).tolist())
