"""The events that desks publish: typed contracts, strict where the contract is closed, open to unknown fields.

Source: ``domain.md`` section 1 (kept in ``docs/domain.md``). One JSON object per Kafka record, keyed by ``ticket_id``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from schemas import bad_records
from schemas.bad_records import BadRecordError as BadRecordError
from schemas.bad_records import UnknownTypeError as UnknownTypeError

TICKETS: Final = "support.tickets"
MESSAGES: Final = "support.messages"
SURVEYS: Final = "support.surveys"
INPUT_TOPICS: Final = (TICKETS, MESSAGES, SURVEYS)

Status = Literal["new", "open", "pending", "on_hold", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
Author = Literal["customer", "agent", "bot", "system"]
Visibility = Literal["public", "internal"]
SurveyKind = Literal["csat", "nps", "ces"]

MOST_NAME_CHARACTERS: Final = 256
Id = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[str, Meta(min_length=1, max_length=MOST_NAME_CHARACTERS)]
"""A value of an open set (channel, team, category, …) or the id of a person; never a person's name."""
At = Annotated[datetime, Meta(tz=True)]
Seq = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Score = Annotated[float, Meta(ge=-1e6, le=1e6)]
"""Bounded, so that no scale is too long to divide by."""


class Event(Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What every event has."""

    id: Id
    """Unique; the same id is the same event, always."""
    ticket_id: Id
    """The ticket it is about; also the record's key."""
    at: At
    """When it happened: RFC 3339 with an offset, kept to the millisecond, before 2100."""
    seq: Seq = 0
    """Breaks ties of `at` within the ticket; lower is earlier."""


class Attributes(Event, frozen=True, kw_only=True, gc=False):
    """What a ticket is described by; each value holds from the event that sets it to the next that does."""

    category: Name | UnsetType = UNSET
    """What it is about, like `billing`."""
    team: Name | UnsetType = UNSET
    """The team that works on it."""
    agent_id: Name | UnsetType = UNSET
    """The agent that it is assigned to; an id, not a name."""
    region: Name | UnsetType = UNSET
    """Where the customer is, like `emea`."""
    language: Name | UnsetType = UNSET
    """The language it is in, like `de`."""
    tier: Name | UnsetType = UNSET
    """The customer's plan or standing, like `gold`."""
    journey_stage: Name | UnsetType = UNSET
    """Where the customer stands, like `onboarding`."""
    origin: Name | UnsetType = UNSET
    """Who began it: `customer`, `agent` or `proactive`; `customer` where the creation is silent."""
    handler: Name | UnsetType = UNSET
    """Who works on it: `human` or `bot`; `human` where the creation is silent."""


class TicketCreated(Attributes, frozen=True, kw_only=True, gc=False, tag="ticket.created"):
    """A ticket begins. Of several creations the first in history order counts."""

    customer_id: Name
    """Whose ticket it is; an id, not a name."""
    channel: Name
    """Where it came in, like `email`, `phone`, `chat`, `social`, `self_service`, `onsite` or `video`."""
    priority: Priority
    """How urgent it is."""
    status: Status = "new"
    """The status that it begins in. `pending` waits for the customer, `on_hold` for a third party."""


class TicketUpdated(Attributes, frozen=True, kw_only=True, gc=False, tag="ticket.updated"):
    """Attributes that changed, status included."""

    customer_id: Name | UnsetType = UNSET
    """Whose ticket it is from now on."""
    channel: Name | UnsetType = UNSET
    """Where it goes on."""
    priority: Priority | UnsetType = UNSET
    """How urgent it is from now on."""
    status: Status | UnsetType = UNSET
    """Its status from now on. `pending` waits for the customer, `on_hold` for a third party."""
    actor: Name | UnsetType = UNSET
    """Who changed it; an id, not a name."""


class TicketMerged(Event, frozen=True, kw_only=True, gc=False, tag="ticket.merged"):
    """The ticket goes on as another one; its clocks are cancelled and it counts no longer."""

    into: Id
    """The surviving ticket's id."""


class TicketDeleted(Event, frozen=True, kw_only=True, gc=False, tag="ticket.deleted"):
    """Spam or erased: the ticket leaves every figure."""

    erase: bool = False
    """`true` where nothing of the ticket may be kept: all its other events are forgotten, later ones too."""


class MessageSent(Event, frozen=True, kw_only=True, gc=False, tag="message.sent"):
    """Somebody wrote; the text itself is never part of an event."""

    author: Author
    """What kind of author wrote it; only an `agent` is a human who replies."""
    author_id: Name
    """Who wrote it; an id, not a name."""
    visibility: Visibility
    """`public` for what the customer sees, `internal` for notes."""
    channel: Name | UnsetType = UNSET
    """Where it was written, if not where the ticket is."""


class SurveySent(Event, frozen=True, kw_only=True, gc=False, tag="survey.sent"):
    """The customer was asked."""

    survey_id: Id
    """Unique to this one questionnaire."""
    kind: SurveyKind
    """What is asked: satisfaction, recommendation or effort."""


class SurveyAnswered(Event, frozen=True, kw_only=True, gc=False, tag="survey.answered"):
    """The customer answered; the last answer of one ``survey_id`` wins. A score outside its scale is a bad record."""

    survey_id: Id
    """The survey that is answered; a second answer of the same replaces the first."""
    kind: SurveyKind
    """What was asked: satisfaction, recommendation or effort."""
    score: Score
    """The answer, from `scale_min` to `scale_max`."""
    scale_min: Score | UnsetType = UNSET
    """The lowest score that could be given; where absent csat 1, nps 0, ces 1."""
    scale_max: Score | UnsetType = UNSET
    """The highest score that could be given; where absent csat 5, nps 10, ces 7."""

    def __post_init__(self) -> None:
        low, high = self.scale
        if not low < high:
            raise ValueError(f"`scale_min` {low:g} is not below `scale_max` {high:g}; expected less")
        if not low <= self.score <= high:
            raise ValueError(f"`score` is {self.score:g}; expected its scale, {low:g} to {high:g}")

    @property
    def scale(self) -> tuple[float, float]:
        """The lowest and the highest score that could have been given."""
        low, high = DEFAULT_SCALES[self.kind]
        return (
            low if self.scale_min is UNSET else self.scale_min,
            high if self.scale_max is UNSET else self.scale_max,
        )


DEFAULT_SCALES: Final[dict[str, tuple[float, float]]] = {"csat": (1.0, 5.0), "nps": (0.0, 10.0), "ces": (1.0, 7.0)}

AnyEvent: TypeAlias = (
    TicketCreated | TicketUpdated | TicketMerged | TicketDeleted | MessageSent | SurveySent | SurveyAnswered
)
EVENT_TYPES: Final[tuple[type[Event], ...]] = (
    TicketCreated,
    TicketUpdated,
    TicketMerged,
    TicketDeleted,
    MessageSent,
    SurveySent,
    SurveyAnswered,
)
TYPE_OF_NAME: Final[dict[str, type[Event]]] = {str(t.__struct_config__.tag): t for t in EVENT_TYPES}
TYPE_NAMES: Final[tuple[str, ...]] = tuple(TYPE_OF_NAME)
TOPIC_OF_TYPE: Final[dict[str, str]] = {
    name: {"ticket": TICKETS, "message": MESSAGES, "survey": SURVEYS}[name.partition(".")[0]] for name in TYPE_NAMES
}

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)
"""``at`` lies before this. A later one is a placeholder like 9999-12-31, which would push every clock to the end."""

decoder: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)
"""Decodes one record, all but the range of ``at``. Raises ``msgspec.DecodeError``, ``UnicodeDecodeError`` or
``RecursionError``; :func:`explain_error` says what was wrong in full."""


def at_ms(at: datetime) -> int:
    """The instant in whole milliseconds since 1970, fractions cut off."""
    since = at - EPOCH
    return since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000


LATEST_MS: Final = at_ms(LATEST)


def decode(value: bytes | None) -> AnyEvent:
    """Decode one record's value. Raises as :func:`decode_at`."""
    return decode_at(value)[0]


def decode_at(value: bytes | None) -> tuple[AnyEvent, int]:
    """Decode one record's value: the event, and its ``at`` in milliseconds since 1970.

    Raises :class:`UnknownTypeError` for a type of another contract and :class:`BadRecordError` for all else that is
    wrong, and nothing else whatever the bytes are.
    """
    if value is None:
        raise BadRecordError("the record has no value; expected one JSON object", "no_value")
    try:
        event = decoder.decode(value)
        # msgspec does not look at the text of fields that it skips, but whoever reads the record later does.
        if not value.isascii():
            value.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain_error(value, error) from None
    at = at_ms(event.at)
    if not 0 <= at < LATEST_MS:
        raise BadRecordError(
            f"{event.__struct_config__.tag}: `at` is {event.at.isoformat()}; expected the time at which it happened, "
            f"from {EPOCH.year} to {LATEST.year - 1}"
        )
    return event, at


def explain_error(value: bytes, error: Exception) -> BadRecordError | UnknownTypeError:
    """Say of a record that ``decoder`` refused which field is wrong, what it holds and what is allowed."""
    return bad_records.explain(value, error, TYPE_OF_NAME)
