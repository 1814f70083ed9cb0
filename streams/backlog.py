"""The open tickets of one partition: how many and since when, by status and combination of dimensions."""

from __future__ import annotations

from collections.abc import Iterator


class Backlog:
    """Counts open tickets by when they were created."""

    def __init__(self) -> None:
        self._created: dict[tuple[int, int], dict[int, int]] = {}

    def add(self, dimensions: int, status: int, created_ms: int, sign: int) -> None:
        """A ticket with this status and creation joins (``sign`` 1) or leaves (-1)."""
        group = self._created.setdefault((dimensions, status), {})
        number = group.get(created_ms, 0) + sign
        if number:
            group[created_ms] = number
        else:
            del group[created_ms]
            if not group:
                del self._created[dimensions, status]

    def groups(self) -> Iterator[tuple[int, int, dict[int, int]]]:
        """Dimensions, status, and how many were created at which millisecond."""
        for (dimensions, status), created in self._created.items():
            yield dimensions, status, created
