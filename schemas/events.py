"""The events that desks publish: typed contracts, strict where the contract is closed, open to unknown fields.

Source: ``domain.md`` section 1 (kept in ``docs/domain.md``). One JSON object per Kafka record, keyed by ``ticket_id``.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

TICKETS: Final = "support.tickets"
MESSAGES: Final = "support.messages"
SURVEYS: Final = "support.surveys"
INPUT_TOPICS: Final = (TICKETS, MESSAGES, SURVEYS)

Status = Literal["new", "open", "pending", "on_hold", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
Author = Literal["customer", "agent", "bot", "system"]
Visibility = Literal["public", "internal"]
SurveyKind = Literal["csat", "nps", "ces"]

Id = Annotated[str, Meta(min_length=1, max_length=512)]
Name = Annotated[str, Meta(min_length=1, max_length=256)]
"""A value of an open set (channel, team, category, …) or the id of a person; never a person's name."""
At = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset; kept to the millisecond")]
Seq = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="Breaks ties of `at`; 0 where absent")]


class Event(Struct, frozen=True, kw_only=True, gc=False, tag_field="type"):
    """What every event has."""

    id: Id
    ticket_id: Id
    at: At
    seq: Seq = 0


class Attributes(Event, frozen=True, kw_only=True, gc=False):
    """What a ticket is described by; each value holds from the event that sets it to the next that does."""

    category: Name | UnsetType = UNSET
    team: Name | UnsetType = UNSET
    agent_id: Name | UnsetType = UNSET
    region: Name | UnsetType = UNSET
    language: Name | UnsetType = UNSET
    tier: Name | UnsetType = UNSET
    journey_stage: Name | UnsetType = UNSET
    origin: Name | UnsetType = UNSET
    handler: Name | UnsetType = UNSET


class TicketCreated(Attributes, frozen=True, kw_only=True, gc=False, tag="ticket.created"):
    """A ticket begins. Of several creations the first in history order counts."""

    customer_id: Name
    channel: Name
    priority: Priority
    status: Status = "new"


class TicketUpdated(Attributes, frozen=True, kw_only=True, gc=False, tag="ticket.updated"):
    """Attributes that changed, status included."""

    customer_id: Name | UnsetType = UNSET
    channel: Name | UnsetType = UNSET
    priority: Priority | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    actor: Name | UnsetType = UNSET


class TicketMerged(Event, frozen=True, kw_only=True, gc=False, tag="ticket.merged"):
    """The ticket goes on as another one; its clocks are cancelled and it counts no longer."""

    into: Id


class TicketDeleted(Event, frozen=True, kw_only=True, gc=False, tag="ticket.deleted"):
    """Spam or erased: the ticket leaves every figure."""


class MessageSent(Event, frozen=True, kw_only=True, gc=False, tag="message.sent"):
    """Somebody wrote; the text itself is never part of an event."""

    author: Author
    author_id: Name
    visibility: Visibility
    channel: Name | UnsetType = UNSET


class SurveySent(Event, frozen=True, kw_only=True, gc=False, tag="survey.sent"):
    """The customer was asked."""

    survey_id: Id
    kind: SurveyKind


class SurveyAnswered(Event, frozen=True, kw_only=True, gc=False, tag="survey.answered"):
    """The customer answered; the last answer of one ``survey_id`` wins. A score outside its scale is a bad record."""

    survey_id: Id
    kind: SurveyKind
    score: float
    scale_min: float | UnsetType = UNSET
    scale_max: float | UnsetType = UNSET

    def __post_init__(self) -> None:
        low, high = self.scale
        if not low < high:
            raise ValueError(f"`scale_min` {low:g} is not below `scale_max` {high:g}")
        if not low <= self.score <= high:
            raise ValueError(f"`score` {self.score:g} is outside its scale {low:g} to {high:g}")

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
TYPE_NAMES: Final[tuple[str, ...]] = tuple(str(t.__struct_config__.tag) for t in EVENT_TYPES)
TOPIC_OF_TYPE: Final[dict[str, str]] = {
    name: {"ticket": TICKETS, "message": MESSAGES, "survey": SURVEYS}[name.partition(".")[0]] for name in TYPE_NAMES
}

EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)

decoder: Final[msgspec.json.Decoder[AnyEvent]] = msgspec.json.Decoder(AnyEvent)
"""Decodes one record. Raises ``msgspec.DecodeError``; :func:`explain_error` says what was wrong in full."""


class BadRecord(ValueError):
    """A record that cannot be used; says which field, which value and what would be right."""


class UnknownType(ValueError):
    """A well-formed record of a type that deskpulse does not know: counted and skipped, not an error."""


def at_ms(at: datetime) -> int:
    """The instant in whole milliseconds since 1970, fractions cut off."""
    # A double holds today's seconds to 2.4e-7, so a whole millisecond may come out up to 2.4e-4 ms low.
    return int(at.timestamp() * 1e3 + 0.0005)


def decode(value: bytes | None) -> AnyEvent:
    """Decode one record's value.

    Raises :class:`UnknownType` for a type of another contract and :class:`BadRecord` for all else that is wrong.
    """
    if value is None:
        raise BadRecord("the record has no value; expected one JSON object")
    try:
        event = decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise explain_error(value, error) from None
    if event.at < EPOCH:
        raise BadRecord(f"`at`: {event.at.isoformat()} is before 1970; expected the time at which it happened")
    return event


def explain_error(value: bytes, error: Exception) -> BadRecord | UnknownType:
    """Say of a record that ``decoder`` refused which field is wrong, what it holds and what is allowed."""
    try:
        record: Any = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as not_json:
        return BadRecord(f"not JSON: {not_json}; expected one JSON object")
    if not isinstance(record, dict):
        return BadRecord(f"a JSON {type(record).__name__}; expected an object")
    kind = record.get("type")
    if isinstance(kind, str) and kind not in TYPE_NAMES:
        return UnknownType(kind)
    if not isinstance(kind, str):
        found = "is missing" if kind is None else f"is {_shown(kind)}"
        return BadRecord(f"`type` {found}; expected one of {', '.join(TYPE_NAMES)}")
    message, _, path = str(error).partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if not field:
        return BadRecord(f"{kind}: {message}")
    return BadRecord(f"{kind}: `{field}` is {_shown(record.get(field))}; {message}{_allowed(kind, field)}")


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


_ALLOWED: Final[dict[str, tuple[str, ...]]] = {
    "status": Status.__args__,  # type: ignore[attr-defined]
    "priority": Priority.__args__,  # type: ignore[attr-defined]
    "author": Author.__args__,  # type: ignore[attr-defined]
    "visibility": Visibility.__args__,  # type: ignore[attr-defined]
    "kind": SurveyKind.__args__,  # type: ignore[attr-defined]
}


def _allowed(kind: str, field: str) -> str:
    if field in _ALLOWED:
        return f"; allowed: {', '.join(_ALLOWED[field])}"
    if field == "at":
        return "; allowed: RFC 3339 with an offset, like 2026-06-01T10:00:00.000Z"
    return ""
