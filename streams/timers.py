"""Who is to be looked at when time alone changes a ticket: a coarse wheel with an exact heap for the minute of now.

A ticket has at most one time that holds, which its owner keeps; older entries are found to be stale when they come up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

_MINUTE_MS = 60_000


class Timers:
    """Tickets' keys by the time (milliseconds) at which they are due.

    ``due_of`` says when a ticket is due now, None where it is not.
    """

    def __init__(self, due_of: Callable[[bytes], int | None]) -> None:
        self._due_of = due_of
        self._minutes: dict[int, bytearray] = {}
        """Minute to the keys that may be due in it, each after its length: as objects they would hold memory apart."""
        self._order: list[int] = []
        self._near: list[tuple[int, bytes]] = []

    def set(self, due: int, key: bytes) -> None:
        """Let ``key`` come up at ``due``."""
        minute = due // _MINUTE_MS
        slot = self._minutes.get(minute)
        if slot is None:
            slot = self._minutes[minute] = bytearray()
            heapq.heappush(self._order, minute)
        slot += len(key).to_bytes(2, "little") + key

    def due(self, now: int) -> Iterator[bytes]:
        """Take out the keys of what is due at ``now``, the earliest first."""
        while self._order and self._order[0] <= now // _MINUTE_MS:
            minute = heapq.heappop(self._order)
            for key in _keys(self._minutes.pop(minute)):
                due = self._due_of(key)
                if due is not None and due // _MINUTE_MS == minute:
                    heapq.heappush(self._near, (due, key))
        while self._near and self._near[0][0] <= now:
            due, key = heapq.heappop(self._near)
            if self._due_of(key) == due:
                yield key


def _keys(slot: bytearray) -> Iterator[bytes]:
    at = 0
    while at < len(slot):
        begin = at + 2
        at = begin + int.from_bytes(slot[at:begin], "little")
        yield bytes(slot[begin:at])
