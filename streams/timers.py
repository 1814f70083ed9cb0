"""Who is to be looked at when time alone changes a ticket: two coarse wheels with an exact heap for the minute of now.

A ticket has at most one time that holds, which its owner keeps; older entries are found to be stale when they come up.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_ENTRY: Final = Struct("<QH")
"""When it is due, and the length of its key, which follows."""


class Timers:
    """Tickets' keys by the time (milliseconds) at which they are due.

    ``due_of`` says when a ticket is due now, None where it is not.
    """

    def __init__(self, due_of: Callable[[bytes], int | None]) -> None:
        self._due_of = due_of
        self._hours = _Wheel(_HOUR_MS)
        self._minutes = _Wheel(_MINUTE_MS)
        self._hours_from = 0
        """What is due before this has left the wheel of the hours."""
        self._near: list[tuple[int, bytes]] = []

    def set(self, due: int, key: bytes) -> None:
        """Let ``key`` come up at ``due``."""
        if due < self._hours_from:
            self._minutes.put(due, key)
        else:
            self._hours.put(due, key)

    def renew(self) -> None:
        """Hold all that waits as new objects: those of now came among others and keep the memory of all of them."""
        self._minutes.renew()
        self._hours.renew()

    def due(self, now: int) -> Iterator[bytes]:
        """Take out the keys of what is due at ``now``, the earliest first."""
        for due, key in self._hours.take(now):
            self._minutes.put(due, key)
        self._hours_from = max(self._hours_from, now - now % _HOUR_MS + _HOUR_MS)
        for entry in self._minutes.take(now):
            heapq.heappush(self._near, entry)
        while self._near and self._near[0][0] <= now:
            due, key = heapq.heappop(self._near)
            if self._due_of(key) == due:
                yield key


class _Wheel:
    """Entries by the span of time that they are due in, packed: as objects they would hold memory apart."""

    def __init__(self, width_ms: int) -> None:
        self._width_ms = width_ms
        self._spans: dict[int, bytearray] = {}
        self._order: list[int] = []

    def put(self, due: int, key: bytes) -> None:
        number = due // self._width_ms
        span = self._spans.get(number)
        if span is None:
            span = self._spans[number] = bytearray()
            heapq.heappush(self._order, number)
        span += _ENTRY.pack(due, len(key)) + key

    def renew(self) -> None:
        self._spans = {number: bytearray(span) for number, span in self._spans.items()}
        self._order = sorted(self._spans)

    def take(self, now: int) -> list[tuple[int, bytes]]:
        """Take out the entries of all spans that have begun."""
        taken: list[tuple[int, bytes]] = []
        while self._order and self._order[0] <= now // self._width_ms:
            span = self._spans.pop(heapq.heappop(self._order))
            at = 0
            while at < len(span):
                due, length = _ENTRY.unpack_from(span, at)
                begin = at + _ENTRY.size
                at = begin + length
                taken.append((due, bytes(span[begin:at])))
        return taken
