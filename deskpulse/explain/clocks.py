"""The service-level clocks of a ticket in words: why each started, paused, went on, changed, was at risk, breached, ended.

Nothing is measured here: starts, ends, due times and what was left come from the instances (``streams.sla``), statuses
and policies in force from the story.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from typing import Final, TypeAlias

from deskpulse.explain.words import LocalTime, duration
from streams.calendars import Calendar
from streams.facts import Facts
from streams.history import SOLVED, STATUSES
from streams.policies import Policy
from streams.sla import _COUNTING as COUNTING
from streams.sla import ACTIVE, BREACHED, CANCELLED, MET, Instance
from streams.story import Moment, Story, Wait

Told: TypeAlias = Iterator[tuple[int, str, str]]
"""When, the kind of line (``timeline.KINDS``) and its text."""
Step: TypeAlias = tuple[int, Policy | None]
"""From when a policy holds for a wait."""
_REPLY: Final = "the public message of an agent"
_FOREVER: Final = 1 << 62


def labels(instances: Sequence[Instance]) -> list[str]:
    """What each instance is called: its target, with a number where there are several."""
    targets = [one.target for one in instances]
    return [
        f"{target} {targets[: place + 1].count(target)}" if targets.count(target) > 1 else target
        for place, target in enumerate(targets)
    ]


def told_clocks(facts: Facts, story: Story, at: LocalTime) -> Told:
    """Everything that happened to the clocks of a ticket."""
    named = list(zip(labels(facts.sla), facts.sla, strict=True))
    named.sort(key=lambda pair: (pair[1].target, pair[1].started_at))
    for (target, _), group in groupby(named, key=lambda pair: (pair[1].target, pair[1].started_at)):
        wait = list(group)
        start = _start(story, target, wait[0][1])
        if start is not None:
            yield from _of_wait(facts, story, start, wait, at)


def _start(story: Story, target: str, instance: Instance) -> Moment | None:
    if target in COUNTING:
        return next((moment for moment, status in story.statuses if status < SOLVED), None)
    same = [wait.start for wait in _waits(story, target) if wait.start.at == instance.started_at]
    return same[0] if same else None


def _waits(story: Story, target: str) -> Sequence[Wait]:
    return {"first_reply": story.first_waits, "next_reply": story.next_waits}.get(target, story.updates)


def _steps(story: Story, start: Moment, end: Moment | None, target: str) -> list[Step]:
    """The policies along a wait; for work, a change while the ticket lies solved takes effect at the reopening."""
    last = _FOREVER if end is None else end.place
    steps: list[Step] = [(start.at, start.state.policy)]
    for moment in story.states:
        if start.place < moment.place < last:
            steps.append((_effective(story, moment) if target in COUNTING else moment.at, moment.state.policy))
    return steps


def _effective(story: Story, moment: Moment) -> int:
    for (solved, status), (reopened, _) in pairwise(_ends_of_work(story)):
        if status >= SOLVED and solved.place <= moment.place < reopened.place:
            return reopened.at
    return moment.at


def _ends_of_work(story: Story) -> list[tuple[Moment, int]]:
    """The solves and reopenings, in order."""
    return [
        (moment, status)
        for (_, before), (moment, status) in pairwise([(story.creation, STATUSES.index("new")), *story.statuses])
        if (status >= SOLVED) != (before >= SOLVED)
    ]


def _of_wait(facts: Facts, story: Story, start: Moment, group: Sequence[tuple[str, Instance]], at: LocalTime) -> Told:
    """The instances of one wait, which follow each other."""
    target = group[0][1].target
    steps = _steps(story, start, group[-1][1].end, target)
    held: tuple[int, Calendar] | None = None
    name = ""
    waiting = list(group)
    running: tuple[str, Instance] | None = None
    for moment, policy in steps:
        if running is not None and _is_over(running[1], moment):
            running = None
        if policy is None or target not in policy.targets:
            if running is not None:
                missing = "no policy fits" if policy is None else f"policy {policy.name} has no such target"
                yield moment, "cancelled", f"{running[0]} is cancelled: {missing}"
            held, running = None, None
            continue
        wanted = policy.targets[target], policy.calendar
        by = f"{duration(wanted[0])} by policy {policy.name}"
        if wanted == held:
            if running is not None and policy.name != name:
                yield moment, "changed", f"{running[0]} goes on under policy {policy.name}: {duration(wanted[0])} as before"
        elif running is not None:
            yield moment, "changed", f"{running[0]} is now {by}, from its own start"
        elif waiting:
            running = waiting.pop(0)
            begun = why_started(story, start, target) if moment == start.at and running[1].number == 1 else "new target"
            yield moment, "started", f"{running[0]} starts ({begun}): {by}, calendar {policy.calendar.name}"
            yield from _of_instance(facts, story, *running, moment, steps, at)
        held, name = wanted, policy.name


def _is_over(instance: Instance, at: int) -> bool:
    return instance.breached_at is not None and instance.breached_at < at


def _of_instance(
    facts: Facts, story: Story, label: str, instance: Instance, begun: int, steps: Sequence[Step], at: LocalTime
) -> Told:
    ends = [one for one in (instance.breached_at, instance.ended_at) if one is not None]
    yield from _pauses(story, label, instance, begun, min(ends, default=facts.as_of))
    if instance.at_risk_raised and instance.at_risk_at is not None:
        policy = story.state_at(instance.at_risk_at).policy
        share = f"{policy.at_risk_share * 100:g} %" if policy is not None else "the share"
        yield instance.at_risk_at, "at_risk", f"{label} is at risk: {share} of its time is over"
    if instance.breached_at is not None:
        yield instance.breached_at, "breached", f"{label} is breached: {why_breached(instance, steps, at)}"
    if instance.ended_at is None or instance.end is None:
        return
    ended = why_ended(story, instance)
    if instance.outcome == MET:
        yield instance.ended_at, "stopped", f"{label} is met: ended by {ended}, {duration(instance.remaining_ms)} left"
    elif instance.outcome == BREACHED:
        yield instance.ended_at, "stopped", f"{label} ends {duration(instance.overrun_ms or 0)} late: {ended}"
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


def why_breached(instance: Instance, steps: Sequence[Step], at: LocalTime) -> str:
    """Why an instance breached when it did."""
    changes = [policy for moment, policy in steps[1:] if moment == instance.breached_at and policy is not None]
    if changes:
        over = duration(changes[-1].targets.get(instance.target, 0))
        return f"the {over} of policy {changes[-1].name} were over when it came to hold"
    return f"nothing had ended it when it was due, {at(instance.due_at or 0)}"


def why(facts: Facts, story: Story, instance: Instance, at: LocalTime) -> str:
    """One line about what became of an instance."""
    if instance.outcome == ACTIVE:
        return _running(facts, instance, at)
    if instance.outcome == CANCELLED:
        return why_ended(story, instance) or "the policy in force has no such target"
    if instance.outcome == MET:
        return f"ended by {why_ended(story, instance)}, {duration(instance.remaining_ms)} left"
    start = _start(story, instance.target, instance)
    steps = [] if start is None else _steps(story, start, instance.end, instance.target)
    breached = why_breached(instance, steps, at)
    late = duration(instance.overrun_ms or 0)
    if instance.end is None:
        return f"{breached}; {late} late by now"
    return f"{breached}; ended {late} late by {why_ended(story, instance)}"


def _running(facts: Facts, instance: Instance, at: LocalTime) -> str:
    left = duration(instance.remaining_ms)
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
            told.append(f"{label} {duration(instance.overrun_ms or 0)} late")
    return told
