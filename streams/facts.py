"""The facts of one ticket: a pure function of its history, the configuration and the time.

Source of every rule: ``docs/domain.md`` section 3; where it is silent, ``docs/definitions.md``. One pass in history
order finds the moments (who replied when, entries into and departures from solved, answers), each with the attributes
in force; what follows from them is derived after the pass. Times are milliseconds since 1970, durations milliseconds.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from streams.attributes import AttributeGraph, Attributes
from streams.config import DAY_MS, DomainConfig
from streams.history import (
    AGENT,
    BOT,
    CREATED,
    CUSTOMER,
    DELETED,
    INTERNAL,
    MERGED,
    MESSAGE,
    ROWS,
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


class Facts:
    """The facts of one ticket at one time; what has not happened is None."""

    __slots__ = (
        "agent_replies",
        "answers",
        "as_of",
        "attributes",
        "changes_at",
        "created",
        "customer",
        "deleted",
        "fcr",
        "fcr_final",
        "first_reply",
        "first_reply_ms",
        "first_solve",
        "first_touch",
        "last_at",
        "last_solve",
        "merged_into",
        "no_followup",
        "no_reopen",
        "one_touch",
        "reopens",
        "solved_status_ms",
        "solves",
        "status",
        "status_ms",
        "status_since",
        "surveys_sent",
    )

    def __init__(self, as_of: int, last_at: int) -> None:
        self.as_of = as_of
        """The time of the question, or that of the last event when it is later."""
        self.last_at = last_at
        self.deleted = False
        self.merged_into: str | None = None
        self.created: Moment | None = None
        self.customer = ""
        self.attributes: Attributes | None = None
        self.status = 0
        self.status_since = 0
        self.status_ms: list[int] = [0, 0, 0, 0]
        """Time in new, open, pending, on_hold until ``as_of``."""
        self.solved_status_ms: list[int] = [0, 0, 0, 0]
        """The same until the last solve."""
        self.first_touch: Moment | None = None
        self.first_reply: Moment | None = None
        self.first_reply_ms: int | None = None
        self.agent_replies: list[Moment] = []
        self.solves: list[Moment] = []
        self.reopens: list[Moment] = []
        self.first_solve: Moment | None = None
        self.last_solve: Moment | None = None
        self.one_touch: bool | None = None
        self.no_followup: bool | None = None
        self.no_reopen: bool | None = None
        self.fcr: bool | None = None
        self.fcr_final: bool | None = None
        self.surveys_sent: dict[int, tuple[Moment, int]] = {}
        """Survey (number of its name) to when it was sent, and its kind."""
        self.answers: dict[int, Answer] = {}
        """Survey (number of its name) to its last answer."""
        self.changes_at: int | None = None
        """The next time at which these facts change although nothing happens."""

    @property
    def open(self) -> bool:
        """Whether the ticket is in the backlog."""
        return self.created is not None and not self.deleted and self.merged_into is None and self.status < SOLVED


def facts(records: bytes | bytearray, names: list[str], now: int, graph: AttributeGraph, config: DomainConfig) -> Facts:
    """The facts at ``now`` (or at the last event where that is later) of a packed history."""
    rows: list[Row] = list(ROWS(records))
    last_at = rows[-1][0]
    found = Facts(max(now, last_at), last_at)
    if DELETED in [row[1] for row in rows]:
        found.deleted = True
        return found
    attributes = graph.root
    if rows[0][1] != CREATED:
        begun = _begin(rows, attributes, names)
        if begun is None:
            return found
        rows, attributes, merged = begun
        if merged is not None:
            attributes = attributes.after(names[rows[0][4] - 1])
            _set_creation(found, rows[0], attributes, names)
            found.attributes = _described_later(found, rows[1:], attributes, names)
            found.merged_into = names[merged[4] - 1]
            found.status = NO_STATUS
            return found
    attributes = attributes.after(names[rows[0][4] - 1])
    _set_creation(found, rows[0], attributes, names)
    _pass(found, rows, attributes, names, config)
    return found


def _begin(
    rows: list[Row], attributes: Attributes, names: list[str]
) -> tuple[list[Row], Attributes, Row | None] | None:
    """Put the creation first; None without one.

    What stands before it in order sets attributes; messages and surveys of the creation's own instant follow it. Also
    returns a merge that stands before it.
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
                attributes = attributes.after(names[row[4] - 1])
        elif row[1] == MERGED:
            merged = merged or row
        elif row[0] == creation[0]:
            same_instant.append(row)
    return [creation, *same_instant, *rows[first + 1 :]], attributes, merged


def _described_later(found: Facts, rows: list[Row], attributes: Attributes, names: list[str]) -> Attributes:
    """What a merged ticket is described by in the end: nothing else of it goes on."""
    for _, kind, _, b, c in rows:
        if kind == UPDATED:
            if c:
                attributes = attributes.after(names[c - 1])
            if b:
                found.customer = names[b - 1]
    return attributes


def _set_creation(found: Facts, row: Row, attributes: Attributes, names: list[str]) -> None:
    at, _, status, customer, _ = row
    found.created = (at, attributes.dimensions)
    found.customer = names[customer - 1]
    found.attributes = attributes
    found.status = status
    found.status_since = at


def _pass(found: Facts, rows: list[Row], attributes: Attributes, names: list[str], config: DomainConfig) -> None:
    created = rows[0][0]
    dimensions = attributes.dimensions
    status = found.status
    since = entered = created
    status_ms = found.status_ms
    reply_start: int | None = created if attributes.started_by_customer else None
    replies: list[Moment] = found.agent_replies
    solves: list[Moment] = found.solves
    reopens: list[Moment] = found.reopens
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
                if found.first_touch is None:
                    found.first_touch = moment
                if found.first_reply is None and reply_start is not None:
                    found.first_reply = moment
                    found.first_reply_ms = at - reply_start
                if not fcr_until or at <= fcr_until:
                    touches += 1
            elif code == CUSTOMER:
                if reply_start is None:
                    reply_start = at
                if at > created and (not fcr_until or at <= fcr_until):
                    followups += 1
            elif code == BOT and found.first_touch is None:
                found.first_touch = (at, dimensions)
        elif kind == UPDATED:
            if c:
                attributes = attributes.after(names[c - 1])
                dimensions = attributes.dimensions
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
                    if found.first_reply is None and reply_start is not None:
                        reply_start = at
        elif kind == SURVEY_ANSWERED:
            score, low, high = score_of(names[b - 1])
            under = dimensions if solve_dimensions is None else solve_dimensions
            found.answers[c] = (at, under, code, score, low, high)
        elif kind == SURVEY_SENT:
            if c not in found.surveys_sent:
                under = dimensions if solve_dimensions is None else solve_dimensions
                found.surveys_sent[c] = ((at, under), code)
        elif kind == MERGED:
            found.merged_into = names[c - 1]
            end = at
            attributes = _described_later(found, rows[place + 1 :], attributes, names)
            break

    if status < SOLVED:
        status_ms[status] += end - since
    found.attributes = attributes
    found.status = status
    found.status_since = entered
    if solves:
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
