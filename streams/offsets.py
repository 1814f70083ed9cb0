"""How far a worker has applied what it reads, and how much of that is not in a transaction yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from faust.types import TP

from schemas.events import INPUT_TOPICS
from schemas.outputs import INNER_TOPICS

READ_TOPICS: Final = (*INPUT_TOPICS, *INNER_TOPICS)
"""What a processor reads."""


class Offsets:
    """The next offset of each partition of each topic."""

    def __init__(self, start_of: Callable[[TP], int]) -> None:
        """``start_of``: from where a partition is read since it was assigned."""
        self._start_of = start_of
        self._applied: dict[TP, int] = {}
        self._uncut: dict[TP, int] = {}

    def next_of(self, tp: TP) -> int:
        """The next offset to be applied."""
        return self._applied.get(tp, self._start_of(tp))

    def check(self, tp: TP, start: int) -> None:
        """Raise ``RuntimeError`` where what begins at ``start`` does not follow what was applied."""
        expected = self.next_of(tp)
        if start != expected:
            raise RuntimeError(
                f"{tp.topic}[{tp.partition}]: a batch starts at {start}, but {expected} is the next offset"
            )

    def apply(self, tp: TP, end: int) -> None:
        """Everything before ``end`` is applied."""
        self._applied[tp] = self._uncut[tp] = end

    def has_uncut(self, number: int) -> bool:
        """Whether something of a partition number was applied since it was cut."""
        return any(TP(topic, number) in self._uncut for topic in READ_TOPICS)

    @property
    def is_last_step(self) -> bool:
        """Whether something is to be cut, and none of it came from the inputs."""
        topics = {tp.topic for tp in self._uncut}
        return bool(topics) and topics.issubset(INNER_TOPICS)

    def cut(self, number: int) -> dict[tuple[str, int], int]:
        """Take out the next offsets of what was applied of a partition number since the last time."""
        taken = {}
        for topic in READ_TOPICS:
            end = self._uncut.pop(TP(topic, number), None)
            if end is not None:
                taken[topic, number] = end
        return taken

    def clear(self) -> None:
        """Begin anew, with other partitions."""
        self._applied = {}
        self._uncut = {}
