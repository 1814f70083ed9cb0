"""Hypothesis strategies: whole histories of tickets, full of ties and odd cases, and how they may be delivered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas import events as contract
from schemas.events import AnyEvent

START = datetime(2026, 6, 1, 9, 59, 59, 500_000, tzinfo=UTC)
START_MS = 1_780_307_999_500
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000

CHANNELS = ("email", "chat", "phone")
TEAMS = ("billing", "first line")
PRIORITIES = ("low", "normal", "high", "urgent")
STATUSES = ("new", "open", "pending", "on_hold", "solved", "closed")
SURVEY_SCALES: dict[str, tuple[tuple[float, float], ...]] = {
    "csat": ((1, 5), (1, 10), (0, 1), (-3, 3), (0, 100)),
    "nps": ((0, 10), (1, 5), (0, 100)),
    "ces": ((1, 7), (1, 5), (-2.5, 2.5)),
}

# Few different times, so that ties and the last instant of the FCR limit are common.
_OFFSETS_MS = (
    *(0, 0, 1, 500, SECOND_MS, 59_999, MINUTE_MS, MINUTE_MS, 90 * SECOND_MS, HOUR_MS, 2 * HOUR_MS, 2 * HOUR_MS, DAY_MS),
    *(7 * DAY_MS, 7 * DAY_MS + 1, 7 * DAY_MS + MINUTE_MS, 7 * DAY_MS + HOUR_MS, 8 * DAY_MS + HOUR_MS, 30 * DAY_MS),
)
_ZONES = (UTC, UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=3, minutes=30)))
_MICROSECONDS = (0, 0, 0, 0, 0, 1, 500, 999)
_SEQS = (None, None, None, 0, 1, 2, -1)
_MAKERS_BY_WEIGHT: tuple[tuple[str, int], ...] = (
    ("updated", 8),
    ("status", 10),
    ("message", 14),
    ("survey_sent", 3),
    ("survey_answered", 4),
    ("created", 1),
)
_MAKERS = tuple(name for name, weight in _MAKERS_BY_WEIGHT for _ in range(weight))


def encode(event: AnyEvent) -> bytes:
    """The value of the event's record."""
    return msgspec.json.encode(event)


def key(event: AnyEvent) -> bytes:
    """The key of the event's record."""
    return event.ticket_id.encode()


@st.composite
def histories(draw: st.DrawFn, max_tickets: int = 3, max_events: int = 40) -> list[AnyEvent]:
    """Events of one to ``max_tickets`` tickets with distinct ids, in no order; mostly, but not always, created."""
    tickets = [f"T{n}" for n in range(1, draw(st.integers(1, max_tickets)) + 1)]
    events: list[AnyEvent] = []

    def common(ticket_id: str, offsets_ms: tuple[int, ...] = _OFFSETS_MS) -> dict[str, Any]:
        after = timedelta(milliseconds=draw(st.sampled_from(offsets_ms)), microseconds=_pick(draw, _MICROSECONDS))
        # A number that has nothing to do with the order of times, so that the digest of the id settles ties at random.
        fields = {
            "id": f"{ticket_id}-{len(events)}-{draw(st.integers(0, 99))}",
            "ticket_id": ticket_id,
            "at": (START + after).astimezone(_pick(draw, _ZONES)),
        }
        seq = _pick(draw, _SEQS)
        return fields if seq is None else fields | {"seq": seq}

    for ticket_id in tickets:
        is_created = _pick(draw, (True,) * 9 + (False,))
        if is_created:
            events += [_created(draw, common(ticket_id, (0, 0, 0, 1, MINUTE_MS, HOUR_MS)))]
    for _ in range(draw(st.integers(0, max_events - len(tickets) * 3))):
        ticket_id = draw(st.sampled_from(tickets))
        events.append(_MAKE[draw(st.sampled_from(_MAKERS))](draw, common(ticket_id)))
    for ticket_id in tickets:
        end = _pick(draw, ("none",) * 10 + ("merged", "merged", "deleted"))
        if end == "merged":
            events.append(contract.TicketMerged(**common(ticket_id), into=_pick(draw, ("T1", "T9"))))
        elif end == "deleted":
            events.append(contract.TicketDeleted(**common(ticket_id)))
    return events


@st.composite
def deliveries(draw: st.DrawFn, events: list[AnyEvent]) -> list[list[AnyEvent]]:
    """The events in any order, some of them several times, cut in batches of any size."""
    again = draw(st.lists(st.sampled_from(events), max_size=10)) if events else []
    order = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=6)))
    edges = [0, *cuts, len(order)]
    return [order[a:b] for a, b in pairwise(edges) if a < b]


def nows_ms() -> st.SearchStrategy[int]:
    """Times of the question: amid the events, at the last instant of the FCR limit, long after."""
    return st.sampled_from([START_MS + offset for offset in sorted({*_OFFSETS_MS, 14 * DAY_MS, 60 * DAY_MS})])


def _pick(draw: st.DrawFn, values: tuple[Any, ...]) -> Any:
    return draw(st.sampled_from(values))


def _attributes(draw: st.DrawFn) -> dict[str, Any]:
    """Up to three optional attributes."""
    values = {
        "team": TEAMS,
        "agent_id": ("a1", "a2"),
        "category": ("invoice", "login"),
        "origin": ("customer", "agent", "proactive"),
        "handler": ("human", "bot"),
        "region": ("emea", "apac"),
        "language": ("de",),
        "tier": ("gold",),
        "journey_stage": ("onboarding",),
    }
    names = draw(st.sets(st.sampled_from(["team", "origin", *values]), max_size=3))
    return {name: _pick(draw, values[name]) for name in sorted(names)}


def _created(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    fields = common | _attributes(draw)
    fields |= {"customer_id": _pick(draw, ("c1", "c2")), "channel": _pick(draw, CHANNELS)}
    status = _pick(draw, (None,) * 6 + STATUSES)
    if status is not None:
        fields["status"] = status
    return contract.TicketCreated(**fields, priority=_pick(draw, PRIORITIES))


def _updated(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    fields = common | _attributes(draw)
    for name, values in (("channel", CHANNELS), ("priority", PRIORITIES), ("customer_id", ("c1", "c2"))):
        if _pick(draw, (True, False, False)):
            fields[name] = _pick(draw, values)
    return contract.TicketUpdated(**fields)


def _status(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    fields = common | {"status": _pick(draw, (*STATUSES, "solved", "open")), "actor": "a1"}
    if _pick(draw, (True, False, False)):
        fields["team"] = _pick(draw, TEAMS)
    return contract.TicketUpdated(**fields)


def _message(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    return contract.MessageSent(
        **common,
        author=_pick(draw, ("customer", "customer", "agent", "agent", "bot", "system")),
        author_id=_pick(draw, ("p1", "p2")),
        visibility=_pick(draw, ("public", "public", "public", "internal")),
        channel=_pick(draw, (msgspec.UNSET, msgspec.UNSET, *CHANNELS)),
    )


def _survey_sent(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    return contract.SurveySent(**common, survey_id=_survey_id(draw, common), kind=_kind(draw))


def _survey_answered(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    kind = _kind(draw)
    low, high = _pick(draw, SURVEY_SCALES[kind])
    score = low + (high - low) * _pick(draw, (0, 1 / 6, 0.25, 0.4, 0.5, 0.6, 2 / 3, 0.7, 0.75, 5 / 6, 0.9, 1))
    fields = common | {"kind": kind, "score": min(max(score, low), high)}
    if (low, high) != SURVEY_SCALES[kind][0]:
        fields |= {"scale_min": float(low), "scale_max": float(high)}
    return contract.SurveyAnswered(**fields, survey_id=_survey_id(draw, common))


def _kind(draw: st.DrawFn) -> Any:
    return _pick(draw, ("csat", "csat", "nps", "ces"))


def _survey_id(draw: st.DrawFn, common: dict[str, Any]) -> str:
    return f"{common['ticket_id']}-s{draw(st.integers(1, 2))}"


_MAKE: dict[str, Callable[[st.DrawFn, dict[str, Any]], AnyEvent]] = {
    "updated": _updated,
    "status": _status,
    "message": _message,
    "survey_sent": _survey_sent,
    "survey_answered": _survey_answered,
    "created": _created,
}
