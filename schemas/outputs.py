"""What deskpulse publishes: one record per touched ticket, per touched cell, per refused or late event.

Instants on the wire are whole milliseconds since 1970 UTC (``_at_ms``), durations are seconds. Every reader uses
``isolation.level=read_committed``. ClickHouse columns carry the same names, instants as ``DateTime64(3)`` without
the ``_ms``.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

FACTS: Final = "support.facts"
CELLS: Final = "support.cells"
SLA_EVENTS: Final = "support.sla-events"
LATE: Final = "support.late"
DEAD_LETTERS: Final = "support.dead-letters"
HISTORIES: Final = "support.histories"
"""The changelog of the state: compacted, one record per touched ticket per commit, keyed like the events."""

OUTPUT_TOPICS: Final = (FACTS, CELLS, SLA_EVENTS, LATE, DEAD_LETTERS)

ATTRIBUTES: Final = (
    "channel",
    "priority",
    "team",
    "category",
    "agent_id",
    "region",
    "language",
    "tier",
    "journey_stage",
    "origin",
    "handler",
)
"""Every attribute that can be a dimension; each is a column of the cells, empty where it is none."""


class SurveyAnswer(Struct, frozen=True, omit_defaults=True, gc=False):
    """The answer of one survey that counts: the last by history order."""

    survey_id: str
    kind: str
    score: float
    scale_min: float
    scale_max: float
    answered_at_ms: int


class TicketFacts(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The facts of one ticket at ``as_of_ms``; what is unknown or zero is left out of the JSON.

    Key: the ticket's id. The newest record of a ticket holds; a deleted ticket has only ``deleted``.
    """

    ticket_id: str
    as_of_ms: int
    events: int = 0
    deleted: bool = False
    merged_into: str | None = None
    created_at_ms: int | None = None
    customer_id: str = ""
    status: str = ""
    status_since_ms: int | None = None
    channel: str = ""
    priority: str = ""
    team: str = ""
    category: str = ""
    agent_id: str = ""
    region: str = ""
    language: str = ""
    tier: str = ""
    journey_stage: str = ""
    origin: str = ""
    handler: str = ""
    first_touch_seconds: float | None = None
    first_reply_at_ms: int | None = None
    first_reply_seconds: float | None = None
    first_solved_at_ms: int | None = None
    first_resolution_seconds: float | None = None
    last_solved_at_ms: int | None = None
    full_resolution_seconds: float | None = None
    solves: int = 0
    reopens: int = 0
    agent_replies: int = 0
    status_seconds: dict[str, float] | None = None
    one_touch: bool | None = None
    no_followup: bool | None = None
    no_reopen: bool | None = None
    fcr: bool | None = None
    fcr_final: bool | None = None
    surveys_sent: dict[str, int] | None = None
    """Surveys sent, by kind."""
    answers: list[SurveyAnswer] | None = None


class Cell(Struct, kw_only=True, gc=False):
    """All that was counted in one pane of one combination of dimensions, in one partition: the whole, never a delta.

    Key: ``resolution``, ``pane_at_ms`` and the dimensions. ``measures`` holds what is not zero: counts, sums in
    milliseconds (``..._ms``) and quantile buckets (``..._b<index>``, see ``streams.buckets``).
    """

    resolution: str
    """``minute`` or ``hour``."""
    pane_at_ms: int
    as_of_ms: int
    dimensions: dict[str, str]
    measures: dict[str, int]


class SlaEvent(Struct, kw_only=True, omit_defaults=True, gc=False):
    """Something happened to one instance of a service-level target."""

    ticket_id: str
    kind: str
    """``at_risk``, ``breached``, ``retracted``, ``met`` or ``cancelled``."""
    target: str
    policy: str
    at_ms: int
    """When it became so: the due time of a breach, however late it was noticed."""
    started_at_ms: int
    due_at_ms: int | None = None
    channel: str = ""
    priority: str = ""
    team: str = ""


DEAD_LETTER_HEADERS: Final = ("reason", "origin_topic", "origin_partition", "origin_offset", "origin_timestamp_ms")
"""Headers of a dead letter and of a late record; key and value are those of the record, whole. Text is UTF-8."""
