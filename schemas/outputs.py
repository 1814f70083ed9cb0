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

CUSTOMERS: Final = "support.customers"
"""What tickets tell of themselves to their customers' other tickets: lists of pairs of a customer's id and a
``CustomerTicket``, in the partition of these customers, without a key (``streams.letters``)."""
CONTACTS: Final = "support.contacts"
"""What a customer's other tickets say of a ticket (``CustomerContact``), keyed by ticket."""
CUSTOMER_TICKETS: Final = "support.customer-tickets"
"""The changelog of the customer step: compacted, keyed by customer."""

OUTPUT_TOPICS: Final = (FACTS, CELLS, SLA_EVENTS, LATE, DEAD_LETTERS)
INNER_TOPICS: Final = (CUSTOMERS, CONTACTS)
"""What workers tell each other: written and read by processors."""
CHANGELOGS: Final = (HISTORIES, CUSTOMER_TICKETS)

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


class NextReply(Struct, frozen=True, omit_defaults=True, gc=False):
    """One wait of the customer after the first reply."""

    started_at_ms: int
    """The oldest unanswered message of the customer, or the reopening; milliseconds since 1970 UTC."""
    ended_at_ms: int | None = None
    """Milliseconds since 1970 UTC; null while it runs, as the others are."""
    seconds: float | None = None
    """How long it was."""
    business_seconds: float | None = None
    """How long it was within opening hours; null where all of it was, too."""
    ended_by: str | None = None
    """``reply``, ``solve`` or ``merge``."""


class TicketFacts(Struct, kw_only=True, omit_defaults=True, gc=False):
    """The facts of one ticket at ``as_of_ms``; what is unknown or zero is left out of the JSON.

    Key: the ticket's id. The newest record of a ticket holds; a deleted ticket has only ``deleted``. A duration within
    opening hours (``..._business_seconds``) is left out of the JSON where it equals the elapsed one.
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
    first_touch_business_seconds: float | None = None
    """The same within opening hours."""
    first_reply_at_ms: int | None = None
    """The first public message by a human agent, milliseconds since 1970 UTC."""
    first_reply_seconds: float | None = None
    """How long the customer waited for it; null until then."""
    first_reply_business_seconds: float | None = None
    """The same within opening hours."""
    handoff_reply_seconds: float | None = None
    """The last handover from a bot to a human, to the first public message by a human agent after it."""
    handoff_reply_business_seconds: float | None = None
    """The same within opening hours."""
    next_replies: list[NextReply] | None = None
    """The customer's waits after the first reply."""
    first_solved_at_ms: int | None = None
    """Milliseconds since 1970 UTC."""
    first_resolution_seconds: float | None = None
    """Creation to the first solve."""
    first_resolution_business_seconds: float | None = None
    """The same within opening hours."""
    last_solved_at_ms: int | None = None
    """Milliseconds since 1970 UTC."""
    full_resolution_seconds: float | None = None
    """Creation to the last solve."""
    full_resolution_business_seconds: float | None = None
    """The same within opening hours."""
    solves: int = 0
    """Entries into solved or closed."""
    reopens: int = 0
    """Departures from solved or closed."""
    agent_replies: int = 0
    """Public messages by human agents."""
    customer_messages: int = 0
    """The customer's contacts: the creation, where the customer began, and public messages."""
    agents: int = 0
    """How many different human agents wrote, internal notes included."""
    channel_switches: int = 0
    """Changes of channel along the customer's contacts."""
    status_seconds: dict[str, float] | None = None
    """Seconds in ``new``, ``open``, ``pending`` and ``on_hold``, where there were any."""
    status_business_seconds: dict[str, float] | None = None
    """The same within opening hours."""
    requester_wait_seconds: float | None = None
    """Seconds in ``new``, ``open`` and ``on_hold``."""
    requester_wait_business_seconds: float | None = None
    """The same within opening hours."""
    agent_work_seconds: float | None = None
    """Seconds in ``new`` and ``open``."""
    agent_work_business_seconds: float | None = None
    """The same within opening hours."""
    unanswered: bool = False
    """Whether the customer waits for a reply now."""
    policy: str = ""
    """The service-level policy in force."""
    one_touch: bool | None = None
    """At most one public human reply within the days of FCR; null where not solved."""
    no_followup: bool | None = None
    """No customer message after the creation within the days of FCR; null where not solved."""
    no_reopen: bool | None = None
    """Not reopened within the days of FCR; null where not solved."""
    no_repeat: bool | None = None
    """Not reopened, and no other ticket about the same within the days of FCR; null where not solved."""
    fcr: bool | None = None
    """First-contact resolution: all parts that the configuration names; null where not solved."""
    fcr_final: bool | None = None
    """Whether ``fcr`` can change no more; null where not solved."""
    handled_by: str | None = None
    """Who wrote to the customer: ``bot``, ``human`` or ``both``; null where nobody did."""
    bot_resolved: bool | None = None
    """First solved with a bot's message and no human reply before it; null where not solved."""
    bot_resolved_durably: bool | None = None
    """And neither reopened nor repeated within the days of FCR; null where not solved."""
    service_recovery: bool | None = None
    """Whether a failure (bad answer, breach) was followed by a good answer of the customer; null without a failure."""
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
    """Something happened to one instance of a service-level target.

    Key: the ticket's id. Of one instance (``ticket_id``, ``target``, ``started_at_ms``, ``instance``) and kind the
    newest record holds; a ``retracted`` one takes back what it ``withdraws``.
    """

    ticket_id: str
    kind: str
    """``at_risk``, ``breached``, ``met``, ``cancelled`` or ``retracted``."""
    target: str
    """Like ``first_reply`` or ``resolution``."""
    policy: str
    """The name of the policy that set it."""
    at_ms: int
    """When it became so: the due time of a breach, however late it was noticed. Of a retraction: when it was known."""
    started_at_ms: int
    """When the instance started, milliseconds since 1970 UTC."""
    instance: int = 1
    """Which one of this target and start, from 1: after a breach a changed target is an instance of its own."""
    due_at_ms: int | None = None
    """When it is due, milliseconds since 1970 UTC; null while its clock is paused."""
    withdraws: str = ""
    """Of a retraction: the kind that holds no more."""
    channel: str = ""
    priority: str = ""
    team: str = ""


class CustomerTicket(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What the customer's other tickets have to know of one. Times are milliseconds since 1970 UTC, 0 for none.

    It stands beside the customer's id. What was told last of a ticket and customer holds.
    """

    ticket_id: str
    partition: int = 0
    """The Kafka partition that the ticket's events are in: contacts are to go there."""
    gone: bool = False
    """It was deleted, or is another customer's now; nothing else is told."""
    forget: bool = False
    """All that is known of the customer's tickets is to be forgotten (``deskpulse forget``); it is of no ticket, and
    nothing else is told."""
    left: bool = False
    """It has left the horizon: it changes no more, and what it told holds; nothing else is told."""
    category: str = ""
    created_at_ms: int = 0
    counts: bool = False
    """It can be a repeat contact: it was not merged."""
    first_solved_at_ms: int = 0
    failed_at_ms: list[int] = []
    """Bad answers and breaches."""
    good_at_ms: list[int] = []
    """Good answers."""
    moved: bool = False
    """It was another customer's before: it is to be told what holds, whatever it has heard from whom."""


class CustomerContact(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What the customer's other tickets say of one. Key: the ticket's id; the newest record of a ticket holds."""

    customer_id: str
    repeat_at_ms: int = 0
    """When the first ticket that repeats it was created, milliseconds since 1970 UTC; 0 for none."""
    recovered_at_ms: int = 0
    """The first good answer on another ticket after a failure of it, milliseconds since 1970 UTC; 0 for none."""


class WouldChange(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What a late event can touch, as far as it tells itself: the header ``would_change`` of a late record."""

    type: str
    """Of the event."""
    left_at_ms: int
    """When its ticket left the horizon, milliseconds since 1970 UTC."""
    late_seconds: float
    """How long before the time of its partition the event had happened."""
    pane_at_ms: int
    """The hour in which it happened, milliseconds since 1970 UTC."""
    measures: list[str] = []
    """Counts and durations of the cells, by the names of ClickHouse's columns (durations without their ``_ms``)."""
    dimensions: list[str] = []
    """Dimensions by which the ticket would count otherwise from then on."""
    other_panes: bool = False
    """Whether other hours of the ticket can change, too."""
    whole_ticket: bool = False
    """Whether all that the ticket counts for is at stake, every measure: it was created, merged or deleted."""


DEAD_LETTER_HEADERS: Final = ("reason", "origin_topic", "origin_partition", "origin_offset", "origin_timestamp_ms")
"""The first headers of a dead letter and of a late record, in this order; the record's own follow. Text is UTF-8.

Key and value are those of the record, whole. ``reason`` begins with a code: ``bad_record: `type` is missing; ...``.
"""
WOULD_CHANGE_HEADER: Final = "would_change"
"""One more header of a late record, before its own: JSON of :class:`WouldChange`."""
LARGEST_RECORD_BYTES: Final = 16 * 1024 * 1024
"""What workers write may be so large, more than Kafka's default of 1 MiB for what is published: a dead letter has
headers on top of the record that it was, and the facts and the history of a busy ticket are larger than any event."""
REPLAYED: Final = "support.dead-letters-replayed"
"""Which dead letters were sent again: compacted, keyed by ``PARTITION@OFFSET`` of the letter (``Replayed``)."""


class Replayed(Struct, kw_only=True, gc=False):
    """A dead letter was sent again, in the same transaction as this record. Key: its ``PARTITION@OFFSET``."""

    letter_timestamp_ms: int
    """The timestamp of the letter: another one at this offset, of a topic made anew, is another letter."""
    topic: str
    """Where it was sent, or ``ClickHouse``."""
    replayed_at_ms: int
    """When, milliseconds since 1970 UTC."""
