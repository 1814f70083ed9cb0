"""The facts of one ticket: a pure function of its history, the configuration and the time.

Source of every rule: ``docs/domain.md`` section 3; where it is silent, ``docs/definitions.md``. One pass in history
order finds the moments (who replied when, entries into and departures from solved, answers), each with the attributes
in force; what follows from them is derived after the pass. Times are milliseconds since 1970, durations milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from streams.attributes import AttributeGraph, State
from streams.config import DAY_MS, DomainConfig
from streams.history import (
    AGENT,
    BOT,
    CREATED,
    CUSTOMER,
    DELETED,
    INTERNAL,
    KIND,
    MERGED,
    MESSAGE,
    ROWS,
    SIZE,
    SOLVED,
    SURVEY_ANSWERED,
    SURVEY_SENT,
    UPDATED,
    score_of,
)

Row = tuple[int, int, int, int, int]


NO_STATUS: Final = -1
"""The status of a ticket that was merged before it began."""


Moment: TypeAlias = tuple[int, int]
"""Something that is counted: when, and under which combination of dimensions."""

Answer: TypeAlias = tuple[int, int, int, float, float, float]
"""The answer of one survey that counts: when, dimensions, kind (``history.SURVEY_KINDS``), score, lowest, highest."""


_NO_SURVEYS: Final[Mapping[int, tuple[Moment, int]]] = {}
_NO_ANSWERS: Final[Mapping[int, Answer]] = {}


class Facts:
    """The facts of one ticket at one time; what has not happened is None, 0 or empty.

    What an instance does not set is found on the class: most tickets lack most facts.
    """

    deleted: bool = False
    merged_into: str | None = None
    created: Moment | None = None
    customer: str = ""
    dimensions: int = 0
    """The combination of dimensions in force now."""
    patches: Sequence[str] = ()
    """Everything that set an attribute, in order (``AttributeGraph.attributes``)."""
    status: int = 0
    status_since: int = 0
    status_ms: Sequence[int] = (0, 0, 0, 0)
    """Time in new, open, pending, on_hold until ``as_of``."""
    solved_status_ms: Sequence[int] = (0, 0, 0, 0)
    """The same until the last solve."""
    first_touch: Moment | None = None
    first_reply: Moment | None = None
    first_reply_ms: int | None = None
    agent_replies: Sequence[Moment] = ()
    solves: Sequence[Moment] = ()
    reopens: Sequence[Moment] = ()
    first_solve: Moment | None = None
    last_solve: Moment | None = None
    one_touch: bool | None = None
    no_followup: bool | None = None
    no_reopen: bool | None = None
    fcr: bool | None = None
    fcr_final: bool | None = None
    surveys_sent: Mapping[int, tuple[Moment, int]] = _NO_SURVEYS
    """Survey (number of its name) to when it was sent, and its kind."""
    answers: Mapping[int, Answer] = _NO_ANSWERS
    """Survey (number of its name) to its last answer."""
    changes_at: int | None = None
    """The next time at which these facts change although nothing happens."""

    def __init__(self, as_of: int, last_at: int) -> None:
        self.as_of = as_of
        """The time of the question, or that of the last event when it is later."""
        self.last_at = last_at

    @property
    def open(self) -> bool:
        """Whether the ticket is in the backlog."""
        return self.created is not None and not self.deleted and self.merged_into is None and self.status < SOLVED


def facts(records: bytes | bytearray, names: list[str], now: int, graph: AttributeGraph, config: DomainConfig) -> Facts:
    """The facts at ``now`` (or at the last event where that is later) of a packed history."""
    rows: list[Row] = list(ROWS(records))
    last_at = rows[-1][0]
    found = Facts(max(now, last_at), last_at)
    if DELETED in records[KIND::SIZE]:
        found.deleted = True
        return found
    state = graph.root
    patches: list[str] = []
    if rows[0][1] != CREATED:
        begun = _begin(rows, patches, names)
        if begun is None:
            return found
        rows, merged = begun
        for patch in patches:
            state = graph.after(state, patch)
        if merged is not None:
            _set_creation(found, rows[0], state, patches, names, graph)
            _describe_later(found, rows[1:], patches, names)
            found.merged_into = names[merged[4] - 1]
            found.status = NO_STATUS
            return found
    state = _set_creation(found, rows[0], state, patches, names, graph)
    _pass(found, rows, state, patches, names, graph, config)
    return found


def _begin(rows: list[Row], patches: list[str], names: list[str]) -> tuple[list[Row], Row | None] | None:
    """Put the creation first; None without one.

    What stands before it in order sets attributes (added to ``patches``); messages and surveys of the creation's own
    instant follow it. Also returns a merge that stands before it.
    """
    first = next((place for place, row in enumerate(rows) if row[1] == CREATED), None)
    if first is None:
        return None
    creation = rows[first]
    same_instant: list[Row] = []
    merged: Row | None = None
    for row in rows[:first]:
        if row[1] == UPDATED:
            if row[4]:
                patches.append(names[row[4] - 1])
        elif row[1] == MERGED:
            merged = merged or row
        elif row[0] == creation[0]:
            same_instant.append(row)
    return [creation, *same_instant, *rows[first + 1 :]], merged


def _describe_later(found: Facts, rows: list[Row], patches: list[str], names: list[str]) -> None:
    """What a merged ticket is described by in the end: nothing else of it goes on."""
    for _, kind, _, b, c in rows:
        if kind == UPDATED:
            if c:
                patches.append(names[c - 1])
            if b:
                found.customer = names[b - 1]


def _set_creation(
    found: Facts, row: Row, before: State, patches: list[str], names: list[str], graph: AttributeGraph
) -> State:
    at, _, status, customer, patch = row
    patches.append(names[patch - 1])
    state = graph.after(before, names[patch - 1])
    found.created = (at, state.dimensions)
    found.customer = names[customer - 1]
    found.dimensions = state.dimensions
    found.patches = patches
    found.status = status
    found.status_since = at
    return state


def _pass(
    found: Facts,
    rows: list[Row],
    state: State,
    patches: list[str],
    names: list[str],
    graph: AttributeGraph,
    config: DomainConfig,
) -> None:
    created = rows[0][0]
    dimensions = state.dimensions
    status = found.status
    since = entered = created
    status_ms = [0, 0, 0, 0]
    reply_start: int | None = created if state.started_by_customer else None
    first_touch: Moment | None = None
    replied = False
    replies: list[Moment] = []
    solves: list[Moment] = []
    reopens: list[Moment] = []
    sent: dict[int, tuple[Moment, int]] = {}
    answers: dict[int, Answer] = {}
    solve_dimensions: int | None = None
    fcr_until = 0
    touches = followups = early_reopens = 0
    end = found.as_of
    if status >= SOLVED:
        solves.append((created, dimensions))
        solve_dimensions = dimensions
        fcr_until = created + config.fcr_days * DAY_MS

    for place, (at, kind, code, b, c) in enumerate(rows):
        if kind == MESSAGE:
            if code & INTERNAL:
                continue
            if code == AGENT:
                moment = (at, dimensions)
                replies.append(moment)
                if first_touch is None:
                    first_touch = moment
                if not replied and reply_start is not None:
                    replied = True
                    found.first_reply = moment
                    found.first_reply_ms = at - reply_start
                if not fcr_until or at <= fcr_until:
                    touches += 1
            elif code == CUSTOMER:
                if reply_start is None:
                    reply_start = at
                if at > created and (not fcr_until or at <= fcr_until):
                    followups += 1
            elif code == BOT and first_touch is None:
                first_touch = (at, dimensions)
        elif kind == UPDATED:
            if c:
                patch = names[c - 1]
                patches.append(patch)
                state = graph.after(state, patch)
                dimensions = state.dimensions
            if b:
                found.customer = names[b - 1]
            if code and code - 1 != status:
                if status < SOLVED:
                    status_ms[status] += at - since
                since = entered = at
                before, status = status, code - 1
                if status >= SOLVED:
                    if before < SOLVED:
                        solves.append((at, dimensions))
                        solve_dimensions = dimensions
                        found.solved_status_ms = status_ms.copy()
                        if not fcr_until:
                            fcr_until = at + config.fcr_days * DAY_MS
                elif before >= SOLVED:
                    reopens.append((at, dimensions))
                    if at <= fcr_until:
                        early_reopens += 1
                    if not replied and reply_start is not None:
                        reply_start = at
        elif kind == SURVEY_ANSWERED:
            score, low, high = score_of(names[b - 1])
            under = dimensions if solve_dimensions is None else solve_dimensions
            answers[c] = (at, under, code, score, low, high)
        elif kind == SURVEY_SENT:
            if c not in sent:
                under = dimensions if solve_dimensions is None else solve_dimensions
                sent[c] = ((at, under), code)
        elif kind == MERGED:
            found.merged_into = names[c - 1]
            end = at
            _describe_later(found, rows[place + 1 :], patches, names)
            break

    if status < SOLVED:
        status_ms[status] += end - since
    found.status_ms = status_ms
    found.first_touch = first_touch
    found.agent_replies = replies
    found.surveys_sent = sent
    found.answers = answers
    found.dimensions = dimensions
    found.status = status
    found.status_since = entered
    if solves:
        found.solves = solves
        found.reopens = reopens
        found.first_solve = solves[0]
        found.last_solve = solves[-1]
        found.one_touch = touches <= 1
        found.no_followup = not followups
        found.no_reopen = not early_reopens
        parts = {"one_touch": found.one_touch, "no_followup": found.no_followup, "no_reopen": found.no_reopen}
        found.fcr = all(parts[name] for name in config.fcr_parts)
        found.fcr_final = not found.fcr or found.as_of > fcr_until
        if not found.fcr_final:
            found.changes_at = fcr_until + 1
