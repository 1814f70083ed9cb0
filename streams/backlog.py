"""The open tickets of one partition: how many and since when, by status and combination of dimensions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Backlog:
    """Counts open tickets by dimensions, status and when they were created."""

    def __init__(self) -> None:
        self._tickets: dict[tuple[int, int, int], int] = {}

    def add(self, dimensions: int, status: int, created_ms: int, sign: int) -> None:
        """A ticket with this status and creation joins (``sign`` 1) or leaves (-1)."""
        key = dimensions, status, created_ms
        number = self._tickets.get(key, 0) + sign
        if number:
            self._tickets[key] = number
        else:
            del self._tickets[key]

    def rows(self) -> NDArray[np.int64]:
        """One row for each open ticket: dimensions, status, created (milliseconds). Shape (tickets, 3)."""
        if not self._tickets:
            return np.empty((0, 3), np.int64)
        rows = np.array(list(self._tickets), np.int64)
        return np.repeat(rows, np.fromiter(self._tickets.values(), np.int64, len(self._tickets)), axis=0)
