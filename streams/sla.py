"""The clocks of service-level agreements: which instances of each target a ticket has, and what became of them.

Source: ``docs/domain.md`` section 4; where it is silent, ``docs/definitions.md``. Times are milliseconds since 1970,
durations milliseconds of business time.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from streams.calendars import Calendar
from streams.history import SOLVED
from streams.measures import TARGETS
from streams.story import BY_MERGE, BY_SOLVE, Moment, Story, Wait

ACTIVE: Final = "active"
MET: Final = "met"
BREACHED: Final = "breached"
CANCELLED: Final = "cancelled"
RETRACTED: Final = "retracted"
AT_RISK: Final = "at_risk"

_NEW: Final = 0
_OPEN: Final = 1
_PENDING: Final = 2
_ON_HOLD: Final = 3
COUNTING: Final[dict[str, frozenset[int]]] = {
    "requester_wait": frozenset((_NEW, _OPEN, _ON_HOLD)),
    "agent_work": frozenset((_NEW, _OPEN)),
    "resolution": frozenset((_NEW, _OPEN, _PENDING, _ON_HOLD)),
}
"""In which statuses the clock of a target runs."""
_NEVER: Final = 1 << 61
"""Later than any time. More would be slow: compiled code keeps such numbers as objects."""


@mypyc_attr(acyclic=True)
class Instance:
    """One instance of a target."""

    __slots__ = (
        "at_risk_at",
        "at_risk_raised",
        "breached_at",
        "due_at",
        "end",
        "ended_at",
        "number",
        "outcome",
        "overrun_ms",
        "policy",
        "rank",
        "remaining_ms",
        "started_at",
        "target",
    )

    def __init__(self, rank: int, started_at: int) -> None:
        self.rank = rank
        """The place of its target in ``streams.measures.TARGETS``."""
        self.target = TARGETS[rank]
        self.started_at = started_at
        self.number = 1
        """Which one of this target and start."""
        self.policy = ""
        """The name of the policy that holds or held for it last."""
        self.due_at: int | None = None
        """None while its clock is paused."""
        self.at_risk_at: int | None = None
        """When its share of the time is or would be reached; None while its clock is paused before."""
        self.at_risk_raised = False
        self.ended_at: int | None = None
        self.end: Moment | None = None
        """The moment of the end; None while it runs, and where a change of policy cancelled it."""
        self.outcome = ACTIVE
        self.breached_at: int | None = None
        self.overrun_ms: int | None = None
        """None unless it breached."""
        self.remaining_ms = 0
        """What was left at the end, or is left now; 0 after a breach."""


@mypyc_attr(acyclic=True)
class Clock:
    """The times in which a clock runs: spans, of which the last may have no end."""

    def __init__(self, spans: list[tuple[int, int]], places: list[tuple[int, int]]) -> None:
        self.spans = spans
        """From and until; the last one's until is ``_NEVER`` while it runs, or ran right before the end."""
        self.places = places
        """The places in the history of the events that began and ended each: what happens at one time has an order."""

    def elapsed_ms(self, calendar: Calendar, until: int) -> int:
        """How much of a calendar's time has run until a time."""
        total = 0
        for begun, ended in self.spans:
            if begun >= until:
                break
            total += calendar.elapsed_ms(begun, min(ended, until))
        return total

    def due(self, calendar: Calendar, target_ms: int) -> int | None:
        """When so much has run; None where it pauses before."""
        left = target_ms
        for begun, ended in self.spans:
            if ended != _NEVER:
                ran = calendar.elapsed_ms(begun, ended)
                if ran < left:
                    left -= ran
                    continue
            return calendar.due_ms(begun, left)
        return None

    def before(self, event: int) -> Clock:
        """The clock as it was right before an event: had it run on from there, where it ran."""
        begun = [number for number, (start, _) in enumerate(self.places) if start < event]
        spans = self.spans[: len(begun)]
        places = self.places[: len(begun)]
        if spans and places[-1][1] >= event:
            spans[-1] = (spans[-1][0], _NEVER)
        return Clock(spans, places)


@mypyc_attr(acyclic=True)
class Counted:
    """One wait for a target."""

    __slots__ = ("clock", "policies", "solved", "wait")

    def __init__(self, wait: Wait, clock: Clock, policies: list[Moment], solved: list[tuple[int, int]]) -> None:
        self.wait = wait
        self.clock = clock
        self.policies = policies
        """The moments from which the policies that are in force along it are, each by its state."""
        self.solved = solved
        """From when until when the ticket lay solved, for a clock that goes on after a reopening."""


def counted(story: Story, target: str) -> list[Counted]:
    """The waits of a ticket for a target, in their order."""
    counting = COUNTING.get(target)
    if counting is not None:
        begun, clock, solved = work_clock(story, counting)
        return [] if begun is None else [Counted(begun, clock, _policies_at_work(story, begun), solved)]
    waits = story.updates
    if target == "first_reply":
        waits = story.first_waits
    elif target == "next_reply":
        waits = story.next_waits
    return [
        Counted(
            wait,
            Clock([(wait.start.at, _NEVER)], [(wait.start.place, _NEVER)]),
            _policies_along(story, wait),
            [],
        )
        for wait in waits
    ]


def instances(story: Story, now: int) -> tuple[list[Instance], int | None]:
    """All instances of a ticket's targets, and the next time at which one of them changes although nothing happens."""
    found: list[Instance] = []
    changes_at = _NEVER
    for rank, target in enumerate(TARGETS):
        if not _is_promised(story, rank):
            continue
        for one in counted(story, target):
            changes_at = min(changes_at, _judge(rank, one, now, found))
    # Those of one start stay in the order of the targets, and those of one target as they followed each other.
    for number in range(1, len(found)):
        if found[number].started_at < found[number - 1].started_at:
            found.sort(key=_started_at)
            break
    for number in range(1, len(found)):
        before, instance = found[number - 1], found[number]
        if instance.rank == before.rank and instance.started_at == before.started_at:
            instance.number = before.number + 1
    return found, None if changes_at == _NEVER else changes_at


def _is_promised(story: Story, rank: int) -> bool:
    """Whether a policy that was once in force has the target of this place in ``TARGETS``."""
    return any(moment.state.target_ms[rank] >= 0 for moment in story.states)


def _started_at(instance: Instance) -> int:
    return instance.started_at


def _policies_along(story: Story, wait: Wait) -> list[Moment]:
    """The policies in force along a wait; a change in the event that ends it is none any more."""
    last = _NEVER if wait.end is None else wait.end.place
    return [wait.start, *[moment for moment in story.states if wait.start.place < moment.place < last]]


def _policies_at_work(story: Story, wait: Wait) -> list[Moment]:
    """The same; a change while the ticket is solved or closed takes effect at its reopening."""
    found = [wait.start]
    if len(story.states) == 1 and not story.reopens:
        return found
    last = _NEVER if wait.end is None else wait.end.place
    status = story.statuses[0][1]
    following = 1
    for _, moment in sorted({moment.place: moment for moment in (*story.states, *story.reopens)}.items()):
        while following < len(story.statuses) and story.statuses[following][0].place <= moment.place:
            status = story.statuses[following][1]
            following += 1
        if wait.start.place < moment.place < last and status < SOLVED:
            found.append(moment)
    return found


def work_clock(story: Story, counting: frozenset[int]) -> tuple[Wait | None, Clock, list[tuple[int, int]]]:
    """The wait of a work clock, when the clock runs, when the ticket lay solved; no wait where it was never open."""
    wait: Wait | None = None
    spans: list[tuple[int, int]] = []
    solved: list[tuple[int, int]] = []
    places: list[tuple[int, int]] = []
    since = since_place = -1
    solved_since = -1
    for moment, status in story.statuses:
        if wait is None and status < SOLVED:
            wait = Wait(moment)
        if since >= 0 and status not in counting:
            spans.append((since, moment.at))
            places.append((since_place, moment.place))
            since = -1
        elif since < 0 and status in counting:
            since, since_place = moment.at, moment.place
        if status >= SOLVED and solved_since < 0:
            solved_since = moment.at
        elif status < SOLVED and solved_since >= 0:
            solved.append((solved_since, moment.at))
            solved_since = -1
    if since >= 0:
        spans.append((since, _NEVER))
        places.append((since_place, _NEVER))
    elif story.status >= SOLVED and spans and _ran_until_solve(story, counting):
        spans[-1] = (spans[-1][0], _NEVER)
    if wait is not None:
        if story.status >= SOLVED:
            wait.end = story.solves[-1]
            wait.ended_by = BY_SOLVE
        elif story.merge is not None:
            wait.end = story.merge
            wait.ended_by = BY_MERGE
    return wait, Clock(spans, places), solved


def _ran_until_solve(story: Story, counting: frozenset[int]) -> bool:
    """Whether the clock ran right before the last solve."""
    before = story.statuses[0][1]
    ran = False
    for _, status in story.statuses:
        if status >= SOLVED and before < SOLVED:
            ran = before in counting
        before = status
    return ran


def _judge(rank: int, one: Counted, now: int, found: list[Instance]) -> int:
    """Add the instances of one wait to ``found``; when one of them changes by itself, ``_NEVER`` where none does."""
    wait, clock, changes = one.wait, one.clock, one.policies
    started_at = wait.start.at
    end = _NEVER if wait.end is None else wait.end.at
    calendar: Calendar | None = None
    target_ms = share_ms = -1
    changed_at = share_changed_at = started_at
    running: Instance | None = None
    for number, change in enumerate(changes):
        begun = change.at
        until = changes[number + 1].at if number + 1 < len(changes) else _NEVER
        policy = change.state.policy
        wanted_ms = change.state.target_ms[rank]
        if policy is None or wanted_ms < 0:
            if running is not None and calendar is not None:
                as_it_was = clock.before(change.place)
                running.due_at = _not_before(changed_at, as_it_was.due(calendar, target_ms))
                if not running.at_risk_raised:
                    running.at_risk_at = _not_before(share_changed_at, as_it_was.due(calendar, share_ms))
                _cancel(running, as_it_was, calendar, target_ms, begun)
                running = None
            calendar = None
            target_ms = share_ms = -1
            continue
        if (
            calendar is None
            or target_ms != wanted_ms
            or (calendar is not policy.calendar and calendar != policy.calendar)
        ):
            calendar = policy.calendar
            target_ms = wanted_ms
            changed_at = begun
            share_ms = -1
            if running is None:
                running = Instance(rank, started_at)
                found.append(running)
        if running is None:
            continue
        running.policy = policy.name
        if share_ms != change.state.at_risk_ms[rank]:
            share_ms = change.state.at_risk_ms[rank]
            share_changed_at = begun
        due = _not_before(changed_at, clock.due(calendar, target_ms))
        over = min(min(until, end), now)
        bound = over if due is None else min(over, due)
        if not running.at_risk_raised:
            running.at_risk_at = _not_before(share_changed_at, clock.due(calendar, share_ms))
            running.at_risk_raised = running.at_risk_at is not None and running.at_risk_at < bound
        running.due_at = due
        if due is not None and due < over:
            running.outcome = BREACHED
            running.breached_at = due
            running.ended_at = None if wait.end is None else end
            running.end = wait.end
            running.overrun_ms = calendar.elapsed_ms(due, min(end, now))
            for since, reopened in one.solved:
                if reopened > due:
                    running.overrun_ms -= calendar.elapsed_ms(max(since, due), reopened)
            running = None
    if running is None or calendar is None:
        return _NEVER
    running.remaining_ms = max(0, target_ms - clock.elapsed_ms(calendar, min(end, now)))
    if wait.end is not None:
        running.outcome = CANCELLED if wait.ended_by == BY_MERGE else MET
        running.ended_at = end
        running.end = wait.end
        return _NEVER
    changes_at = _NEVER if running.due_at is None else running.due_at + 1
    if not running.at_risk_raised and running.at_risk_at is not None:
        changes_at = min(changes_at, running.at_risk_at + 1)
    return changes_at


def _not_before(changed_at: int, due: int | None) -> int | None:
    """What a change of the target makes due counts from the change."""
    return None if due is None else max(due, changed_at)


def _cancel(running: Instance, clock: Clock, calendar: Calendar, target_ms: int, at: int) -> None:
    """A change of policy takes the target away."""
    running.outcome = CANCELLED
    running.ended_at = at
    running.remaining_ms = max(0, target_ms - clock.elapsed_ms(calendar, at))
