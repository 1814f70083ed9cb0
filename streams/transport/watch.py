"""Notices that records are there, that nobody has one in hand, and that none is read.

Neither Faust nor librdkafka would tell: a fetcher that has ended by a cancellation is as silent as a client that has
lost its fetch. The figures of such a worker would stand still for as long as nobody looks.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, Protocol

from streams.failures import MendableError

LOOK_SECONDS: Final = 10.0
_LOOKS: Final = 3
"""So often in a row nothing has to have moved: a process that was halted, or busy, finds one long look only."""


class StallError(MendableError):
    """Records are there and none is read; a new life of the worker reads on."""


class Watched(Protocol):
    """What is watched."""

    def standing(self) -> Hashable | None:
        """What changes whenever something is read; None while there is nothing to be read or somebody is at work."""

    async def unread(self) -> str:
        """What is there to be read, or that nobody knows; nothing if all was read or the brokers do not answer."""


class Watch:
    """Looks again and again at one consumer."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._before: Hashable | None = None
        self._looks = 0

    async def look(self) -> None:
        """Look; raises :class:`StallError` when nothing has moved for several looks although there is something."""
        standing = self._watched.standing()
        if standing is None or standing != self._before:
            self._before, self._looks = standing, 0
            return
        self._looks += 1
        if self._looks < _LOOKS:
            return
        self._looks = 0
        unread = await self._watched.unread()
        if unread and self._watched.standing() == standing:
            raise StallError(f"nothing was read for {_LOOKS * LOOK_SECONDS:.0f} s, but {unread}")
