"""A ticket's timeline: its events in history order, and between them what each made of the waits and clocks, and why.

Lines come from the story and the instances that the domain derived (``streams.story``, ``streams.sla``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from deskpulse.explain import clocks
from deskpulse.explain.events import told_events
from deskpulse.explain.words import LocalTime, duration
from streams.batch import Told
from streams.config import DAY_MS, DomainConfig
from streams.policies import Policy
from streams.story import Story

KINDS: Final = (
    "event",
    "policy",
    "changed",
    "paused",
    "met",
    "stopped",
    "cancelled",
    "at_risk",
    "breached",
    "wait",
    "started",
    "resumed",
    "fact",
    "now",
)
"""What a line can be, in the order in which lines of one instant stand."""


class Line(NamedTuple):
    """One line of a timeline."""

    at_ms: int
    kind: str
    """One of :data:`KINDS`."""
    text: str


def lines(told: Told, config: DomainConfig, at: LocalTime) -> list[Line]:
    """The timeline of one ticket, in order; an event's consequences stand behind all events of its instant."""
    found = [Line(when, "event", text) for when, text in told_events(told.history)]
    facts, story = told.facts, told.facts.story
    if facts.deleted:
        found.append(Line(facts.as_of, "now", "deleted: the ticket leaves every figure"))
    elif story is None:
        found.append(Line(facts.as_of, "now", "no creation is known: the ticket has no clocks and counts nowhere"))
    elif not told.record.status:
        found.append(Line(facts.as_of, "now", "merged before its creation: the ticket has no clocks, counts nowhere"))
    else:
        found += [Line(*line) for line in _of_policies(story)]
        found += [Line(*line) for line in _of_waits(story)]
        found += [Line(*line) for line in _of_facts(told, story, config)]
        found += [Line(*line) for line in clocks.told_clocks(facts, story)]
        found.append(Line(facts.as_of, "now", _now(told, at)))
    # Sorting is stable: events stay in history order.
    return sorted(found, key=lambda line: (line.at_ms, KINDS.index(line.kind)))


def _of_policies(story: Story) -> Iterator[tuple[int, str, str]]:
    before: Policy | None = None
    for number, moment in enumerate(story.states):
        policy = moment.state.policy
        if policy is None and (number == 0 or before is not None):
            yield moment.at, "policy", "no policy fits: there are no targets, and the desk counts as always open"
        elif policy is not None and policy is not before:
            text = f"policy {policy.name} holds: hours of calendar {policy.calendar.name} ({policy.calendar.zone})"
            yield moment.at, "policy", text
        before = policy


_ENDS: Final = {"reply": "the public message of an agent", "solve": "the solve", "merge": "the merge"}


def _of_waits(story: Story) -> Iterator[tuple[int, str, str]]:
    for name, waits in (("first", story.first_waits), ("next", story.next_waits)):
        for wait in waits:
            yield (
                wait.start.at,
                "wait",
                f"the customer waits for a {name} reply, from {clocks.why_started(story, wait.start)}",
            )
            if wait.end is not None:
                took = duration(wait.end.at - wait.start.at)
                yield wait.end.at, "wait", f"the wait for a {name} reply ends after {took}: {_ENDS[wait.ended_by]}"


def _of_facts(told: Told, story: Story, config: DomainConfig) -> Iterator[tuple[int, str, str]]:
    facts = told.facts
    if facts.first_touch is not None and facts.first_touch_ms is not None:
        yield facts.first_touch.at, "fact", f"first touch, after {duration(facts.first_touch_ms)}"
    answered = [wait.end for wait in story.first_waits]
    if facts.first_reply is not None and facts.first_reply_ms is not None and facts.first_reply not in answered:
        yield facts.first_reply.at, "fact", f"first reply, after {duration(facts.first_reply_ms)}"
    if facts.handoff_reply is not None and facts.handoff_reply_ms is not None:
        yield facts.handoff_reply.at, "fact", f"reply {duration(facts.handoff_reply_ms)} after the handover by the bot"
    for number, moment in enumerate(facts.solves, start=1):
        after = duration(moment.at - story.creation.at)
        yield moment.at, "fact", f"solve {number}, {after} after the creation"
    for number, moment in enumerate(facts.reopens, start=1):
        yield moment.at, "fact", f"reopening {number}: the clocks go on where they stopped"
    if facts.first_solve is not None:
        limit = facts.first_solve.at + config.fcr_days * DAY_MS
        if limit < facts.as_of:
            yield limit, "fact", f"{config.fcr_days} days since the first solve: first-contact resolution is final"


def _now(told: Told, at: LocalTime) -> str:
    facts = told.facts
    parts = [f"status {told.record.status}"]
    if facts.merged_into is not None:
        parts = [f"merged into {facts.merged_into}: nothing of it goes on"]
    elif facts.unanswered:
        parts.append("the customer waits for a reply")
    return "now: " + ", ".join([*parts, *clocks.running(facts, at)])
