"""What is waited for: replies, updates, and work to be done."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from tests.oracle.story import Step, Story, Wait

WORK_TARGETS = ("requester_wait", "agent_work", "resolution")


def first_reply(story: Story) -> tuple[int, Step] | None:
    """Since when the first reply was awaited, and the reply; None until then."""
    start = None if story.is_outbound else story.created_at_ms
    for step in story.steps:
        if step.is_public_by("customer") and start is None:
            start = step.at_ms
        if step.is_reopening and start is not None:
            start = step.at_ms
        if step.is_public_by("agent") and start is not None:
            return start, step
    return None


def reply_waits(story: Story) -> list[Wait]:
    """The waits for the first and for the next replies, in order."""
    found: list[Wait] = []
    is_awaited = is_replied = is_remembered = False

    def begin(n: int) -> None:
        if not runs():
            found.append(Wait("next_reply" if is_replied else "first_reply", n))

    def runs() -> bool:
        return bool(found) and found[-1].end is None

    def end(n: int, by: str) -> None:
        if runs():
            found[-1] = replace(found[-1], end=n, ended_by=by)

    for n, step in enumerate(story.steps):
        if step.is_merge:
            end(n, "merge")
        elif step.is_solve:
            end(n, "solve")
        if n == 0 and not story.is_outbound:
            is_awaited = True
            if step.is_open:
                begin(n)
        elif step.is_public_by("customer"):
            if is_replied and not step.is_open:
                is_remembered = True
            elif step.is_open and (is_replied or not is_awaited):
                begin(n)
            is_awaited = True
        elif step.is_public_by("agent") and is_awaited:
            end(n, "reply")
            is_replied, is_remembered = True, False
        elif step.is_reopening and is_awaited:
            if not is_replied or is_remembered:
                begin(n)
            is_remembered = False
    return found


def is_unanswered(story: Story) -> bool:
    """Does the customer wait for a reply?"""
    return any(wait.end is None for wait in reply_waits(story))


def update_waits(story: Story) -> list[Wait]:
    """From each public agent message on an open ticket to the next, or to what ends it."""
    found = []
    for n, step in enumerate(story.steps):
        if step.is_public_by("agent") and step.is_open:
            wait = Wait("periodic_update", n)
            for later in range(n + 1, len(story.steps)):
                by = _ends_update(story.steps[later])
                if by is not None:
                    wait = replace(wait, end=later, ended_by=by)
                    break
            found.append(wait)
    return found


def _ends_update(step: Step) -> str | None:
    if step.is_merge:
        return "merge"
    if step.is_solve:
        return "solve"
    return "reply" if step.is_public_by("agent") else None


def work_waits(story: Story) -> list[Wait]:
    """One of each target, from the first moment at which the ticket is open."""
    open_steps = [n for n, step in enumerate(story.steps) if step.is_open]
    if not open_steps:
        return []
    end, by = None, None
    if not story.is_open:
        end, by = max(n for n, step in enumerate(story.steps) if step.is_solve), "solve"
    elif story.steps[-1].is_merge:
        end, by = len(story.steps) - 1, "merge"
    return [Wait(target, open_steps[0], end, by) for target in WORK_TARGETS]


def handoff_reply(story: Story) -> tuple[int, Step] | None:
    """The last handover from a bot to a human, and the first human reply after it; None without either."""
    handed_over = [
        later
        for earlier, later in pairwise(story.steps)
        if (earlier.attributes["handler"], later.attributes["handler"]) == ("bot", "human")
    ]
    if not handed_over:
        return None
    replies = [step for step in story.public_by("agent") if step.position > handed_over[-1].position]
    return (handed_over[-1].at_ms, replies[0]) if replies else None
