"""What happens at the desk: tickets of a few customers, and how their records come to Kafka, from a seed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

from schemas import events as contract
from schemas.events import TOPIC_OF_TYPE, AnyEvent
from streams.calendars import DAY_MS
from streams.config import FCR_PARTS, DomainConfig
from streams.policies import TARGETS, Policies, Policy
from tests.strategies import (
    BERLIN,
    CATEGORIES,
    CHANNELS,
    HOUR_MS,
    MINUTE_MS,
    NIGHTS,
    PRIORITIES,
    START,
    STATUSES,
    TEAMS,
    encode,
    key,
)

CUSTOMERS = ("c1", "c1", "c2", "c3")
GAPS_MS = (
    *(0, 0, 0, 1, 500, MINUTE_MS, MINUTE_MS, 3 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 15 * MINUTE_MS),
    *(30 * MINUTE_MS, HOUR_MS, HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS),
)
LONG_GAPS_MS = (9 * HOUR_MS, DAY_MS, 7 * DAY_MS, 7 * DAY_MS + 1, 30 * DAY_MS + 1)
AGENTS = ("customer", "customer", "agent", "agent", "agent", "bot")

_TWO_HOURS = dict.fromkeys(TARGETS, 2 * HOUR_MS)
_SHORT = {"first_reply": 15 * MINUTE_MS, "next_reply": 30 * MINUTE_MS, "resolution": 4 * HOUR_MS}
CONFIGS = (
    DomainConfig(fingerprint=b"set0", horizon_ms=None),
    DomainConfig(fingerprint=b"set1", horizon_ms=None, policies=Policies([Policy("all", targets=_TWO_HOURS)])),
    DomainConfig(
        fingerprint=b"set2",
        horizon_ms=None,
        fcr_parts=FCR_PARTS,
        fcr_days=3,
        policies=Policies(
            [
                Policy("pressing", when={"priority": ("high", "urgent")}, targets=_SHORT, at_risk_share=0.5),
                Policy("usual", BERLIN, targets=_TWO_HOURS),
            ]
        ),
    ),
    DomainConfig(
        fingerprint=b"set3",
        horizon_ms=None,
        dimensions=("channel", "priority", "team", "category"),
        policies=Policies(
            [
                Policy("chats", NIGHTS, when={"channel": ("chat",)}, targets={"resolution": 8 * HOUR_MS}),
                Policy("others", when={"team": ("", "billing")}, targets=_SHORT),
            ]
        ),
    ),
)


class Delivery(NamedTuple):
    """A record as it is published."""

    topic: str
    key: bytes
    value: bytes
    at_ms: int
    """When it happened; 0 for what is no event."""


class Plan(NamedTuple):
    """What comes to Kafka."""

    events: list[AnyEvent]
    """Each once."""
    deliveries: list[Delivery]
    bad: list[Delivery]
    """Those that have to lie among the dead letters."""
    duplicates: int


def plan(random: Random, *, disorder: float, duplicates: float, bad: float) -> Plan:
    """Some 30 to 80 records. ``disorder``, ``duplicates`` and ``bad`` are shares (0-1)."""
    events = _events(random)
    places = [(float(n), n, delivery) for n, delivery in enumerate(map(_delivery, events))]
    again = [one for one in places if random.random() < duplicates]
    moved = [
        (place + (random.uniform(0, len(events)) if random.random() < disorder else 0.0), n, delivery)
        for place, n, delivery in places
    ]
    repeated = [(place + random.uniform(0, len(events)), n, delivery) for place, n, delivery in again]
    refused = [_bad(random, random.choice(places)[2]) for _ in events if random.random() < bad]
    between = [(random.uniform(0, len(events)), -1, delivery) for delivery in refused]
    deliveries = [delivery for *_, delivery in sorted([*moved, *repeated, *between], key=lambda one: one[:2])]
    return Plan(events, deliveries, refused, len(repeated))


def _delivery(event: AnyEvent) -> Delivery:
    topic = TOPIC_OF_TYPE[str(event.__struct_config__.tag)]
    return Delivery(topic, key(event), encode(event), contract.at_ms(event.at))


def _bad(random: Random, of: Delivery) -> Delivery:
    """A record that is none: cut off, or under another ticket's key."""
    if random.random() < 0.5:
        return of._replace(value=of.value[: len(of.value) // 2], at_ms=0)
    return of._replace(key=of.key + b"x", at_ms=0)


def _events(random: Random) -> list[AnyEvent]:
    tickets = [f"T{n}" for n in range(1, random.randint(4, 11))]
    begun: dict[str, int] = {}
    events: list[AnyEvent] = []
    after_ms = 0
    for number in range(random.randint(24, 64)):
        gaps: Sequence[int] = GAPS_MS if random.random() < 0.95 else LONG_GAPS_MS
        after_ms += random.choice(gaps)
        ticket = random.choice(tickets)
        common: dict[str, Any] = {
            "id": f"{ticket}-{number}-{random.randrange(100)}",
            "ticket_id": ticket,
            "at": START + timedelta(milliseconds=after_ms),
        }
        if random.random() < 0.3:
            common["seq"] = random.randint(-1, 2)
        seen = begun[ticket] = begun.get(ticket, 0) + 1
        events.append(_event(random, common, is_first=seen == 1 and random.random() < 0.9))
    return events


def _event(random: Random, common: dict[str, Any], *, is_first: bool) -> AnyEvent:
    what = random.random()
    if is_first or what < 0.02:
        return contract.TicketCreated(
            **common,
            **_attributes(random),
            customer_id=random.choice(CUSTOMERS),
            channel=random.choice(CHANNELS),
            priority=random.choice(PRIORITIES),
        )
    if what < 0.45:
        return contract.MessageSent(
            **common,
            author=random.choice(AGENTS),
            author_id=random.choice(("p1", "p2")),
            visibility="public" if random.random() < 0.85 else "internal",
        )
    if what < 0.72:
        status = random.choice((*STATUSES, "pending", "solved", "solved", "open"))
        return contract.TicketUpdated(**common, **_attributes(random), status=status, actor="a1")
    if what < 0.84:
        fields = _attributes(random) | {"priority": random.choice(PRIORITIES)}
        if random.random() < 0.3:
            fields["customer_id"] = random.choice(CUSTOMERS)
        return contract.TicketUpdated(**common, **fields)
    survey = {"survey_id": f"{common['ticket_id']}-s{random.randint(1, 2)}", "kind": random.choice(("csat", "nps"))}
    if what < 0.89:
        return contract.SurveySent(**common, **survey)
    if what < 0.97:
        return contract.SurveyAnswered(**common, **survey, score=float(random.randint(1, 5)))
    if what < 0.99:
        return contract.TicketMerged(**common, into="T1")
    return contract.TicketDeleted(**common)


def _attributes(random: Random) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, values in (("team", TEAMS), ("category", CATEGORIES), ("handler", ("human", "bot"))):
        if random.random() < 0.3:
            fields[name] = random.choice(values)
    return fields
