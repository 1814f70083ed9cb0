"""Errors that can be put into the simulated system, to see that the simulation notices them."""

from __future__ import annotations

from enum import StrEnum


class Defect(StrEnum):
    """One known error in what exactly-once rests on."""

    NONE = "none"
    OFFSETS_OUTSIDE_TRANSACTION = "offsets-outside-transaction"
    """Offsets hold although their transaction is aborted."""
    GENERATION_NOT_FENCED = "generation-not-fenced"
    """A worker that was expelled from its group may still commit offsets."""
    EPOCH_NOT_FENCED = "epoch-not-fenced"
    """A producer that was replaced may still commit."""
    UNSTABLE_OFFSETS = "unstable-offsets"
    """Offsets are read while a transaction that holds newer ones is open."""
    RESTORE_TO_STABLE_END = "restore-to-stable-end"
    """A restore does not wait for transactions that are still open."""
    RESTORE_UNCOMMITTED = "restore-uncommitted"
    """A restore reads records of aborted transactions."""
    STATE_KEPT_AFTER_ABORT = "state-kept-after-abort"
    """A worker goes on with its state after a transaction that was aborted."""
    DISK_AHEAD = "disk-ahead"
    """A state on disk is said to hold more of the changelog than it does."""
    RETAINED_UNCHECKED = "retained-unchecked"
    """A worker uses the state that it gave back without a look at what others have written meanwhile."""
    SINK_COMMITS_UNINSERTED = "sink-commits-uninserted"
    """The sink commits offsets of rows that were not inserted."""
