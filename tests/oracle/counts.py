"""What is counted when: the contributions of a ticket, and their sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from streams import buckets, figures, measures
from streams.calendars import AlwaysOpen
from tests.oracle.desk import Desk
from tests.oracle.durations import Duration, durations, status_ms
from tests.oracle.story import SECOND_MS, Step, Story
from tests.oracle.surveys import judge
from tests.oracle.ticket_facts import first_contact, wrote_before
from tests.oracle.waits import reply_waits

Amounts = dict[str, int]
Dims = tuple[str, ...]

PANE_MS = {"minute": 60_000, "hour": 3_600_000}
OF_FIRST_CONTACT = (
    "one_touch", "no_followup", "no_reopen", "no_repeat", "fcr", "fcr_final", "bot_resolved", "bot_resolved_durably",
)  # fmt: skip


@dataclass(frozen=True)
class Contribution:
    """What one ticket adds to the cell of its moment: ``amount`` of a count, or one duration of ``amount`` ms."""

    at_ms: int
    attributes: dict[str, str]
    measure: str
    amount: int


def of_ticket(story: Story, desk: Desk) -> Iterator[Contribution]:
    """All that a ticket adds, zeros included."""
    if not story.began:
        return
    found = durations(story)
    for name in ("first_touch", "first_reply"):
        if name in found:
            yield from _took(name, found[name], desk)
    for step in story.public_by("agent"):
        yield _at(step, "agent_replies")
    for survey in story.sent.values():
        yield _of_survey(story, survey, f"{survey.event['kind']}_sent", 1)
    for survey in story.answered.values():
        for measure, amount in judge(survey.event).items():
            yield _of_survey(story, survey, measure, amount)

    if story.merge is not None:
        return
    yield _at(story.steps[0], "created")
    if "handoff_reply" in found:
        yield from _took("handoff_reply", found["handoff_reply"], desk)
    for wait in reply_waits(story):
        if wait.target == "next_reply" and wait.end is not None and wait.ended_by == "reply":
            yield from _took("next_reply", Duration(story.steps[wait.start].at_ms, story.steps[wait.end]), desk)
    for solve in story.solves:
        yield _at(solve, "solves")
    for reopening in story.reopenings:
        yield _at(reopening, "reopens")
    if story.solves:
        yield from _of_resolution(story, desk, found)
    for instance in desk.instances[story.ticket_id]:
        if instance.outcome == "met" and instance.end is not None:
            yield _at(instance.end, f"sla_{instance.target}_met")
        if instance.breached_at_ms is not None:
            at_ms = instance.breached_at_ms
            yield Contribution(at_ms, story.attributes_at(at_ms), f"sla_{instance.target}_breached", 1)
    for failed_at_ms, attributes in desk.failures(story)[:1]:
        yield Contribution(failed_at_ms, attributes, "failed_tickets", 1)
        yield Contribution(failed_at_ms, attributes, "recovered_tickets", int(bool(desk.is_recovered(story))))


def _of_resolution(story: Story, desk: Desk, found: dict[str, Duration]) -> Iterator[Contribution]:
    first, last = story.solves[0], story.solves[-1]
    yield _at(first, "tickets_solved")
    yield from _took("first_resolution", found["first_resolution"], desk)
    told = first_contact(story, desk)
    for name in OF_FIRST_CONTACT:
        yield _at(first, name, int(told[name]))
    yield _at(first, "fcr_final_true", int(told["fcr_final"] and told["fcr"]))
    yield _at(first, "bot_tickets", int(wrote_before(story, "bot")))
    yield _at(last, "solved_tickets")
    yield from _took("full_resolution", found["full_resolution"], desk)
    for status, ms in status_ms(story, last.at_ms).items():
        yield _at(last, f"{status}_ms", ms)


def _at(step: Step, measure: str, amount: int = 1) -> Contribution:
    return Contribution(step.at_ms, step.attributes, measure, amount)


def _took(name: str, duration: Duration, desk: Desk) -> Iterator[Contribution]:
    """A duration; within opening hours too, where a policy has such, of those that are measured so."""
    yield _at(duration.end, name, duration.ms)
    has_hours = any(not isinstance(policy.calendar, AlwaysOpen) for policy in desk.config.policies)
    if has_hours and f"{name}_business" in measures.DURATIONS:
        yield _at(duration.end, f"{name}_business", duration.business_ms)


def _of_survey(story: Story, survey: Step, measure: str, amount: int) -> Contribution:
    return Contribution(survey.at_ms, story.attributes_of_survey(survey), measure, amount)


def cells(found: Iterable[Contribution], resolution: str, dimensions: Sequence[str]) -> dict[tuple[int, Dims], Amounts]:
    """See ``tests.oracle.cells``."""
    sums: dict[tuple[int, Dims], Amounts] = {}
    for one in found:
        pane = one.at_ms - one.at_ms % PANE_MS[resolution]
        dims = tuple(one.attributes[name] for name in dimensions)
        add(sums.setdefault((pane, dims), {}), amounts_of(one))
    return sums


def resolution_of(window: str) -> str:
    """Of what cells a window is made."""
    return "minute" if window in figures.MINUTE_WINDOWS else "hour"


def window_totals(cells: dict[tuple[int, Dims], Amounts], now_ms: int, window: str) -> dict[Dims, Amounts]:
    """See ``tests.oracle.window_totals``; ``cells`` are those of the window's resolution."""
    length = PANE_MS[resolution_of(window)]
    last = now_ms - now_ms % length
    first = last + length - figures.WINDOWS_SECONDS[window] * SECOND_MS
    totals: dict[Dims, Amounts] = {}
    for (pane, dims), amounts in cells.items():
        if first <= pane <= last:
            add(totals.setdefault(dims, {}), amounts)
    return totals


def by_group(totals: dict[Dims, Amounts], dimensions: Sequence[str]) -> dict[tuple[str, str], Amounts]:
    """The totals of each value of each single dimension, and of ``("all", "")``."""
    groups: dict[tuple[str, str], Amounts] = {}
    for dims, amounts in totals.items():
        for group in [("all", ""), *zip(dimensions, dims, strict=True)]:
            add(groups.setdefault(group, {}), amounts)
    return groups


def numbered(amounts: Amounts) -> dict[int, int]:
    """Totals as ``streams.figures`` take them: by the numbers of measures."""
    return {measures.NUMBER_OF[name]: amount for name, amount in amounts.items()}


def amounts_of(one: Contribution) -> Amounts:
    """What a contribution adds, by the names of a cell's measures."""
    if one.measure not in measures.DURATIONS:
        return {one.measure: one.amount}
    amounts = {f"{one.measure}_b{buckets.bucket_of(one.amount)}": 1}
    if one.amount:
        amounts[f"{one.measure}_ms"] = one.amount
    return amounts


def add(to: Amounts, what: Amounts) -> None:
    """Add up by name."""
    for name, amount in what.items():
        to[name] = to.get(name, 0) + amount
