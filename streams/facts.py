"""The facts of one ticket: a pure function of its history, the configuration and the time.

Source of every rule: ``docs/domain.md`` section 3; where it is silent, ``docs/definitions.md``. The story of a ticket
(``streams.story``) has the moments; this derives what follows from them. Times are milliseconds since 1970, durations
milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from mypy_extensions import mypyc_attr

from streams.attributes import AttributeGraph, Patch, State
from streams.calendars import DAY_MS, AlwaysOpen
from streams.config import DomainConfig
from streams.history import CREATED, DELETED, SIZE, SOLVED, Contact
from streams.sla import Instance, instances
from streams.story import Answer, Moment, Sent, Story, at_of, begin, describe, first_of, tell

NO_STATUS: Final = -1
"""The status of a ticket that was merged before it began."""
RECOVERY_MS: Final = 30 * DAY_MS
"""How long after a failure a good answer counts as its recovery."""
ALMOST: Final = 1e-9
"""Scores are compared with this tolerance: (5 - 1) / (7 - 1) is not less than 2 / 3."""
_NO_PATCHES: Final[list[Patch]] = []
CSAT: Final = 0
NPS: Final = 1


class NextReply(NamedTuple):
    """One wait of the customer after the first reply."""

    started_at: int
    ended_at: int | None
    ended_by: str | None
    """``reply``, ``solve`` or ``merge``; None while it runs, as the others are."""
    business_ms: int | None
    moment: Moment | None
    """The end."""


@mypyc_attr(acyclic=True, free_list_len=1)
class Facts:
    """The facts of one ticket at one time; what has not happened is None, 0 or empty.

    What is not set is as it stands here: most tickets lack most facts.
    """

    deleted: bool = False
    merged_into: str | None = None
    created: Moment | None = None
    customer: str = ""
    customer_number: int = 0
    """Of its name in the history."""
    category: str = ""
    state: State | None = None
    """The attributes in force now."""
    patches: list[Patch] = _NO_PATCHES
    """Everything that set an attribute, in order (``attributes.put_attributes``)."""
    status: int = 0
    status_since: int = 0
    status_ms: Sequence[int] = (0, 0, 0, 0)
    """Time in new, open, pending, on_hold until ``as_of``."""
    status_business_ms: Sequence[int] = (0, 0, 0, 0)
    solved_status_ms: Sequence[int] = (0, 0, 0, 0)
    """Time in each until the last solve."""
    first_touch: Moment | None = None
    first_touch_ms: int | None = None
    first_touch_business_ms: int | None = None
    first_reply: Moment | None = None
    first_reply_ms: int | None = None
    first_reply_business_ms: int | None = None
    handoff_reply: Moment | None = None
    handoff_reply_ms: int | None = None
    handoff_reply_business_ms: int | None = None
    next_replies: Sequence[NextReply] = ()
    unanswered: bool = False
    agent_replies: Sequence[Moment] = ()
    customer_messages: int = 0
    agents: int = 0
    channel_switches: int = 0
    solves: Sequence[Moment] = ()
    reopens: Sequence[Moment] = ()
    first_solve: Moment | None = None
    last_solve: Moment | None = None
    first_resolution_ms: int | None = None
    first_resolution_business_ms: int | None = None
    full_resolution_ms: int | None = None
    full_resolution_business_ms: int | None = None
    one_touch: bool | None = None
    no_followup: bool | None = None
    no_reopen: bool | None = None
    no_repeat: bool | None = None
    fcr: bool | None = None
    fcr_final: bool | None = None
    handled_by: str | None = None
    bot_before_solve: bool = False
    """A bot wrote before the first solve."""
    bot_resolved: bool | None = None
    bot_resolved_durably: bool | None = None
    sent: Sequence[tuple[int, Sent]] = ()
    """The surveys that were sent: number of the survey's name, first sending."""
    answers: Sequence[tuple[int, Answer]] = ()
    """The last answer of each survey: number of the survey's name, answer; in history order."""
    failures: Sequence[tuple[int, State]] = ()
    """What a recovery can follow: when, and the attributes that it counts under; the first one first."""
    good_at: Sequence[int] = ()
    """When the customer gave a good answer."""
    service_recovery: bool | None = None
    sla: Sequence[Instance] = ()
    """The instances of all targets, in the contract's order."""
    changes_at: int | None = None
    """The next time at which these facts change although nothing happens."""
    story: Story | None = None

    def __init__(self, as_of: int, last_at: int) -> None:
        self.as_of = as_of
        """The time of the question, or that of the last event when it is later."""
        self.last_at = last_at

    @property
    def open(self) -> bool:
        """Whether the ticket is in the backlog."""
        return self.created is not None and not self.deleted and self.merged_into is None and self.status < SOLVED

    @property
    def policy(self) -> str:
        """The name of the policy in force; '' without one."""
        return "" if self.state is None or self.state.policy is None else self.state.policy.name


def facts(
    records: bytes,
    names: list[str],
    now: int,
    graph: AttributeGraph,
    config: DomainConfig,
    contact: Contact | None = None,
) -> Facts:
    """The facts at ``now`` (or at the last event where that is later) of a packed history.

    ``contact``: what the customer's other tickets say of this one.
    """
    last_at = at_of(records, len(records) // SIZE - 1)
    found = Facts(max(now, last_at), last_at)
    if first_of(records, DELETED) >= 0:
        found.deleted = True
        return found
    state = graph.root
    patches: list[Patch] = []
    if first_of(records, CREATED) != 0:
        begun = begin(records, patches, names, graph)
        if begun is None:
            return found
        records, merged_into = begun
        for patch in patches:
            state = graph.after(state, patch)
        if merged_into:
            story = tell(records[:SIZE], state, patches, names, graph)
            describe(story, records, 1, names, graph)
            _describe(found, story)
            found.merged_into = names[merged_into - 1]
            found.status = NO_STATUS
            return found
    story = tell(records, state, patches, names, graph)
    _describe(found, story)
    _times(found, story)
    _messages(found, story)
    if graph.policies:
        found.sla, found.changes_at = instances(story, found.as_of)
    if story.solves:
        _solves(found, story, config, contact)
    _surveys(found, story, contact)
    return found


def _describe(found: Facts, story: Story) -> None:
    found.story = story
    found.created = story.creation
    found.customer = story.customer
    found.customer_number = story.customer_number
    found.category = story.category
    found.state = story.state
    found.patches = story.patches
    found.status = story.status
    found.status_since = story.status_since
    if story.merge is not None:
        found.merged_into = story.merged_into


def _business_ms(start: int, end: Moment) -> int:
    policy = end.state.policy
    return end.at - start if policy is None else policy.calendar.elapsed_ms(start, end.at)


def _times(found: Facts, story: Story) -> None:
    spent = [0, 0, 0, 0]
    policy = story.state.policy
    calendar = None if policy is None or isinstance(policy.calendar, AlwaysOpen) else policy.calendar
    business = spent if calendar is None else [0, 0, 0, 0]
    before: Moment | None = None
    was = 0
    for moment, status in story.statuses:
        if before is not None and was < SOLVED:
            spent[was] += moment.at - before.at
            if calendar is not None:
                business[was] += calendar.elapsed_ms(before.at, moment.at)
            if status >= SOLVED:
                found.solved_status_ms = spent.copy()
        before, was = moment, status
    if was < SOLVED and before is not None:
        until = found.as_of if story.merge is None else story.merge.at
        spent[was] += until - before.at
        if calendar is not None:
            business[was] += calendar.elapsed_ms(before.at, until)
    found.status_ms = spent
    found.status_business_ms = business


def _messages(found: Facts, story: Story) -> None:
    created = story.creation.at
    found.agent_replies = story.replies
    found.agents = len(story.agents)
    found.channel_switches = story.channel_switches
    messages = len(story.customer_at)
    if story.creation.state.started_by_customer:
        messages = 1
        for at in story.customer_at:
            if at > created:
                messages += 1
    found.customer_messages = messages
    touch = story.first_touch
    if touch is not None:
        found.first_touch = touch
        found.first_touch_ms = touch.at - created
        found.first_touch_business_ms = _business_ms(created, touch)
        human, bot = bool(story.replies), story.first_bot is not None
        found.handled_by = "both" if human and bot else "human" if human else "bot"
    reply = story.first_reply
    start = story.reply_start
    if reply is not None and start is not None:
        found.first_reply = reply
        found.first_reply_ms = reply.at - start.at
        found.first_reply_business_ms = _business_ms(start.at, reply)
    reply = story.handoff_reply
    if reply is not None and story.handoff is not None:
        found.handoff_reply = reply
        found.handoff_reply_ms = reply.at - story.handoff.at
        found.handoff_reply_business_ms = _business_ms(story.handoff.at, reply)
    if story.next_waits:
        found.next_replies = [
            NextReply(wait.start.at, None, None, None, None)
            if wait.end is None
            else NextReply(wait.start.at, wait.end.at, wait.ended_by, _business_ms(wait.start.at, wait.end), wait.end)
            for wait in story.next_waits
        ]
    waits = story.next_waits or story.first_waits
    found.unanswered = bool(waits) and waits[-1].end is None


def _solves(found: Facts, story: Story, config: DomainConfig, contact: Contact | None) -> None:
    created = story.creation.at
    first, last = story.solves[0], story.solves[-1]
    found.solves = story.solves
    found.reopens = story.reopens
    found.first_solve = first
    found.last_solve = last
    found.first_resolution_ms = first.at - created
    found.first_resolution_business_ms = _business_ms(created, first)
    found.full_resolution_ms = last.at - created
    found.full_resolution_business_ms = _business_ms(created, last)
    until = first.at + config.fcr_days * DAY_MS
    found.one_touch = len(story.replies) <= 1 or story.replies[1].at > until
    found.no_followup = not any(created < at <= until for at in story.customer_at)
    found.no_reopen = not story.reopens or story.reopens[0].at > until
    repeat_at = 0 if contact is None or contact.customer != story.customer else contact.repeat_at
    found.no_repeat = found.no_reopen and not first.at < repeat_at <= until
    found.fcr = (
        ("one_touch" not in config.fcr_parts or found.one_touch)
        and ("no_followup" not in config.fcr_parts or found.no_followup)
        and ("no_reopen" not in config.fcr_parts or found.no_reopen)
        and ("no_repeat" not in config.fcr_parts or found.no_repeat)
    )
    over = found.as_of > until
    found.fcr_final = not found.fcr or over
    bot = story.first_bot
    found.bot_before_solve = bot is not None and bot.place < first.place
    found.bot_resolved = found.bot_before_solve and not (story.replies and story.replies[0].place < first.place)
    found.bot_resolved_durably = found.bot_resolved and found.no_repeat
    if not found.fcr_final and (found.changes_at is None or until < found.changes_at):
        found.changes_at = until + 1


def share_of(answer: Answer) -> float:
    """A score on the scale from 0 to 1."""
    return (answer.score - answer.low) / (answer.high - answer.low)


def rank_of(answer: Answer) -> int:
    """How good an answer is, see :func:`rank`."""
    return rank(answer.kind, share_of(answer))


def rank(kind: int, share: float) -> int:
    """How good a score is: NPS 0 detractor, 1 passive, 2 promoter; CSAT and CES 0, or 2 (satisfied, easy)."""
    if kind == NPS:
        return int(share >= 0.7 - ALMOST) + int(share >= 0.9 - ALMOST)
    return 2 * int(share >= (0.75 if kind == CSAT else 2 / 3) - ALMOST)


def _surveys(found: Facts, story: Story, contact: Contact | None) -> None:
    failures: list[tuple[int, State]] = []
    good: list[int] = []
    if story.sent:
        found.sent = list(story.sent.items())
    if story.answers:
        found.answers = list(story.answers.items())
        for answer in story.answers.values():
            if answer.kind <= NPS:
                rank = rank_of(answer)
                if rank == 2:
                    good.append(answer.moment.at)
                elif rank == 0:
                    failures.append((answer.moment.at, answer.under))
        found.good_at = good
    failures += [
        (instance.breached_at, story.state_at(instance.breached_at))
        for instance in found.sla
        if instance.breached_at is not None
    ]
    if failures:
        failures.sort(key=_when)
        found.failures = failures
        if contact is not None and contact.customer == story.customer and contact.recovered_at:
            good = [*good, contact.recovered_at]
        found.service_recovery = any(at < one <= at + RECOVERY_MS for at, _ in failures for one in good)


def _when(failure: tuple[int, State]) -> int:
    return failure[0]
