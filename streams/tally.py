"""What packed contributions (``streams.contributions``) add up to, by pane, combination of dimensions and measure.

A key is one 64-bit number: pane, dimensions, measure. Sums are gathered in a hash table of two numbers a slot, with
linear probing (Knuth, The Art of Computer Programming 3, section 6.4); sorting arrays of all contributions instead took
six times as long.
"""

from __future__ import annotations

from math import ceil
from typing import Final

from librt.strings import read_i64_le
from librt.vecs import vec
from mypy_extensions import i64

from streams import buckets
from streams.contributions import BUNDLES, OPEN, PACKED_DTYPE
from streams.measures import BUCKET_BASE, SUM_BASE

MEASURE_BITS: Final = 15
DIMENSION_BITS: Final = 21
CELL_SHIFT: Final = MEASURE_BITS + DIMENSION_BITS
MEASURE_MASK: Final = (1 << MEASURE_BITS) - 1
DIMENSION_MASK: Final = (1 << DIMENSION_BITS) - 1

_ROW_BYTES: Final = PACKED_DTYPE.itemsize
NEVER: Final = 2**62
_FEW_BITS: Final = 4
_NO_PANE: Final = -1
_SPREAD: Final[i64] = 0x1E37_79B9_7F4A_7C15
_FIRST_BUNDLE: Final[i64] = min(bundle.what for bundle in BUNDLES)
_LAST_BUNDLE: Final[i64] = max(bundle.what for bundle in BUNDLES)
_BUNDLE_ITEMS: Final = 16
_NO_MEASURE: Final = -1


def _bundle_table() -> list[int]:
    """For each bundle the measure of its score, then how many counts it has, then their measures."""
    table = [0] * (_BUNDLE_ITEMS * len(BUNDLES))
    for bundle in BUNDLES:
        score = _NO_MEASURE if bundle.score is None else bundle.score
        items = [score, len(bundle.counts), *bundle.counts]
        begin = _BUNDLE_ITEMS * (bundle.what - _FIRST_BUNDLE)
        table[begin : begin + len(items)] = items
    return table


class _Pane:
    """The sums of one pane: a hash table."""

    def __init__(self) -> None:
        self._make(_FEW_BITS)

    def _make(self, bits: i64) -> None:
        """Begin a table of ``2**bits`` slots."""
        self.slots = vec[i64]([0] * (1 << bits + 1))
        """Key + 1 and sum; two zeros where nothing is."""
        self.used: i64 = 0
        self._bits: i64 = bits
        self._mask: i64 = (1 << bits + 1) - 2
        self._shift: i64 = 63 - bits

    def add(self, key: i64, amount: i64) -> None:
        slots = self.slots
        place = key * _SPREAD >> self._shift & self._mask
        key += 1
        while slots[place] != key:
            if slots[place] == 0:
                slots[place] = key
                self.used += 1
                break
            place = (place + 2) & self._mask
        slots[place + 1] += amount
        if self.used << 1 > self._mask >> 1:
            self._grow()

    def _grow(self) -> None:
        before = self.slots
        self._make(self._bits + 1)
        place: i64 = 0
        end: i64 = len(before)
        while place < end:
            if before[place] != 0:
                self.add(before[place] - 1, before[place + 1])
            place += 2


class Tally:
    """The sums of one resolution, with panes of ``width`` minutes.

    Each pane has a table of its own: tickets that come after each other contribute to the same few panes.
    """

    def __init__(self, width: int, first: int = 0, end: int = NEVER) -> None:
        """Count what counts at minutes (since 1970) from ``first`` to before ``end``, and leave out the rest."""
        self.width: i64 = width
        self.first: i64 = first
        self._end: i64 = end
        self._panes: dict[int, _Pane] = {}
        self._bundles = vec[i64](_bundle_table())
        self._bounds = vec[i64]([ceil(bound) for bound in buckets.BOUNDS_MS])
        """Whole milliseconds from which a duration is in the next bucket."""

    def gather(self, packed: bytes, sign: int) -> None:
        """Packed contributions come (``sign`` 1) or go (-1); those to the backlog are passed over.

        So are bundles that nobody knows here: a newer worker may have told of them.
        """
        number: i64 = len(packed) // _ROW_BYTES
        times: i64 = sign
        place: i64 = 0
        of_pane: i64 = _NO_PANE
        pane = _NOTHING
        while number > 0:
            number -= 1
            when = read_i64_le(packed, place)
            minute = when & 0xFFFF_FFFF
            low = (when >> 32) << MEASURE_BITS
            what: i64 = packed[place + 8] | packed[place + 9] << 8
            value = read_i64_le(packed, place + 10)
            place += _ROW_BYTES
            if what >= OPEN or minute < self.first or minute >= self._end:
                continue
            wanted = minute // self.width
            if wanted != of_pane:
                of_pane = wanted
                pane = self._pane(wanted)
            if what < SUM_BASE:
                pane.add(low | what, times * value)
            elif what < BUCKET_BASE:
                pane.add(low | what, times * value)
                pane.add(low | BUCKET_BASE * (what - SUM_BASE + 1) + self._bucket(value), times)
            elif _FIRST_BUNDLE <= what <= _LAST_BUNDLE:
                self._add_bundle(pane, low, _BUNDLE_ITEMS * (what - _FIRST_BUNDLE), value, times)

    def take(self) -> memoryview:
        """Pairs of a key and its sum, in no order; begins anew."""
        number: i64 = 0
        for pane in self._panes.values():
            number += pane.used
        found = vec[i64]([0] * (2 * number))
        place: i64 = 0
        for of_pane, pane in self._panes.items():
            high = i64(of_pane) << CELL_SHIFT
            slots = pane.slots
            slot: i64 = 0
            end: i64 = len(slots)
            while slot < end:
                if slots[slot] != 0:
                    found[place] = high | slots[slot] - 1
                    found[place + 1] = slots[slot + 1]
                    place += 2
                slot += 2
        self._panes = {}
        return memoryview(found)

    def _pane(self, number: i64) -> _Pane:
        pane = self._panes.get(number)
        if pane is None:
            pane = self._panes[number] = _Pane()
        return pane

    def _add_bundle(self, pane: _Pane, low: i64, begin: i64, bits: i64, times: i64) -> None:
        bundles = self._bundles
        place = begin + 2
        end = place + bundles[begin + 1]
        while place < end:
            if bits & 1:
                pane.add(low | bundles[place], times)
            bits >>= 1
            place += 1
        if bundles[begin] != _NO_MEASURE:
            pane.add(low | bundles[begin], times * bits)

    def _bucket(self, ms: i64) -> i64:
        """As ``buckets.bucket_of``."""
        bounds = self._bounds
        low: i64 = 0
        high: i64 = len(bounds)
        while low < high:
            middle = (low + high) >> 1
            if ms < bounds[middle]:
                high = middle
            else:
                low = middle + 1
        return low


_NOTHING: Final = _Pane()
"""Of no pane."""
