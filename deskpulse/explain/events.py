"""What each event of a ticket says, in words, and why some of them do not count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UNSET

from deskpulse.explain.words import printable
from schemas.events import (
    AnyEvent,
    MessageSent,
    SurveyAnswered,
    SurveySent,
    TicketCreated,
    TicketDeleted,
    TicketMerged,
    TicketUpdated,
    at_ms,
)
from schemas.outputs import ATTRIBUTES

_SHOWN = ("status", "customer_id", *ATTRIBUTES)
_OF_CREATION = ("channel", "priority", "status")


def told_events(history: Sequence[AnyEvent]) -> Iterator[tuple[int, str]]:
    """When each event of a history (in order) happened, and what it says."""
    creation = next((place for place, event in enumerate(history) if isinstance(event, TicketCreated)), None)
    merge = next((place for place, event in enumerate(history) if isinstance(event, TicketMerged)), None)
    for place, event in enumerate(history):
        yield at_ms(event.at), _said(event) + _unless_it_counts(history, place, creation, merge)


def placed(history: Sequence[AnyEvent]) -> list[AnyEvent]:
    """The events by the places that moments of a story name: the creation first, then what follows it.

    What stands before the creation has no place, but messages and surveys of its own instant do.
    """
    creation = next((place for place, event in enumerate(history) if isinstance(event, TicketCreated)), None)
    if creation is None:
        return []
    at = at_ms(history[creation].at)
    same_instant = [
        event
        for event in history[:creation]
        if at_ms(event.at) == at and isinstance(event, MessageSent | SurveySent | SurveyAnswered)
    ]
    return [history[creation], *same_instant, *history[creation + 1 :]]


def _said(event: AnyEvent) -> str:
    match event:
        case TicketCreated():
            begun = ", ".join(f"{name} {printable(str(getattr(event, name)))}" for name in _OF_CREATION)
            more = _set(event, [name for name in ATTRIBUTES if name not in _OF_CREATION])
            return f"created for customer {printable(event.customer_id)}: {begun}{', ' if more else ''}{more}"
        case TicketUpdated():
            by = f", by {printable(event.actor)}" if event.actor is not UNSET else ""
            return (_set(event, _SHOWN) or "nothing changed") + by
        case TicketMerged():
            return f"merged into {printable(event.into)}"
        case MessageSent():
            kind = "internal note" if event.visibility == "internal" else "public message"
            where = f" on {printable(event.channel)}" if event.channel is not UNSET else ""
            return f"{kind} by {event.author} {printable(event.author_id)}{where}"
        case SurveySent():
            return f"{event.kind} survey {printable(event.survey_id)} sent"
        case SurveyAnswered():
            low, high = event.scale
            return f"{event.kind} survey {printable(event.survey_id)} answered: {event.score:g} of {low:g} to {high:g}"
        case TicketDeleted():
            return "erased: nothing else of it is kept" if event.erase else "deleted"


def _set(event: TicketCreated | TicketUpdated, names: Sequence[str]) -> str:
    values = [(name, getattr(event, name)) for name in names]
    return ", ".join(f"{name} {printable(value)}" for name, value in values if value is not UNSET)


def _unless_it_counts(history: Sequence[AnyEvent], place: int, creation: int | None, merge: int | None) -> str:
    event = history[place]
    if creation is None or (isinstance(event, TicketMerged) and place == merge):
        return ""
    sets_attributes = isinstance(event, TicketUpdated)
    if isinstance(event, TicketCreated) and place != creation:
        return " (ignored: created already)"
    if place < creation and (sets_attributes or event.at < history[creation].at):
        return " (before the creation: sets attributes, no status)" if sets_attributes else _UNCOUNTED_BEFORE
    if merge is not None and place > merge:
        return (
            " (after the merge: sets attributes, no status)" if sets_attributes else " (after the merge: not counted)"
        )
    return ""


_UNCOUNTED_BEFORE = " (before the creation: not counted)"
