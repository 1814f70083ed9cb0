"""Errors that can be put into the simulated system, to see that the simulation notices them."""

from __future__ import annotations

from enum import Enum


class Defect(Enum):
    """One known error in what exactly-once rests on."""

    NONE = "none"
    OFFSETS_OUTSIDE_TRANSACTION = "offsets hold although their transaction is aborted"
    GENERATION_NOT_FENCED = "a worker that was expelled from its group may still commit offsets"
    EPOCH_NOT_FENCED = "a producer that was replaced may still commit"
    UNSTABLE_OFFSETS = "offsets are read while a transaction that holds newer ones is open"
    RESTORE_TO_STABLE_END = "a restore does not wait for transactions that are still open"
    RESTORE_UNCOMMITTED = "a restore reads records of aborted transactions"
    STATE_KEPT_AFTER_ABORT = "a worker goes on with its state after a transaction that was aborted"
    SINK_COMMITS_UNINSERTED = "the sink commits offsets of rows that were not inserted"
