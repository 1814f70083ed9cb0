"""What is open in one partition: tickets by status and since when, and instances of targets that run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from streams.contributions import OPEN, RUNNING


class Backlog:
    """Counts open tickets by dimensions, status and creation, and running instances by dimensions, target and state."""

    def __init__(self) -> None:
        self._tickets: dict[tuple[int, int, int], int] = {}
        self._running: dict[tuple[int, int], int] = {}

    def add(self, dimensions: int, what: int, value: int, sign: int) -> None:
        """A contribution to what is open (``contributions.OPEN`` and beyond) joins (``sign`` 1) or leaves (-1)."""
        if what >= RUNNING:
            running = dimensions, what - RUNNING
            number = self._running.get(running, 0) + sign * value
            if number:
                self._running[running] = number
            else:
                del self._running[running]
            return
        key = dimensions, what - OPEN, value
        number = self._tickets.get(key, 0) + sign
        if number:
            self._tickets[key] = number
        else:
            del self._tickets[key]

    def running(self) -> NDArray[np.int64]:
        """One row for each dimensions, target and state: dimensions, ``3 * target + state``, how many instances.

        Shape (rows, 3).
        """
        rows = [(dimensions, what, number) for (dimensions, what), number in self._running.items()]
        return np.array(rows, np.int64) if rows else np.empty((0, 3), np.int64)

    def rows(self) -> NDArray[np.int64]:
        """One row for each open ticket: dimensions, status (and flag), created (milliseconds). Shape (tickets, 3)."""
        if not self._tickets:
            return np.empty((0, 3), np.int64)
        rows = np.array(list(self._tickets), np.int64)
        return np.repeat(rows, np.fromiter(self._tickets.values(), np.int64, len(self._tickets)), axis=0)
