"""What happened to one ticket: one pass over its history, in order, that finds the moments all facts follow from.

Source of every rule: ``docs/domain.md`` section 3; where it is silent, ``docs/definitions.md``. A moment is its time in
milliseconds since 1970, its place in the history and the state of the attributes right after it.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i64_be
from mypy_extensions import i64, mypyc_attr

from streams.attributes import AttributeGraph, Patch, State
from streams.history import (
    AGENT,
    BOT,
    CREATED,
    CUSTOMER,
    INTERNAL,
    KIND,
    MERGED,
    MESSAGE,
    SIZE,
    SOLVED,
    SURVEY_ANSWERED,
    SURVEY_SENT,
    UPDATED,
    score_of,
)

BY_REPLY: Final = "reply"
BY_SOLVE: Final = "solve"
BY_MERGE: Final = "merge"


@mypyc_attr(acyclic=True)
class Moment:
    """Something that happened."""

    __slots__ = ("at", "place", "state")

    def __init__(self, at: i64, place: i64, state: State) -> None:
        self.at = at
        self.place = place
        self.state = state


@mypyc_attr(acyclic=True)
class Wait:
    """A time in which something is awaited."""

    __slots__ = ("end", "ended_by", "start")

    def __init__(self, start: Moment) -> None:
        self.start = start
        self.end: Moment | None = None
        self.ended_by = ""


@mypyc_attr(acyclic=True)
class Answer:
    """The answer of a survey."""

    __slots__ = ("high", "kind", "low", "moment", "score", "under")

    def __init__(self, moment: Moment, under: State, kind: int, score: float, low: float, high: float) -> None:
        self.moment = moment
        self.under = under
        """The attributes that it counts under: those at the last solve before it."""
        self.kind = kind
        """Of ``history.SURVEY_KINDS``."""
        self.score = score
        self.low = low
        self.high = high


@mypyc_attr(acyclic=True)
class Sent:
    """The first sending of a survey."""

    __slots__ = ("kind", "moment", "under")

    def __init__(self, moment: Moment, under: State, kind: int) -> None:
        self.moment = moment
        self.under = under
        self.kind = kind


@mypyc_attr(acyclic=True, free_list_len=1)
class Story:
    """Everything that facts, clocks and contributions are derived from."""

    def __init__(
        self, creation: Moment, status: int, customer: str, customer_number: int, patches: list[Patch]
    ) -> None:
        self.creation = creation
        self.customer = customer
        self.customer_number = customer_number
        self.category = ""
        """The last one, that of a merged ticket may come after the merge."""
        self.patches = patches
        """Everything that set an attribute, in order."""
        self.state = creation.state
        """The attributes in force at the end."""
        self.status = status
        self.status_since = creation.at
        self.statuses: list[tuple[Moment, int]] = [(creation, status)]
        """Every change of status, the creation first."""
        self.states: list[Moment] = [creation]
        """Every change of what figures depend on, the creation first."""
        self.first_touch: Moment | None = None
        self.first_bot: Moment | None = None
        self.reply_start: Moment | None = creation if creation.state.started_by_customer else None
        """From when the first reply is or was awaited."""
        self.first_reply: Moment | None = None
        self.replies: list[Moment] = []
        self.handoff: Moment | None = None
        self.handoff_reply: Moment | None = None
        self.first_waits: list[Wait] = []
        self.next_waits: list[Wait] = []
        self.updates: list[Wait] = []
        """From one public agent message to the next."""
        self.customer_at: list[int] = []
        """When the customer wrote, in public."""
        self.agents: set[int] = set()
        """Numbers of the names of human authors."""
        self.channel_switches = 0
        self.solves: list[Moment] = []
        self.reopens: list[Moment] = []
        self.sent: dict[int, Sent] = {}
        """By the number of the survey's name."""
        self.answers: dict[int, Answer] = {}
        self.merge: Moment | None = None
        self.merged_into = ""

    def state_at(self, at: int) -> State:
        """The attributes in force at a time: after the last event up to it."""
        found = self.creation.state
        for moment in self.states:
            if moment.at > at:
                break
            found = moment.state
        return found


def at_of(records: bytes, place: i64) -> i64:
    """When the event at a place of a packed history happened."""
    return read_i64_be(records, place * SIZE)


def row_of(records: bytes, place: i64) -> i64:
    """What else facts read of an event, as one number: kind, code, b and c (``streams.history``), see the next four."""
    return read_i64_be(records, place * SIZE + KIND)


def kind_of(row: i64) -> i64:
    """The event's kind."""
    return row >> 56


def code_of(row: i64) -> i64:
    """Status, author and visibility, or kind of survey."""
    return row >> 48 & 0xFF


def b_of(row: i64) -> i64:
    """The number of a name: customer, channel or score."""
    return row >> 32 & 0xFFFF


def c_of(row: i64) -> i64:
    """The number of a name: attributes, author, survey or ticket."""
    return row & 0xFFFF_FFFF


def first_of(records: bytes, kind: i64) -> i64:
    """The place of the first event of a kind, -1 without one."""
    number: i64 = len(records) // SIZE
    place: i64 = 0
    while place < number:
        if kind_of(row_of(records, place)) == kind:
            return place
        place += 1
    return -1


def tell(records: bytes, before: State, patches: list[Patch], names: list[str], graph: AttributeGraph) -> Story:
    """The story of a ticket whose first event is its creation; ``before`` and ``patches`` are what was set before it.

    ``records``: the packed history (``streams.history``).
    """
    row = row_of(records, 0)
    patch = graph.patch(names[c_of(row) - 1])
    patches.append(patch)
    state = graph.after(before, patch)
    creation = Moment(at_of(records, 0), 0, state)
    story = Story(creation, code_of(row), names[b_of(row) - 1], b_of(row), patches)
    _Pass(story, names, graph).run(records)
    return story


@mypyc_attr(acyclic=True, free_list_len=1)
class _Pass:
    """The pass: what it has to remember between two events."""

    def __init__(self, story: Story, names: list[str], graph: AttributeGraph) -> None:
        self.story = story
        self.names = names
        self.graph = graph
        self.waiting: Wait | None = None
        """For the first or the next reply."""
        self.update: Wait | None = None
        self.remembered = False
        """The customer wrote while the ticket was solved, and nobody answered."""
        self.channel = ""
        """Of the customer's last contact; '' before one."""

    def run(self, records: bytes) -> None:
        story = self.story
        creation = story.creation
        if story.status >= SOLVED:
            story.solves.append(creation)
        elif story.reply_start is not None:
            self.waiting = Wait(creation)
            story.first_waits.append(self.waiting)
        if story.reply_start is not None:
            self.channel = creation.state.channel
        number: i64 = len(records) // SIZE
        place: i64 = 0
        while place < number:
            at = at_of(records, place)
            row = row_of(records, place)
            kind, code, b, c = kind_of(row), code_of(row), b_of(row), c_of(row)
            if kind == MESSAGE:
                if code & INTERNAL:
                    if code & ~INTERNAL == AGENT:
                        story.agents.add(c)
                elif code == AGENT:
                    story.agents.add(c)
                    self._agent(Moment(at, place, story.state))
                elif code == CUSTOMER:
                    self._customer(Moment(at, place, story.state), b)
                elif code == BOT:
                    moment = Moment(at, place, story.state)
                    if story.first_bot is None:
                        story.first_bot = moment
                    if story.first_touch is None:
                        story.first_touch = moment
            elif kind == UPDATED:
                self._updated(at, place, code, b, c)
            elif kind == SURVEY_ANSWERED:
                score, low, high = score_of(self.names[b - 1])
                moment = Moment(at, place, story.state)
                story.answers.pop(c, None)
                story.answers[c] = Answer(moment, self._survey_state(), code, score, low, high)
            elif kind == SURVEY_SENT:
                if c not in story.sent:
                    story.sent[c] = Sent(Moment(at, place, story.state), self._survey_state(), code)
            elif kind == MERGED:
                story.merged_into = self.names[c - 1]
                story.merge = Moment(at, place, story.state)
                self._end(story.merge, BY_MERGE)
                describe(story, records, place + 1, self.names, self.graph)
                return
            place += 1
        story.category = story.state.category

    def _survey_state(self) -> State:
        story = self.story
        return story.solves[-1].state if story.solves else story.state

    def _agent(self, moment: Moment) -> None:
        story = self.story
        story.replies.append(moment)
        if story.first_touch is None:
            story.first_touch = moment
        if story.first_reply is None and story.reply_start is not None:
            story.first_reply = moment
        if story.handoff is not None and story.handoff_reply is None:
            story.handoff_reply = moment
        self.remembered = False
        self._end(moment, BY_REPLY)
        if story.status < SOLVED:
            self.update = Wait(moment)
            story.updates.append(self.update)

    def _customer(self, moment: Moment, channel: i64) -> None:
        story = self.story
        story.customer_at.append(moment.at)
        name = self.names[channel - 1] if channel else story.state.channel
        if self.channel and name != self.channel:
            story.channel_switches += 1
        self.channel = name or self.channel
        if story.reply_start is None:
            story.reply_start = moment
            if story.status < SOLVED:
                self.waiting = Wait(moment)
                story.first_waits.append(self.waiting)
        elif story.first_reply is not None:
            if story.status >= SOLVED:
                self.remembered = True
            elif self.waiting is None:
                self.waiting = Wait(moment)
                story.next_waits.append(self.waiting)

    def _updated(self, at: i64, place: i64, code: i64, customer: i64, patch: i64) -> None:
        story = self.story
        before = story.state
        if patch:
            found = self.graph.patch(self.names[patch - 1])
            story.patches.append(found)
            story.state = self.graph.after(before, found)
        if customer:
            story.customer = self.names[customer - 1]
            story.customer_number = customer
        moment = Moment(at, place, story.state)
        if story.state is not before:
            story.states.append(moment)
            if before.handled_by_bot and story.state.values[1] == "human":
                story.handoff = moment
                story.handoff_reply = None
        if code and code - 1 != story.status:
            self._entered(code - 1, moment)

    def _entered(self, status: int, moment: Moment) -> None:
        story = self.story
        before = story.status
        story.status = status
        story.status_since = moment.at
        story.statuses.append((moment, status))
        if status >= SOLVED:
            if before < SOLVED:
                story.solves.append(moment)
                self._end(moment, BY_SOLVE)
        elif before >= SOLVED:
            story.reopens.append(moment)
            if story.first_reply is None:
                if story.reply_start is not None:
                    story.reply_start = moment
                    self.waiting = Wait(moment)
                    story.first_waits.append(self.waiting)
            elif self.remembered:
                self.remembered = False
                self.waiting = Wait(moment)
                story.next_waits.append(self.waiting)

    def _end(self, moment: Moment, ended_by: str) -> None:
        """End the waits that run."""
        if self.waiting is not None:
            self.waiting.end = moment
            self.waiting.ended_by = ended_by
            self.waiting = None
        if self.update is not None:
            self.update.end = moment
            self.update.ended_by = ended_by
            self.update = None


def describe(story: Story, records: bytes, begin: i64, names: list[str], graph: AttributeGraph) -> None:
    """What a merged ticket is described by in the end: nothing else of it goes on."""
    state = story.state
    for place in range(begin, len(records) // SIZE):
        row = row_of(records, place)
        if kind_of(row) == UPDATED:
            b, c = b_of(row), c_of(row)
            if c:
                patch = graph.patch(names[c - 1])
                story.patches.append(patch)
                state = graph.after(state, patch)
            if b:
                story.customer = names[b - 1]
                story.customer_number = b
    story.category = state.category


def begin(records: bytes, patches: list[Patch], names: list[str], graph: AttributeGraph) -> tuple[bytes, int] | None:
    """Put the creation first; None without one.

    What stands before it in order sets attributes (added to ``patches``); messages and surveys of the creation's own
    instant follow it. Also returns the number of the name of the ticket that a merge before it leads to, 0 without one.
    """
    first = first_of(records, CREATED)
    if first < 0:
        return None
    created_at = at_of(records, first)
    same_instant: list[bytes] = []
    merged_into: i64 = 0
    place: i64 = 0
    while place < first:
        row = row_of(records, place)
        kind = kind_of(row)
        if kind == UPDATED:
            if c_of(row):
                patches.append(graph.patch(names[c_of(row) - 1]))
        elif kind == MERGED:
            merged_into = merged_into or c_of(row)
        elif at_of(records, place) == created_at:
            same_instant.append(records[place * SIZE : (place + 1) * SIZE])
        place += 1
    after = (first + 1) * SIZE
    return b"".join([records[first * SIZE : after], *same_instant, records[after:]]), merged_into
