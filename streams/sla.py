"""The clocks of service-level agreements: which instances of each target a ticket has, and what became of them.

Source: ``docs/domain.md`` section 4; where it is silent, ``docs/definitions.md``.
"""

from __future__ import annotations

from typing import Final

ACTIVE: Final = "active"
MET: Final = "met"
BREACHED: Final = "breached"
CANCELLED: Final = "cancelled"


class Instance:
    """One instance of a target. Times are milliseconds since 1970, durations milliseconds of business time."""

    __slots__ = (
        "at_risk_at",
        "at_risk_raised",
        "breached_at",
        "due_at",
        "ended_at",
        "number",
        "outcome",
        "overrun_ms",
        "policy",
        "remaining_ms",
        "started_at",
        "target",
    )

    def __init__(self, target: str, started_at: int, number: int) -> None:
        self.target = target
        """One of ``streams.measures.TARGETS``."""
        self.started_at = started_at
        self.number = number
        """Which one of this target and start, from 1."""
        self.policy = ""
        """The name of the policy that holds or held for it last."""
        self.due_at: int | None = None
        """None while its clock is paused."""
        self.at_risk_at: int | None = None
        """When its share of the time is or would be reached; None while its clock is paused before."""
        self.at_risk_raised = False
        self.ended_at: int | None = None
        self.outcome = ACTIVE
        self.breached_at: int | None = None
        self.overrun_ms: int | None = None
        """None unless it breached."""
        self.remaining_ms = 0
        """What was left at the end, or is left now; 0 after a breach."""
