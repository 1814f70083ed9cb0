"""A ticket explained: everything that the text and the page show, in words."""

from __future__ import annotations

from typing import NamedTuple

from deskpulse.explain import clocks
from deskpulse.explain.reasons import UNKNOWN, Fact, reasons
from deskpulse.explain.timeline import lines
from deskpulse.explain.words import LocalTime, business, printable
from streams.batch import Told
from streams.config import DomainConfig
from streams.sla import Instance


class Row(NamedTuple):
    """One line of the timeline."""

    at: str
    """On the clock of the explanation's zone."""
    kind: str
    """One of ``timeline.KINDS``."""
    text: str


class Promise(NamedTuple):
    """One instance of a service-level target."""

    target: str
    policy: str
    started: str
    due: str
    outcome: str
    ended: str
    late: str
    why: str


class Explanation(NamedTuple):
    """One ticket, in words."""

    ticket_id: str
    zone: str
    """Of all its times: that of the calendar in force, else UTC."""
    as_of: str
    timeline: list[Row]
    facts: list[Fact]
    promises: list[Promise]


def explained(told: Told, config: DomainConfig) -> Explanation:
    """Put a ticket's facts, and what they follow from, into words."""
    facts = told.facts
    policy = None if facts.state is None else facts.state.policy
    at = LocalTime("UTC" if policy is None else policy.calendar.zone)
    labels = clocks.labels(facts.sla)
    return Explanation(
        ticket_id=printable(told.record.ticket_id),
        zone=at.zone,
        as_of=at(facts.as_of),
        timeline=[Row(at(line.at_ms), line.kind, line.text) for line in lines(told, config, at)],
        facts=reasons(told, config, at),
        promises=[_promise(told, one, label, at) for one, label in zip(facts.sla, labels, strict=True)],
    )


def _promise(told: Told, one: Instance, label: str, at: LocalTime) -> Promise:
    assert told.facts.story is not None
    return Promise(
        target=label,
        policy=one.policy,
        started=at(one.started_at),
        due=UNKNOWN if one.due_at is None else at(one.due_at),
        outcome=one.outcome,
        ended=UNKNOWN if one.ended_at is None else at(one.ended_at),
        late=UNKNOWN if one.overrun_ms is None else business(one.overrun_ms),
        why=clocks.why(told.facts, told.facts.story, one, at),
    )
