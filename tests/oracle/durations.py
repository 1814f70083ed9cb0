"""How long things took, elapsed and within opening hours."""

from __future__ import annotations

from dataclasses import dataclass

from tests.oracle.story import Step, Story
from tests.oracle.waits import first_reply, handoff_reply


@dataclass(frozen=True)
class Duration:
    """From a moment to a step."""

    started_at_ms: int
    end: Step

    @property
    def ms(self) -> int:
        return self.end.at_ms - self.started_at_ms

    @property
    def business_ms(self) -> int:
        return self.end.calendar.elapsed_ms(self.started_at_ms, self.end.at_ms)


def durations(story: Story) -> dict[str, Duration]:
    """Those that a ticket has at most one of, by name."""
    found: dict[str, Duration] = {}
    if touches := story.public_by("agent", "bot"):
        found["first_touch"] = Duration(story.created_at_ms, touches[0])
    if reply := first_reply(story):
        found["first_reply"] = Duration(*reply)
    if reply := handoff_reply(story):
        found["handoff_reply"] = Duration(*reply)
    if story.solves:
        found["first_resolution"] = Duration(story.created_at_ms, story.solves[0])
        found["full_resolution"] = Duration(story.created_at_ms, story.solves[-1])
    return found


def status_ms(story: Story, until_ms: int, *, business: bool = False) -> dict[str, int]:
    """How long the ticket was in each open status, from its creation to ``until_ms``; what took no time is left out.

    Within the opening hours of the calendar that holds after its last event, or after its merge.
    """
    spent: dict[str, int] = {}
    for n, step in enumerate(story.steps):
        left_at_ms = story.steps[n + 1].at_ms if n + 1 < len(story.steps) else story.now_ms
        end_ms = min(left_at_ms, until_ms)
        if step.is_open and step.at_ms < end_ms:
            ms = end_ms - step.at_ms
            if business and story.policy is not None:
                ms = story.policy.calendar.elapsed_ms(step.at_ms, end_ms)
            spent[step.status] = spent.get(step.status, 0) + ms
    return {status: ms for status, ms in spent.items() if ms}
