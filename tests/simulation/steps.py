"""Where a process can be struck, and what is counted of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum


class Step(StrEnum):
    """Between two steps of the commit protocol (``streams.commit``), of a restore, of the sink, or at rest."""

    RESTING = "at rest"
    STARTING = "starting"
    RESTORING = "restoring"
    CUT = "after the cut"
    BEGUN = "after begin"
    ENQUEUEING = "midway in enqueueing"
    ENQUEUED = "after enqueueing"
    OFFSETS = "after the offsets"
    COMMIT_LOST = "commit sent, not received"
    ANSWER_LOST = "committed, answer lost"
    COMMITTED = "after commit"
    SETTLING = "noting how far the disk is"
    INSERTING = "before an insert"
    INSERTED = "inserted, answer lost"


@dataclass
class Tally:
    """What happened in one seed or in many."""

    seeds: int = 0
    events: int = 0
    """Records published, duplicates and bad ones among them."""
    duplicates: int = 0
    commits: int = 0
    crashes: Counter[str] = field(default_factory=Counter)
    """By :class:`Step`."""
    errors: Counter[str] = field(default_factory=Counter)
    """Requests that failed for a process that lived on, by :class:`Step`."""
    stalls: Counter[str] = field(default_factory=Counter)
    """Requests that took so long that others went on meanwhile, by :class:`Step`."""
    stops: int = 0
    rebalances: int = 0
    expelled: int = 0
    """Workers that were thought to be gone and were not."""
    replaced: int = 0
    """Workers that were started a second time while they were still there."""
    fenced: int = 0
    """Requests of such that were refused."""
    timed_out: int = 0
    """Transactions that the coordinator aborted."""
    outages: int = 0
    failed_inserts: int = 0
    doubled_inserts: int = 0
    clock_jumps: int = 0
    clock_steps_back: int = 0
    reconfigured: int = 0
    """Changes of the settings with which workers start."""
    retained: int = 0
    """Partitions whose state was given back and could be used again."""
    superseded: int = 0
    """Partitions whose state was given back, and others had written meanwhile."""
    lost: int = 0
    doubled: int = 0
    wrong: int = 0

    def __iadd__(self, other: Tally) -> Tally:
        """Add up."""
        for name, amount in vars(other).items():
            setattr(self, name, getattr(self, name) + amount)
        return self

    @classmethod
    def total(cls, tallies: Iterable[Tally]) -> Tally:
        """The sum."""
        found = cls()
        for tally in tallies:
            found += tally
        return found
