"""What was promised for each wait, and what became of the promise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from streams.calendars import ALWAYS, Calendar
from streams.measures import TARGETS
from streams.policies import Policy
from tests.oracle.story import OPEN_STATUSES, Step, Story, Wait
from tests.oracle.waits import reply_waits, update_waits, work_waits

RUNS_IN = {
    "requester_wait": ("new", "open", "on_hold"),
    "agent_work": ("new", "open"),
    "resolution": OPEN_STATUSES,
}
"""The statuses in which a clock runs; that of a reply runs all the time."""

Stretch = tuple[int, int | None]
"""From when until when, in milliseconds; None for on and on."""


@dataclass
class Instance:
    """One promise about one wait."""

    target: str
    started_at_ms: int
    number: int = 0
    policy: str = ""
    due_at_ms: int | None = None
    at_risk_at_ms: int | None = None
    at_risk_raised: bool = False
    ended_at_ms: int | None = None
    outcome: str = "active"
    breached_at_ms: int | None = None
    overrun_ms: int | None = None
    """None without a breach."""
    remaining_ms: int = 0
    end: Step | None = field(default=None, repr=False)
    """The event that met it."""
    calendar: Calendar = field(default=ALWAYS, repr=False)
    target_ms: int = field(default=0, repr=False)
    at_risk_ms: int = field(default=0, repr=False)
    not_due_before_ms: int = field(default=0, repr=False)
    not_at_risk_before_ms: int = field(default=0, repr=False)

    def told(self) -> dict[str, Any]:
        """All that is comparable, by name."""
        return {name: value for name, value in vars(self).items() if name in TOLD}

    def happened(self) -> Iterator[tuple[str, int]]:
        """The kinds of SLA events that hold of it, with their times."""
        if self.at_risk_raised and self.at_risk_at_ms is not None:
            yield "at_risk", self.at_risk_at_ms
        if self.breached_at_ms is not None:
            yield "breached", self.breached_at_ms
        if self.outcome in ("met", "cancelled") and self.ended_at_ms is not None:
            yield self.outcome, self.ended_at_ms

    @property
    def runs(self) -> bool:
        return self.ended_at_ms is None

    @property
    def state(self) -> str:
        """Of one that runs."""
        if self.breached_at_ms is not None:
            return "breached"
        return "at_risk" if self.at_risk_raised else "in_time"


TOLD = (
    "target", "policy", "started_at_ms", "number", "due_at_ms", "at_risk_at_ms", "at_risk_raised", "ended_at_ms",
    "outcome", "breached_at_ms", "overrun_ms", "remaining_ms",
)  # fmt: skip


def instances_of(story: Story) -> list[Instance]:
    """Every instance of a ticket that began: by start, then in the order of targets, then as they follow each other."""
    found = [
        instance
        for wait in [*reply_waits(story), *update_waits(story), *work_waits(story)]
        for instance in Judge(story, wait).instances()
    ]
    found.sort(key=lambda instance: (instance.started_at_ms, TARGETS.index(instance.target)))
    seen: Counter[tuple[str, int]] = Counter()
    for instance in found:
        seen[instance.target, instance.started_at_ms] += 1
        instance.number = seen[instance.target, instance.started_at_ms]
    return found


class Judge:
    """Goes along one wait."""

    def __init__(self, story: Story, wait: Wait) -> None:
        self.steps = story.steps
        self.wait = wait
        self.now_ms = story.now_ms
        self.end = None if wait.end is None else self.steps[wait.end]
        self.last = len(self.steps) if wait.end is None else wait.end
        """The number of the step that the wait does not reach any more."""
        self.until_ms = self.now_ms if self.end is None else self.end.at_ms

    def instances(self) -> list[Instance]:
        found: list[Instance] = []
        terms_before: tuple[int, Calendar] | None = None
        spans = self._spans()
        for (n, policy), (next_n, _) in zip(spans, [*spans[1:], (self.last, None)], strict=True):
            begin_ms = self.steps[n].at_ms
            running = found[-1] if found and found[-1].outcome == "active" else None
            terms = None
            if policy is None or self.wait.target not in policy.targets:
                if running:
                    self._finish(running, "cancelled", n)
            else:
                terms = policy.targets[self.wait.target], policy.calendar
                if running is None and terms != terms_before:
                    running = Instance(self.wait.target, self.steps[self.wait.start].at_ms)
                    found.append(running)
                if running:
                    _promise(running, policy, begin_ms)
                    self._look(running, next_n)
            terms_before = terms
        for instance in found:
            if instance.outcome == "breached":
                self._overrun(instance)
            elif instance.outcome == "active" and self.end is None:
                instance.remaining_ms = self._remaining(instance, self.last, self.now_ms)
            elif instance.outcome == "active":
                instance.end = self.end
                self._finish(instance, "cancelled" if self.wait.ended_by == "merge" else "met", self.last)
        return found

    def _spans(self) -> list[tuple[int, Policy | None]]:
        """The steps from which on another policy holds, looked at while the ticket is open."""
        spans: list[tuple[int, Policy | None]] = []
        for n in range(self.wait.start, self.last):
            if self.steps[n].is_open and (not spans or spans[-1][1] != self.steps[n].policy):
                spans.append((n, self.steps[n].policy))
        return spans

    def _stretches(self, before: int) -> list[Stretch]:
        """When the clock runs, as far as the steps before one tell: after the last of them on and on."""
        return [
            (self.steps[n].at_ms, self.steps[n + 1].at_ms if n + 1 < before else None)
            for n in range(self.wait.start, before)
            if self.wait.target not in RUNS_IN or self.steps[n].status in RUNS_IN[self.wait.target]
        ]

    def _look(self, instance: Instance, next_n: int) -> None:
        """What becomes of a running instance until the next span begins."""
        stretches = self._stretches(next_n)
        due_ms = _reached(stretches, instance.calendar, instance.target_ms)
        if due_ms is not None:
            due_ms = max(due_ms, instance.not_due_before_ms)
        at_risk_ms = _reached(stretches, instance.calendar, instance.at_risk_ms)
        if at_risk_ms is not None:
            at_risk_ms = max(at_risk_ms, instance.not_at_risk_before_ms)

        limit_ms = min(self.until_ms, self.now_ms)
        if next_n < self.last:
            limit_ms = min(limit_ms, self.steps[next_n].at_ms)
        instance.due_at_ms = due_ms
        if due_ms is not None and due_ms < limit_ms:
            instance.outcome = "breached"
            instance.breached_at_ms = limit_ms = due_ms
        if not instance.at_risk_raised:
            instance.at_risk_at_ms = at_risk_ms
            instance.at_risk_raised = at_risk_ms is not None and at_risk_ms < limit_ms

    def _finish(self, instance: Instance, outcome: str, n: int) -> None:
        """It ends at a step. Of one that is cancelled early it is as though its clock had run on from there."""
        instance.outcome = outcome
        instance.ended_at_ms = self.steps[n].at_ms
        instance.remaining_ms = self._remaining(instance, n, self.steps[n].at_ms)

    def _remaining(self, instance: Instance, before: int, until_ms: int) -> int:
        ran_ms = sum(
            instance.calendar.elapsed_ms(start_ms, until_ms if end_ms is None else end_ms)
            for start_ms, end_ms in self._stretches(before)
        )
        return max(0, instance.target_ms - ran_ms)

    def _overrun(self, instance: Instance) -> None:
        assert instance.breached_at_ms is not None
        instance.ended_at_ms = None if self.end is None else self.end.at_ms
        instance.overrun_ms = 0
        for n in range(self.wait.start, self.last):
            end_ms = self.steps[n + 1].at_ms if n + 1 < self.last else self.until_ms
            start_ms = max(self.steps[n].at_ms, instance.breached_at_ms)
            if self.steps[n].is_open and start_ms < end_ms:
                instance.overrun_ms += instance.calendar.elapsed_ms(start_ms, end_ms)


def _promise(instance: Instance, policy: Policy, begin_ms: int) -> None:
    """A running instance goes on under this policy; what its time has passed already is due at once."""
    if (instance.target_ms, instance.calendar) != (policy.targets[instance.target], policy.calendar):
        instance.not_due_before_ms = instance.not_at_risk_before_ms = begin_ms
    elif instance.at_risk_ms != policy.at_risk_ms(instance.target):
        instance.not_at_risk_before_ms = begin_ms
    instance.policy = policy.name
    instance.calendar = policy.calendar
    instance.target_ms = policy.targets[instance.target]
    instance.at_risk_ms = policy.at_risk_ms(instance.target)


def _reached(stretches: list[Stretch], calendar: Calendar, ms: int) -> int | None:
    """When a clock has run for ``ms`` of business time; None where it does not get there."""
    for start_ms, end_ms in stretches:
        passed_ms = ms if end_ms is None else calendar.elapsed_ms(start_ms, end_ms)
        if passed_ms >= ms:
            return calendar.due_ms(start_ms, ms)
        ms -= passed_ms
    return None
