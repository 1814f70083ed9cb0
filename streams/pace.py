"""When the next cut is to be made."""

from __future__ import annotations

from typing import Final

CATCH_UP_SECONDS: Final = 10.0
"""The least time between cuts while catching up: a ticket's facts are then derived once for more of its events."""
DUE_SECONDS: Final = 0.25
"""The least time between cuts when something should not wait: a breach is to be seen within a second."""


class Pace:
    """Times are seconds of a clock that only goes on."""

    def __init__(self, commit_seconds: float, now: float) -> None:
        """``commit_seconds``: the time between cuts where nothing else holds."""
        self._commit_seconds = commit_seconds
        self._cut_at = now
        self._level_at = now
        """When there was nothing to catch up with, the last time."""

    def is_time(self, now: float, *, behind: bool, due: bool) -> bool:
        """Whether to cut now. ``behind``: there is much unread; ``due``: something should not wait."""
        if behind:
            # Else who begins with a backlog would cut at once, and derive the same tickets again soon after.
            return now - max(self._cut_at, self._level_at) >= max(self._commit_seconds, CATCH_UP_SECONDS)
        self._level_at = now
        return now - self._cut_at >= (min(self._commit_seconds, DUE_SECONDS) if due else self._commit_seconds)

    def cut(self, now: float) -> None:
        """A cut is made."""
        self._cut_at = now
