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
    """``csat``, ``nps`` or ``ces``."""
    score: float
    """As it was given, on its own scale."""
    scale_min: float
    """The lowest score that could be given."""
    scale_max: float
    """The highest score that could be given."""
    answered_at_ms: int
    """When it was given, milliseconds since 1970 UTC."""


class TicketFacts(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The facts of one ticket at ``as_of_ms``; what is unknown or zero is left out of the JSON.

    Key: the ticket's id. The newest record of a ticket holds; a deleted ticket has only ``deleted``.
    """

    ticket_id: str
    as_of_ms: int
    """The time that the facts hold for, milliseconds since 1970 UTC."""
    events: int = 0
    """How many different events are known."""
    deleted: bool = False
    """Spam or erased: it counts nowhere."""
    merged_into: str | None = None
    """The surviving ticket's id; null where it was not merged."""
    created_at_ms: int | None = None
    """Milliseconds since 1970 UTC; null until the creation is known: without it there are no other facts."""
    customer_id: str = ""
    status: str = ""
    """``new``, ``open``, ``pending``, ``on_hold``, ``solved`` or ``closed``."""
    status_since_ms: int | None = None
    """The last change of status, milliseconds since 1970 UTC."""
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
    """Creation to the first public message by an agent or a bot."""
    first_reply_at_ms: int | None = None
    """The first public message by a human agent, milliseconds since 1970 UTC."""
    first_reply_seconds: float | None = None
    """How long the customer waited for it; null until then."""
    first_solved_at_ms: int | None = None
    """Milliseconds since 1970 UTC."""
    first_resolution_seconds: float | None = None
    """Creation to the first solve."""
    last_solved_at_ms: int | None = None
    """Milliseconds since 1970 UTC."""
    full_resolution_seconds: float | None = None
    """Creation to the last solve."""
    solves: int = 0
    """Entries into solved or closed."""
    reopens: int = 0
    """Departures from solved or closed."""
    agent_replies: int = 0
    """Public messages by human agents."""
    status_seconds: dict[str, float] | None = None
    """Seconds in ``new``, ``open``, ``pending`` and ``on_hold``, where there were any."""
    one_touch: bool | None = None
    """At most one public human reply within the days of FCR; null where not solved."""
    no_followup: bool | None = None
    """No customer message after the creation within the days of FCR; null where not solved."""
    no_reopen: bool | None = None
    """Not reopened within the days of FCR; null where not solved."""
    fcr: bool | None = None
    """First-contact resolution: all parts that the configuration names; null where not solved."""
    fcr_final: bool | None = None
    """Whether ``fcr`` can change no more; null where not solved."""
    surveys_sent: dict[str, int] | None = None
    """Surveys sent, by kind."""
    answers: list[SurveyAnswer] | None = None
    """The answer of each survey that counts."""


class Cell(Struct, kw_only=True, gc=False):
    """All that was counted in one pane of one combination of dimensions, in one partition: the whole, never a delta.

    Key: ``resolution``, ``pane_at_ms`` and the dimensions. ``measures`` holds what is not zero: counts, sums in
    milliseconds (``..._ms``) and quantile buckets (``..._b<index>``, see ``streams.buckets``).
    """

    resolution: str
    """``minute`` or ``hour``."""
    pane_at_ms: int
    """When the pane begins, milliseconds since 1970 UTC."""
    as_of_ms: int
    """The time that the cell holds for, milliseconds since 1970 UTC."""
    dimensions: dict[str, str]
    """Attribute to value, empty where the tickets have none."""
    measures: dict[str, int]
    """Name to total; what is zero is left out."""


class SlaEvent(Struct, kw_only=True, omit_defaults=True, gc=False):
    """Something happened to one instance of a service-level target."""

    ticket_id: str
    kind: str
    """``at_risk``, ``breached``, ``retracted``, ``met`` or ``cancelled``."""
    target: str
    """Like ``first_reply`` or ``resolution``."""
    policy: str
    """The name of the policy that set it."""
    at_ms: int
    """When it became so: the due time of a breach, however late it was noticed."""
    started_at_ms: int
    """When the instance started, milliseconds since 1970 UTC."""
    due_at_ms: int | None = None
    """When it is due, milliseconds since 1970 UTC; null while its clock is paused."""
    channel: str = ""
    priority: str = ""
    team: str = ""


DEAD_LETTER_HEADERS: Final = ("reason", "origin_topic", "origin_partition", "origin_offset", "origin_timestamp_ms")
"""Headers of a dead letter and of a late record; key and value are those of the record, whole. Text is UTF-8."""
