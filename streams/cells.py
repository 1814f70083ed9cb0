"""The cells of one partition: what was counted, by pane, combination of dimensions and measure.

A cell entry is one 64-bit key (pane, dimensions, measure) with one integer; entries lie in two sorted arrays, so a
window is a slice and its totals are one pass of numpy over it. Contributions come in as packed arrays
(``streams.contributions``): those of before are taken back, those of after are added, and what did not change cancels.
Totals are always summed from the cells, never carried along, so they cannot drift.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streams import buckets
from streams.contributions import BUNDLES, OPEN, PACKED_DTYPE
from streams.measures import BUCKET_BASE, NAME_OF, SUM_BASE

Int64s: TypeAlias = NDArray[np.int64]

MEASURE_BITS: Final = 15
DIMENSION_BITS: Final = 21
_CELL_SHIFT: Final = MEASURE_BITS + DIMENSION_BITS
MEASURE_MASK: Final = (1 << MEASURE_BITS) - 1
_DIMENSION_MASK: Final = (1 << DIMENSION_BITS) - 1

RESOLUTIONS: Final[dict[str, int]] = {"minute": 1, "hour": 60}
"""Width of a pane in minutes."""

_BOUNDS: Final = np.array(buckets.BOUNDS_MS)
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


class Panes:
    """The cells of one resolution: panes of ``width`` minutes, of which the last ``kept`` are kept (None: all)."""

    def __init__(self, width: int, kept: int | None) -> None:
        self.width = width
        self.kept = kept
        self.oldest = 0
        """Number of the oldest pane that is kept."""
        self._entries = Entries()
        self._gathered: list[tuple[Int64s, Int64s]] = []
        self._dirty: Int64s = np.empty(0, np.int64)

    def __len__(self) -> int:
        """How many entries all cells have together."""
        return len(self._entries)

    def add(self, minutes: Int64s, low_keys: Int64s, amounts: Int64s) -> None:
        """Add amounts; ``low_keys`` hold dimensions and measure. What counts before the oldest pane is left out."""
        self.gather(minutes, low_keys, amounts)
        self.settle()

    def gather(self, minutes: Int64s, low_keys: Int64s, amounts: Int64s) -> None:
        """As :meth:`add`, but to be seen after :meth:`settle`: of much, a part that fits in a cache at a time."""
        kept = minutes >= self.oldest * self.width
        keys = (minutes[kept] // self.width << _CELL_SHIFT) | low_keys[kept]
        if len(keys):
            self._gathered.append(sum_by(keys, amounts[kept], in_runs=False))

    def settle(self) -> None:
        """Add what was gathered."""
        if not self._gathered:
            return
        keys, sums = self._gathered[0]
        if len(self._gathered) > 1:
            keys, sums = sum_by(*(np.concatenate(parts) for parts in zip(*self._gathered, strict=True)))
        self._gathered = []
        changed = sums != 0
        keys, sums = keys[changed], sums[changed]
        if len(keys):
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
            self._entries.drop_before(oldest << _CELL_SHIFT)

    def take_dirty(self) -> Iterator[tuple[int, int, dict[str, int]]]:
        """The cells that changed since the last call, whole: start in minutes, dimensions, measures by name."""
        cells = self._dirty[self._dirty >= self.oldest << DIMENSION_BITS]
        self._dirty = np.empty(0, np.int64)
        keys, amounts = self._entries.keys, self._entries.amounts
        starts = np.searchsorted(keys, cells << MEASURE_BITS)
        lengths = np.searchsorted(keys, (cells + 1) << MEASURE_BITS) - starts
        ends = np.cumsum(lengths)
        places = np.repeat(starts - ends + lengths, lengths) + np.arange(ends[-1] if len(ends) else 0)
        measures = zip(_NAMES[keys[places] & MEASURE_MASK].tolist(), amounts[places].tolist(), strict=True)
        for cell, length in zip(cells.tolist(), lengths.tolist(), strict=True):
            yield (cell >> DIMENSION_BITS) * self.width, cell & _DIMENSION_MASK, dict(islice(measures, length))

    def forget_dirty(self) -> None:
        """Take all cells as published."""
        self._dirty = np.empty(0, np.int64)

    def window(self, now_minute: int, length: int) -> tuple[Int64s, Int64s]:
        """The totals of the window of ``length`` panes that ends with that of now.

        Two arrays: the low keys (``dimensions << MEASURE_BITS | measure``) in order, and their amounts.
        """
        now = now_minute // self.width
        keys, amounts = self._entries.between((now - length + 1) << _CELL_SHIFT, (now + 1) << _CELL_SHIFT)
        return sum_by(keys & ((1 << _CELL_SHIFT) - 1), amounts)

    def series(self, now_minute: int, length: int) -> list[dict[int, int]]:
        """The totals of each of the last ``length`` panes over all dimensions, oldest first."""
        now = now_minute // self.width
        first = now - length + 1
        keys, amounts = self._entries.between(first << _CELL_SHIFT, (now + 1) << _CELL_SHIFT)
        found: list[dict[int, int]] = [{} for _ in range(length)]
        by_pane, sums = sum_by((keys >> _CELL_SHIFT << MEASURE_BITS) | (keys & MEASURE_MASK), amounts)
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


def expand(packed: bytes, sign: int) -> tuple[Int64s, Int64s, Int64s]:
    """Packed contributions (without those of the backlog) as minutes, low keys (dimensions, measure) and amounts."""
    rows: NDArray[Any] = np.frombuffer(packed, PACKED_DTYPE)
    what = rows["what"].astype(np.int64)
    minutes = rows["minute"].astype(np.int64)
    low = rows["dimensions"].astype(np.int64) << MEASURE_BITS
    values = rows["value"].astype(np.int64)
    # By places, not by masks: of most kinds there are few.
    plain = np.flatnonzero(what < BUCKET_BASE)
    durations = plain[what[plain] >= SUM_BASE]
    lengths = values[durations]
    in_bucket = np.searchsorted(_BOUNDS, lengths, side="right")
    places = [plain, durations]
    measures: list[Int64s | int] = [what[plain], BUCKET_BASE * (what[durations] - SUM_BASE + 1) + in_bucket]
    amounts: list[Int64s] = [values[plain], np.ones(len(durations), np.int64)]
    bundled = np.flatnonzero((what >= BUCKET_BASE) & (what < OPEN))
    for bundle in BUNDLES:
        of_bundle = bundled[what[bundled] == bundle.what]
        if len(of_bundle):
            bits = values[of_bundle]
            for bit, measure in enumerate(bundle.counts):
                counted = of_bundle[(bits >> bit & 1).astype(np.bool_)]
                places.append(counted)
                measures.append(measure)
                amounts.append(np.ones(len(counted), np.int64))
            if bundle.score is not None:
                places.append(of_bundle)
                measures.append(bundle.score)
                amounts.append(bits >> len(bundle.counts))
    all_places = np.concatenate(places)
    lows = np.concatenate([low[where] | measure for where, measure in zip(places, measures, strict=True)])
    return minutes[all_places], lows, np.concatenate(amounts) * sign


def dimensions_of(packed: bytes) -> set[int]:
    """The combinations of dimensions that packed contributions are for."""
    rows: NDArray[Any] = np.frombuffer(packed, PACKED_DTYPE)
    return set(np.flatnonzero(np.bincount(rows["dimensions"])).tolist())
