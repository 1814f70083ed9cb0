"""How far a partition's time has come.

The watermark is the least over the partition's inputs. An input that is read to its end counts as the wall clock, less
a short grace for records on their way; on the event clock it counts as nothing, so that the inputs still being read
decide, and the newest event where all are at their end. It never goes back.
"""

from __future__ import annotations

from collections.abc import Iterable


class Watermark:
    """The watermark of one partition over its inputs. Times are milliseconds since 1970."""

    def __init__(self, inputs: Iterable[str], grace_ms: int, event_clock: bool, start: int = 0) -> None:
        self.newest: dict[str, int | None] = dict.fromkeys(inputs)
        """Input to the newest ``at`` seen in it."""
        self.value = start
        """0 while unknown."""
        self._grace_ms = grace_ms
        self._event_clock = event_clock

    def saw(self, topic: str, at: int) -> None:
        """An event of ``topic`` happened at ``at``."""
        newest = self.newest[topic]
        if newest is None or at > newest:
            self.newest[topic] = at

    @property
    def newest_at(self) -> int:
        """The newest ``at`` seen in any input; the watermark itself where that is later, 0 where nothing is known."""
        return max([self.value, *(at for at in self.newest.values() if at is not None)])

    def advance(self, at_end: Iterable[str], wall: int, newest_anywhere: int = 0) -> int:
        """The watermark, given the inputs that are read to their end and the wall clock.

        ``newest_anywhere``: on the event clock, the newest event of all partitions, which one that has no more to read
        follows.
        """
        ended = set(at_end)
        reading = [newest for topic, newest in self.newest.items() if topic not in ended]
        if None in reading:
            return self.value
        known = [newest for newest in reading if newest is not None]
        if self._event_clock:
            found = min(known) if known else max(newest_anywhere, self.newest_at)
        else:
            found = min([wall - self._grace_ms, *known])
        self.value = max(self.value, found)
        return self.value
