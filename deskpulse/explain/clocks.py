"""The service-level clocks of a ticket in words: why each started, paused, went on, changed, breached, ended.

Nothing is measured here: starts, ends, due times and what was left come from the instances (``streams.sla``), statuses
and policies in force from the story.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from deskpulse.explain.words import LocalTime, business
from streams.calendars import Calendar
from streams.facts import Facts
from streams.history import STATUSES
from streams.sla import (
    ACTIVE,
    BREACHED,
    CANCELLED,
    COUNTING,
    MET,
    Counted,
    Instance,
    counted,
)
from streams.story import Moment, Story

Told: TypeAlias = Iterator[tuple[int, str, str]]
"""When, the kind of line (``timeline.KINDS``) and its text."""
Named: TypeAlias = tuple[str, Instance]
"""An instance with what it is called."""
_REPLY: Final = "the public message of an agent"


def labels(instances: Sequence[Instance]) -> list[str]:
    """What each instance is called: its target, with a number where there are several."""
    targets = [one.target for one in instances]
    return [
        f"{target} {targets[: place + 1].count(target)}" if targets.count(target) > 1 else target
        for place, target in enumerate(targets)
    ]


def told_clocks(facts: Facts, story: Story) -> Told:
    """Everything that happened to the clocks of a ticket."""
    waiting: dict[tuple[str, int], list[Named]] = {}
    for label, one in zip(labels(facts.sla), facts.sla, strict=True):
        waiting.setdefault((one.target, one.started_at), []).append((label, one))
    for target in dict.fromkeys(one.target for one in facts.sla):
        for wait in counted(story, target):
            yield from _of_wait(facts, story, target, wait, waiting)


def _of_wait(
    facts: Facts, story: Story, target: str, one: Counted, waiting: dict[tuple[str, int], list[Named]]
) -> Told:
    """The instances of one wait, which follow each other."""
    wait, steps = one.wait, one.policies
    held: tuple[int, Calendar] | None = None
    name = ""
    number = 0
    running: Named | None = None
    for step in steps:
        at, policy = step.at, step.state.policy
        if running is not None and _is_over(running[1], at):
            running = None
        if policy is None or target not in policy.targets:
            if running is not None:
                missing = "no policy fits" if policy is None else f"policy {policy.name} has no such target"
                yield at, "cancelled", f"{running[0]} is cancelled: {missing}"
            held, running = None, None
            continue
        wanted = policy.targets[target], policy.calendar
        by = f"{business(wanted[0])} by policy {policy.name}"
        if wanted == held:
            if running is not None and policy.name != name:
                yield at, "changed", f"{running[0]} goes on under policy {policy.name}: {business(wanted[0])} as before"
        elif running is not None:
            yield at, "changed", f"{running[0]} is now {by}, from its own start"
        else:
            number += 1
            running = waiting[target, wait.start.at].pop(0)
            begun = why_started(story, wait.start, target) if at == wait.start.at and number == 1 else "a new target"
            yield at, "started", f"{running[0]} starts ({begun}): {by}, calendar {policy.calendar.name}"
            yield from _of_instance(facts, story, *running, at, steps)
        held, name = wanted, policy.name


def _is_over(instance: Instance, at: int) -> bool:
    return instance.breached_at is not None and instance.breached_at < at


def _of_instance(
    facts: Facts, story: Story, label: str, instance: Instance, begun: int, steps: Sequence[Moment]
) -> Told:
    ends = [one for one in (instance.breached_at, instance.ended_at) if one is not None]
    yield from _pauses(story, label, instance, begun, min(ends, default=facts.as_of))
    if instance.at_risk_raised and instance.at_risk_at is not None:
        policy = story.state_at(instance.at_risk_at).policy
        share = f"{policy.at_risk_share * 100:g} %" if policy is not None else "the share"
        yield instance.at_risk_at, "at_risk", f"{label} is at risk: {share} of its time is over"
    if instance.breached_at is not None:
        yield instance.breached_at, "breached", f"{label} is breached: {why_breached(instance, steps)}"
    if instance.ended_at is None or instance.end is None:
        return
    ended = why_ended(story, instance)
    if instance.outcome == MET:
        yield instance.ended_at, "met", f"{label} is met: ended by {ended}, {business(instance.remaining_ms)} left"
    elif instance.outcome == BREACHED:
        yield instance.ended_at, "stopped", f"{label} ends {business(instance.overrun_ms or 0)} late: {ended}"
    else:
        yield instance.ended_at, "cancelled", f"{label} is cancelled: {ended}"


def _pauses(story: Story, label: str, instance: Instance, begun: int, until: int) -> Told:
    counting = COUNTING.get(instance.target)
    if counting is None:
        return
    for (_, before), (moment, status) in pairwise(story.statuses):
        if not begun <= moment.at <= until or moment is instance.end:
            continue
        if before in counting and status not in counting:
            yield moment.at, "paused", f"{label} pauses: its time does not run in {STATUSES[status]}"
        elif before not in counting and status in counting:
            yield moment.at, "resumed", f"{label} goes on: its time runs in {STATUSES[status]}"


def why_started(story: Story, start: Moment, target: str = "") -> str:
    """What a wait began with."""
    if start is story.creation:
        return "the creation"
    if any(start is reopening for reopening in story.reopens):
        return "the reopening"
    if target in COUNTING:
        return "the ticket is open"
    return _REPLY if target == "periodic_update" else "the oldest unanswered message of the customer"


def why_ended(story: Story, instance: Instance) -> str:
    """What a wait ended with; '' while it runs and where a change of policy cancelled it."""
    if instance.end is None:
        return ""
    if instance.end is story.merge:
        return "the merge"
    return "the solve" if any(instance.end is solve for solve in story.solves) else _REPLY


def why_breached(instance: Instance, steps: Sequence[Moment]) -> str:
    """Why an instance breached when it did."""
    policies = [step.state.policy for step in steps[1:] if step.at == instance.breached_at]
    changes = [policy for policy in policies if policy is not None]
    if changes:
        over = business(changes[-1].targets.get(instance.target, 0))
        return f"the {over} of policy {changes[-1].name} were over when it came to hold"
    return "nothing had ended it when it was due"


def why(facts: Facts, story: Story, instance: Instance, at: LocalTime) -> str:
    """One line about what became of an instance."""
    if instance.outcome == ACTIVE:
        return _running(facts, instance, at)
    if instance.outcome == CANCELLED:
        return why_ended(story, instance) or "the policy in force has no such target"
    if instance.outcome == MET:
        return f"ended by {why_ended(story, instance)}, {business(instance.remaining_ms)} left"
    waits = [one for one in counted(story, instance.target) if one.wait.start.at == instance.started_at]
    breached = why_breached(instance, [span for one in waits for span in one.policies])
    late = business(instance.overrun_ms or 0)
    if instance.end is None:
        return f"{breached}; {late} late by now"
    return f"{breached}; ended {late} late by {why_ended(story, instance)}"


def _running(facts: Facts, instance: Instance, at: LocalTime) -> str:
    left = business(instance.remaining_ms)
    if instance.due_at is None:
        return f"paused in {STATUSES[facts.status]}, {left} left"
    return f"runs, {left} left, due {at(instance.due_at)}"


def running(facts: Facts, at: LocalTime) -> list[str]:
    """What runs now, or is late."""
    told = []
    for label, instance in zip(labels(facts.sla), facts.sla, strict=True):
        if instance.outcome == ACTIVE:
            told.append(f"{label} {_running(facts, instance, at)}")
        elif instance.outcome == BREACHED and instance.ended_at is None:
            told.append(f"{label} {business(instance.overrun_ms or 0)} late")
    return told
