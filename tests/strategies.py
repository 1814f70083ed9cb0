"""Hypothesis strategies: whole histories of tickets, full of ties and odd cases, how they may be delivered, and the
settings that they are looked at with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas import events as contract
from schemas.events import AnyEvent, at_ms
from streams.calendars import ALWAYS, Calendar, Holidays
from streams.config import FCR_PARTS, DomainConfig
from streams.policies import TARGETS, Policies, Policy

START = datetime(2026, 3, 27, 14, 29, 59, 500_000, tzinfo=UTC)
"""A Friday afternoon; the clocks change in the night to Sunday."""
SECOND_MS, MINUTE_MS, HOUR_MS, DAY_MS = 1_000, 60_000, 3_600_000, 86_400_000

CHANNELS = ("email", "chat", "phone")
TEAMS = ("billing", "first line")
PRIORITIES = ("low", "normal", "high", "urgent")
CUSTOMERS = ("c1", "c1", "c2")
CATEGORIES = ("invoice", "login")
STATUSES = ("new", "open", "pending", "on_hold", "solved", "closed")
SURVEY_SCALES: dict[str, tuple[tuple[float, float], ...]] = {
    "csat": ((1, 5), (1, 10), (0, 1), (-3, 3), (0, 100)),
    "nps": ((0, 10), (1, 5), (0, 100)),
    "ces": ((1, 7), (1, 5), (-2.5, 2.5)),
}

# From one event to the next: often none, so that ties are common; mostly as long as targets are; sometimes exactly as
# long as the days of FCR and of recovery.
_GAPS_MS = (
    *(0, 0, 0, 0, 0, 0, 1, 500, 59_999, MINUTE_MS, MINUTE_MS, MINUTE_MS, 3 * MINUTE_MS, 5 * MINUTE_MS, 5 * MINUTE_MS),
    *(10 * MINUTE_MS, 10 * MINUTE_MS, 15 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, HOUR_MS),
    *(2 * HOUR_MS, 4 * HOUR_MS, 9 * HOUR_MS, 18 * HOUR_MS),
)
_LONG_GAPS_MS = (2 * DAY_MS, 7 * DAY_MS, 7 * DAY_MS + 1, 30 * DAY_MS, 30 * DAY_MS + 1)
_ZONES = (UTC, UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=3, minutes=30)))
_MICROSECONDS = (0, 0, 0, 0, 0, 1, 500, 999)
_SEQS = (None, None, None, 0, 1, 2, -1)
_MAKERS_BY_WEIGHT: tuple[tuple[str, int], ...] = (
    ("updated", 6),
    ("status", 10),
    ("message", 20),
    ("survey_sent", 2),
    ("survey_answered", 4),
    ("created", 1),
)
_MAKERS = tuple(name for name, weight in _MAKERS_BY_WEIGHT for _ in range(weight))

BERLIN = Calendar(
    "Europe/Berlin",
    (((9 * HOUR_MS, 12 * HOUR_MS), (12 * HOUR_MS + 45 * MINUTE_MS, 17 * HOUR_MS)),) * 5 + ((), ()),
    Holidays(own=frozenset({date(2026, 3, 30)})),
    name="berlin",
)
"""Weekdays with a lunch break; closed on the Monday after the clocks change."""
NIGHTS = Calendar(
    "Europe/Berlin",
    (((0, 6 * HOUR_MS), (22 * HOUR_MS, DAY_MS)),) * 7,
    name="nights",
)
"""Every night, the one in which the clocks change too."""
_TARGETS_MS = (5 * MINUTE_MS, 15 * MINUTE_MS, 30 * MINUTE_MS, HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS, 8 * HOUR_MS)


def encode(event: AnyEvent) -> bytes:
    """The value of the event's record."""
    return msgspec.json.encode(event)


def key(event: AnyEvent) -> bytes:
    """The key of the event's record."""
    return event.ticket_id.encode()


@st.composite
def histories(draw: st.DrawFn, max_tickets: int = 4, max_events: int = 40, *, may_erase: bool = True) -> list[AnyEvent]:
    """Events of one to ``max_tickets`` tickets with distinct ids; mostly, but not always, created.

    The tickets share customers and categories. Mostly the events follow each other in time.
    """
    count = min(max_tickets, draw(st.sampled_from([1, 2, 2, 3, 4])))
    tickets = [f"T{n}" for n in range(1, count + 1)]
    events: list[AnyEvent] = []
    after_ms = 0

    def common(ticket_id: str) -> dict[str, Any]:
        # A number that has nothing to do with the order of times, so that the digest of the id settles ties at random.
        fields = {
            "id": f"{ticket_id}-{len(events)}-{draw(st.integers(0, 99))}",
            "ticket_id": ticket_id,
            "at": (START + timedelta(milliseconds=after_ms, microseconds=_pick(draw, _MICROSECONDS))).astimezone(
                _pick(draw, _ZONES)
            ),
        }
        seq = _pick(draw, _SEQS)
        return fields if seq is None else fields | {"seq": seq}

    begun: set[str] = set()
    for _ in range(draw(st.integers(1, max_events - count))):
        after_ms += _pick(draw, _GAPS_MS if _pick(draw, (True,) * 15 + (False,)) else _LONG_GAPS_MS)
        ticket_id = draw(st.sampled_from(tickets))
        maker = draw(st.sampled_from(_MAKERS))
        if ticket_id not in begun and _pick(draw, (True,) * 7 + (False,)):
            maker = "created"
            begun.add(ticket_id)
        events.append(_MAKE[maker](draw, common(ticket_id)))
    for ticket_id in tickets:
        end = _pick(draw, ("none",) * 12 + ("merged", "merged", "deleted", *(("erased",) if may_erase else ())))
        if end != "none":
            after_ms = at_ms(_pick(draw, tuple(events)).at) - at_ms(START)
        if end == "merged":
            events.append(contract.TicketMerged(**common(ticket_id), into=_pick(draw, ("T1", "T9"))))
        elif end == "deleted":
            events.append(contract.TicketDeleted(**common(ticket_id)))
        elif end == "erased":
            events.append(contract.TicketDeleted(**common(ticket_id), erase=True))
    return events


@st.composite
def deliveries(draw: st.DrawFn, events: list[AnyEvent]) -> list[list[AnyEvent]]:
    """The events in any order, some of them several times, cut in batches of any size."""
    again = draw(st.lists(st.sampled_from(events), max_size=10)) if events else []
    order = draw(st.permutations([*events, *again]))
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(order) - 1)), max_size=6)))
    edges = [0, *cuts, len(order)]
    return [order[a:b] for a, b in pairwise(edges) if a < b]


@st.composite
def nows_ms(draw: st.DrawFn, events: Sequence[AnyEvent] = ()) -> int:
    """Times of the question: at an event and shortly after, where something falls due, at the ends of the days of FCR
    and recovery, long after."""
    since = at_ms(_pick(draw, tuple(events)).at) if events else at_ms(START)
    return since + draw(
        st.one_of(
            st.sampled_from([0, 0, *_TARGETS_MS, *(round(0.8 * ms) for ms in _TARGETS_MS)]).flatmap(
                lambda ms: st.sampled_from([ms, ms + 1])
            ),
            st.sampled_from([*_LONG_GAPS_MS, 14 * DAY_MS, 60 * DAY_MS]),
            st.integers(0, 5 * DAY_MS // MINUTE_MS).map(lambda minutes: minutes * MINUTE_MS),
        )
    )


@st.composite
def configs(draw: st.DrawFn) -> DomainConfig:
    """Settings with one to three policies of minutes and hours, and any parts of FCR; nothing leaves a horizon."""
    count = draw(st.integers(1, 3))
    policies = [
        Policy(
            f"policy {n}",
            calendar=draw(st.sampled_from([ALWAYS, ALWAYS, BERLIN, NIGHTS])),
            # The last one is mostly for all that is left.
            when=draw(_conditions()) if n < count or _pick(draw, (True, False, False)) else {},
            targets={target: _pick(draw, _TARGETS_MS) for target in TARGETS if _pick(draw, (True, True, True, False))},
            at_risk_share=draw(st.sampled_from([0.8, 0.8, 0.5])),
        )
        for n in range(1, count + 1)
    ]
    parts = draw(st.sets(st.sampled_from(FCR_PARTS), min_size=1))
    return DomainConfig(
        fcr_parts=tuple(part for part in FCR_PARTS if part in parts), horizon_ms=None, policies=Policies(policies)
    )


@st.composite
def _conditions(draw: st.DrawFn) -> dict[str, tuple[str, ...]]:
    known = {"priority": PRIORITIES, "channel": CHANNELS, "team": ("", *TEAMS)}
    names = draw(st.sets(st.sampled_from(["priority", "priority", *known]), min_size=1, max_size=2))
    return {name: tuple(sorted(draw(st.sets(st.sampled_from(known[name]), min_size=1)))) for name in sorted(names)}


def _pick(draw: st.DrawFn, values: tuple[Any, ...]) -> Any:
    return draw(st.sampled_from(values))


def _attributes(draw: st.DrawFn) -> dict[str, Any]:
    """Up to three optional attributes."""
    values = {
        "team": TEAMS,
        "agent_id": ("a1", "a2"),
        "category": CATEGORIES,
        "origin": ("customer", "agent", "proactive"),
        "handler": ("human", "bot"),
        "region": ("emea", "apac"),
        "language": ("de",),
        "tier": ("gold",),
        "journey_stage": ("onboarding",),
    }
    names = draw(st.sets(st.sampled_from(["team", "team", "origin", "category", "handler", *values]), max_size=3))
    return {name: _pick(draw, values[name]) for name in sorted(names)}


def _created(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    fields = common | _attributes(draw)
    fields |= {"customer_id": _pick(draw, CUSTOMERS), "channel": _pick(draw, CHANNELS)}
    status = _pick(draw, (None,) * 8 + STATUSES)
    if status is not None:
        fields["status"] = status
    return contract.TicketCreated(**fields, priority=_pick(draw, PRIORITIES))


def _updated(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    fields = common | _attributes(draw)
    for name, values in (("channel", CHANNELS), ("priority", PRIORITIES), ("customer_id", CUSTOMERS)):
        if _pick(draw, (True, False, False)):
            fields[name] = _pick(draw, values)
    return contract.TicketUpdated(**fields)


def _status(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    fields = common | {"status": _pick(draw, (*STATUSES, "pending", "solved", "solved", "open", "open")), "actor": "a1"}
    for name, values in (("team", TEAMS), ("handler", ("human", "bot")), ("priority", PRIORITIES)):
        if _pick(draw, (True, False, False, False)):
            fields[name] = _pick(draw, values)
    return contract.TicketUpdated(**fields)


def _message(draw: st.DrawFn, common: dict[str, Any]) -> AnyEvent:
    return contract.MessageSent(
        **common,
        author=_pick(draw, ("customer", "customer", "customer", "agent", "agent", "agent", "bot", "system")),
        author_id=_pick(draw, ("p1", "p2")),
        visibility=_pick(draw, ("public",) * 5 + ("internal",)),
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
