"""What a ticket contributes to the cells: derived from its facts, and taken back when they change.

A contribution is ``(minute, dimensions, what, value)``: the minute (since 1970) at which it counts, the number of the
combination of dimensions, what is counted and how much. ``what`` is the number of a count or of a duration's sum
(``streams.measures``; a duration also counts in its bucket), or one of the bundles below, which stand for several
counts at once, so that a ticket's contributions stay small. Rules: ``docs/domain.md`` section 5 and
``docs/definitions.md``.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from streams.facts import Answer, Facts, Moment
from streams.measures import COUNT_ID, DURATION_ID, SUM_BASE

Contribution: TypeAlias = tuple[int, int, int, int]
"""Minute, dimensions, what, value."""

OPEN: Final = 60_000
"""``OPEN + status``: the ticket is in the backlog since ``value`` (created, milliseconds); its minute is 0."""


class Bundle(NamedTuple):
    """Several counts under one number: the lowest bits of ``value`` say which of them count, the rest is a score."""

    what: int
    counts: tuple[int, ...]
    score: int | None = None


def _bundle(what: int, counts: tuple[str, ...], score: str | None = None) -> Bundle:
    return Bundle(what, tuple(COUNT_ID[name] for name in counts), None if score is None else COUNT_ID[score])


FIRST_SOLVE: Final = _bundle(
    40_000,
    ("tickets_solved", "one_touch", "no_followup", "no_reopen", "fcr", "fcr_final", "fcr_final_true"),
)
ANSWERS: Final = (
    _bundle(40_001, ("csat_answers", "csat_satisfied"), "csat_score_milli"),
    _bundle(40_002, ("nps_answers", "nps_detractors", "nps_passives", "nps_promoters")),
    _bundle(40_003, ("ces_answers", "ces_easy"), "ces_score_milli"),
)
BUNDLES: Final = (FIRST_SOLVE, *ANSWERS)

PACKED_DTYPE: Final = np.dtype([("minute", "<u4"), ("dimensions", "<u4"), ("what", "<u2"), ("value", "<i8")])
"""A packed contribution, as numpy reads it."""
_PACKERS: Final = [Struct("<" + "IIHq" * number) for number in range(65)]
_MINUTE_MS: Final = 60_000

CREATED: Final = COUNT_ID["created"]
SOLVES: Final = COUNT_ID["solves"]
REOPENS: Final = COUNT_ID["reopens"]
AGENT_REPLIES: Final = COUNT_ID["agent_replies"]
FIRST_TOUCH: Final = SUM_BASE + DURATION_ID["first_touch"]
FIRST_REPLY: Final = SUM_BASE + DURATION_ID["first_reply"]
FIRST_RESOLUTION: Final = SUM_BASE + DURATION_ID["first_resolution"]
FULL_RESOLUTION: Final = SUM_BASE + DURATION_ID["full_resolution"]
STATUS_MS: Final = tuple(COUNT_ID[f"{status}_ms"] for status in ("new", "open", "pending", "on_hold"))
SENT: Final = tuple(COUNT_ID[f"{kind}_sent"] for kind in ("csat", "nps", "ces"))

SOLVED_TICKETS: Final = COUNT_ID["solved_tickets"]

_ALMOST: Final = 1e-9
"""Scores are compared with this tolerance: (5 - 1) / (7 - 1) is not less than 2 / 3."""


def contributions(facts: Facts) -> list[int]:
    """What a ticket with these facts contributes now: the four numbers of one contribution after those of the other.

    In about the order in which it happens: then most of what was contributed before stands at the beginning again, and
    :func:`change` leaves little.
    """
    told: list[int] = []
    created = facts.created
    if facts.deleted or created is None:
        return told
    begun, here = created
    merged = facts.merged_into is not None
    if not merged:
        told += (begun // _MINUTE_MS, here, CREATED, 1)
    if facts.first_touch is not None:
        at, dimensions = facts.first_touch
        told += (at // _MINUTE_MS, dimensions, FIRST_TOUCH, at - begun)
    if facts.first_reply is not None and facts.first_reply_ms is not None:
        at, dimensions = facts.first_reply
        told += (at // _MINUTE_MS, dimensions, FIRST_REPLY, facts.first_reply_ms)
    for at, dimensions in facts.agent_replies:
        told += (at // _MINUTE_MS, dimensions, AGENT_REPLIES, 1)
    if not merged:
        for at, dimensions in facts.solves:
            told += (at // _MINUTE_MS, dimensions, SOLVES, 1)
        if facts.first_solve is not None and facts.last_solve is not None:
            _of_solves(told, facts, begun, facts.first_solve, facts.last_solve)
        for at, dimensions in facts.reopens:
            told += (at // _MINUTE_MS, dimensions, REOPENS, 1)
    for (at, dimensions), kind in facts.surveys_sent.values():
        told += (at // _MINUTE_MS, dimensions, SENT[kind], 1)
    for answer in facts.answers.values():
        told += _of_answer(answer)
    if facts.open:
        told += (0, facts.dimensions, OPEN + facts.status, begun)
    return told


def _of_solves(told: list[int], facts: Facts, created: int, first: Moment, last: Moment) -> None:
    at, dimensions = first
    minute = at // _MINUTE_MS
    final = bool(facts.fcr_final)
    bits = (
        1
        | (2 if facts.one_touch else 0)
        | (4 if facts.no_followup else 0)
        | (8 if facts.no_reopen else 0)
        | (16 if facts.fcr else 0)
        | (32 if final else 0)
        | (64 if final and facts.fcr else 0)
    )
    told += (minute, dimensions, FIRST_SOLVE.what, bits)
    told += (minute, dimensions, FIRST_RESOLUTION, at - created)
    at, dimensions = last
    minute = at // _MINUTE_MS
    told += (minute, dimensions, SOLVED_TICKETS, 1)
    told += (minute, dimensions, FULL_RESOLUTION, at - created)
    for measure, ms in zip(STATUS_MS, facts.solved_status_ms, strict=True):
        if ms:
            told += (minute, dimensions, measure, ms)


def _of_answer(answer: Answer) -> Contribution:
    at, dimensions, kind, score, low, high = answer
    share = (score - low) / (high - low)
    what = ANSWERS[kind].what
    if kind == 0:
        satisfied = share >= 0.75 - _ALMOST
        return at // _MINUTE_MS, dimensions, what, round(1000 * (1 + 4 * share)) << 2 | (3 if satisfied else 1)
    if kind == 1:
        rank = int(share >= 0.7 - _ALMOST) + int(share >= 0.9 - _ALMOST)
        return at // _MINUTE_MS, dimensions, what, 1 | 2 << rank
    easy = share >= 2 / 3 - _ALMOST
    return at // _MINUTE_MS, dimensions, what, round(1000 * (1 + 6 * share)) << 2 | (3 if easy else 1)


def pack(told: list[int]) -> bytes:
    """Contributions as bytes (``PACKED_DTYPE``), to be kept with the ticket until they change."""
    number = len(told) // 4
    packer = _PACKERS[number] if number < len(_PACKERS) else Struct("<" + "IIHq" * number)
    return packer.pack(*told)


def change(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """What is withdrawn and what is added between two packed lists: both without their common beginning."""
    if after.startswith(before):
        return b"", after[len(before) :]
    size = PACKED_DTYPE.itemsize
    same = 0
    while before[same : same + size] == after[same : same + size]:
        same += size
    return before[same:], after[same:]
