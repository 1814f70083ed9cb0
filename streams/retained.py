"""The states of partitions that were just given back, for the case that they come back as they were.

A rebalance takes all partitions from all workers, and most go to the same ones again. Restoring those would keep their
figures waiting for nothing: what is in memory still holds if nobody else has written to their changelogs meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from faust.types import TP

from schemas.outputs import CHANGELOGS
from streams.commit import Cut
from streams.kept import KeptPartition
from streams.restore import Changelogs

_Newest = dict[bytes, bytes | None]
"""The newest value of each key, None for a tombstone."""


class _Held(NamedTuple):
    kept: KeptPartition
    tails: Mapping[TP, tuple[int, _Newest]]
    """Of each of its changelogs: from where on, and what may lie there."""


class Retained:
    """States by partition number."""

    def __init__(self, changelogs: Changelogs) -> None:
        self._changelogs = changelogs
        self._held: dict[int, _Held] = {}

    def keep(self, states: Mapping[int, KeptPartition], ends: Mapping[TP, int], last: Iterable[Cut]) -> None:
        """Keep states that are committed whole.

        ``ends`` of their changelogs are from before the last commit, which had offsets of each of them: by taking these
        the group has said that this worker was the owner until then, so nobody else has written what lies before the
        ends. ``last`` are the cuts of that commit: their records are all that may lie behind them.
        """
        written: dict[TP, _Newest] = {}
        for cut in last:
            for topic, number, made in cut.records:
                if topic in CHANGELOGS:
                    written.setdefault(TP(topic, number), {}).update(made)
        for number, kept in states.items():
            of_one = [TP(topic, number) for topic in CHANGELOGS]
            if all(tp in ends for tp in of_one):
                self._held[number] = _Held(kept, {tp: (ends[tp], written.get(tp, {})) for tp in of_one})

    async def unchanged(self, numbers: set[int], deadline_seconds: float) -> dict[int, KeptPartition]:
        """Of these partitions, those whose states still hold. All others are forgotten.

        :meth:`release` follows when they are used; when it does not come to that, they may be asked for again.
        """
        held = {number: self._held[number] for number in numbers if number in self._held}
        found: dict[TP, _Newest] = {tp: {} for one in held.values() for tp in one.tails}
        wanted = {tp: (end, found[tp].update) for one in held.values() for tp, (end, _) in one.tails.items()}
        if wanted:
            await self._changelogs.read_to_end(wanted, deadline_seconds)
        self._held = {
            number: one
            for number, one in held.items()
            if all(found[tp] == written for tp, (_, written) in one.tails.items())
        }
        return {number: one.kept for number, one in self._held.items()}

    def release(self) -> None:
        """They are used now."""
        self._held = {}
