"""What is open in one partition: tickets by status and since when, and instances of targets that run."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streams.cells import Entries, Int64s, sum_by
from streams.contributions import OPEN, PACKED_DTYPE, RUNNING

_AT_BITS: Final = 42
"""Of an instant in milliseconds: they lie before 2100. The dimensions stand above it."""
_AT_MASK: Final = (1 << _AT_BITS) - 1
_STATE_BITS: Final = 8
_STATE_MASK: Final = (1 << _STATE_BITS) - 1


class Backlog:
    """Counts open tickets by dimensions, status and creation, and running instances by dimensions, target and state.

    In arrays: an object for each open ticket would hold the memory of all that came and went beside it.
    """

    def __init__(self) -> None:
        self._tickets: dict[int, Entries] = {}
        """By status (and flag): how many by dimensions and creation."""
        self._running = Entries()
        """How many by dimensions, target and state."""
        self._gathered: list[tuple[Int64s, Int64s, Int64s, Int64s]] = []

    def gather(self, packed: bytes, sign: int) -> None:
        """Packed contributions join (``sign`` 1) or leave (-1), to be seen after :meth:`settle`.

        Those to other figures are passed over.
        """
        self._gathered.append(_columns(packed, sign))

    def settle(self) -> None:
        """Add what was gathered."""
        if not self._gathered:
            return
        what, dimensions, values, signs = (np.concatenate(parts) for parts in zip(*self._gathered, strict=True))
        self._gathered = []
        runs = what >= RUNNING
        _add(self._running, dimensions[runs] << _STATE_BITS | (what[runs] - RUNNING), signs[runs] * values[runs])
        for status in np.flatnonzero(np.bincount(what[~runs] - OPEN)).tolist():
            of = what == OPEN + status
            entries = self._tickets.setdefault(status, Entries())
            _add(entries, dimensions[of] << _AT_BITS | values[of], signs[of])

    def running(self) -> Int64s:
        """One row for each dimensions, target and state: dimensions, ``3 * target + state``, how many instances.

        Shape (rows, 3).
        """
        keys, numbers = self._running.keys, self._running.amounts
        return np.stack((keys >> _STATE_BITS, keys & _STATE_MASK, numbers), axis=1)

    def rows(self) -> Int64s:
        """One row for each open ticket: dimensions, status (and flag), created (milliseconds). Shape (tickets, 3)."""
        rows = [np.empty((0, 3), np.int64)]
        for status, entries in self._tickets.items():
            keys = np.repeat(entries.keys, entries.amounts)
            rows.append(np.stack((keys >> _AT_BITS, np.full(len(keys), status), keys & _AT_MASK), axis=1))
        return np.concatenate(rows)


def _columns(packed: bytes, sign: int) -> tuple[Int64s, Int64s, Int64s, Int64s]:
    """What, dimensions, value and ``sign`` of the contributions to the backlog among packed ones."""
    rows: NDArray[Any] = np.frombuffer(packed, PACKED_DTYPE)
    # First the few, then their columns: all rows are never copied.
    places = np.flatnonzero(rows["what"] >= OPEN)
    what, dimensions, values = (rows[name][places].astype(np.int64) for name in ("what", "dimensions", "value"))
    return what, dimensions, values, np.full(len(places), sign)


def _add(entries: Entries, keys: Int64s, amounts: Int64s) -> None:
    keys, sums = sum_by(keys, amounts, in_runs=False)
    changed = sums != 0
    if changed.any():
        entries.add(keys[changed], sums[changed])
