"""What a ticket contributes to the cells: derived from its facts, and taken back when they change.

A contribution is ``(minute, dimensions, what, value)``: the minute (since 1970) at which it counts, the number of the
combination of dimensions, what is counted and how much. ``what`` is the number of a count or of a duration's sum
(``streams.measures``; a duration also counts in its bucket), or one of the bundles below, which stand for several
counts at once, so that a ticket's contributions stay small. Rules: ``docs/domain.md`` section 5 and
``docs/definitions.md``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from librt.strings import BytesWriter, write_i64_le
from mypy_extensions import i64, u8

from streams.facts import CSAT, NO_STATUS, NPS, Facts, rank_of, share_of
from streams.measures import COUNT_ID, DURATION_ID, SUM_BASE, TARGETS
from streams.sla import MET
from streams.story import BY_REPLY, Answer, Moment

OPEN: Final = 60_000
"""``OPEN + status``: the ticket is in the backlog since ``value`` (created, milliseconds); its minute is 0."""
UNANSWERED: Final = 8
"""Added to the status where the customer waits for a reply."""
RUNNING: Final = 60_100
"""``RUNNING + 3 * target + state``: ``value`` instances of a target run, in a state of ``live.SLA_STATES``."""


class Bundle(NamedTuple):
    """Several counts under one number: the lowest bits of ``value`` say which of them count, the rest is a score."""

    what: int
    counts: tuple[int, ...]
    score: int | None = None


def _bundle(what: int, counts: tuple[str, ...], score: str | None = None) -> Bundle:
    return Bundle(what, tuple(COUNT_ID[name] for name in counts), None if score is None else COUNT_ID[score])


FIRST_SOLVE: Final = _bundle(
    40_000,
    (
        "tickets_solved",
        "one_touch",
        "no_followup",
        "no_reopen",
        "no_repeat",
        "fcr",
        "fcr_final",
        "fcr_final_true",
        "bot_tickets",
        "bot_resolved",
        "bot_resolved_durably",
    ),
)
FAILURE: Final = _bundle(40_004, ("failed_tickets", "recovered_tickets"))
ANSWERS: Final = (
    _bundle(40_001, ("csat_answers", "csat_satisfied"), "csat_score_milli"),
    _bundle(40_002, ("nps_answers", "nps_detractors", "nps_passives", "nps_promoters")),
    _bundle(40_003, ("ces_answers", "ces_easy"), "ces_score_milli"),
)
BUNDLES: Final = (FIRST_SOLVE, FAILURE, *ANSWERS)

PACKED_DTYPE: Final = np.dtype([("minute", "<u4"), ("dimensions", "<u4"), ("what", "<u2"), ("value", "<i8")])
"""A packed contribution, as numpy reads it."""
_MINUTE_MS: Final = 60_000

CREATED: Final = COUNT_ID["created"]
SOLVES: Final = COUNT_ID["solves"]
REOPENS: Final = COUNT_ID["reopens"]
AGENT_REPLIES: Final = COUNT_ID["agent_replies"]
SOLVED_TICKETS: Final = COUNT_ID["solved_tickets"]
STATUS_MS: Final = tuple(COUNT_ID[f"{status}_ms"] for status in ("new", "open", "pending", "on_hold"))
SENT: Final = tuple(COUNT_ID[f"{kind}_sent"] for kind in ("csat", "nps", "ces"))
TARGET_MET: Final = {target: COUNT_ID[f"sla_{target}_met"] for target in TARGETS}
TARGET_BREACHED: Final = {target: COUNT_ID[f"sla_{target}_breached"] for target in TARGETS}

FIRST_TOUCH: Final = SUM_BASE + DURATION_ID["first_touch"]
FIRST_REPLY: Final = SUM_BASE + DURATION_ID["first_reply"]
NEXT_REPLY: Final = SUM_BASE + DURATION_ID["next_reply"]
HANDOFF_REPLY: Final = SUM_BASE + DURATION_ID["handoff_reply"]
FIRST_RESOLUTION: Final = SUM_BASE + DURATION_ID["first_resolution"]
FULL_RESOLUTION: Final = SUM_BASE + DURATION_ID["full_resolution"]
FIRST_REPLY_BUSINESS: Final = SUM_BASE + DURATION_ID["first_reply_business"]
NEXT_REPLY_BUSINESS: Final = SUM_BASE + DURATION_ID["next_reply_business"]
FULL_RESOLUTION_BUSINESS: Final = SUM_BASE + DURATION_ID["full_resolution_business"]


def contributions(facts: Facts, business: bool = False) -> bytes:
    """What a ticket with these facts contributes now, packed (``PACKED_DTYPE``), to be kept with it until that changes.

    In about the order in which it happens: then most of what was contributed before stands at the beginning again, and
    :func:`change` leaves little. ``business``: durations within opening hours are counted, too.
    """
    told = BytesWriter()
    created = facts.created
    if facts.deleted or created is None or facts.status == NO_STATUS:
        return b""
    merged = facts.merged_into is not None
    if not merged:
        _tell(told, created, CREATED, 1)
    if facts.first_touch is not None and facts.first_touch_ms is not None:
        _tell(told, facts.first_touch, FIRST_TOUCH, facts.first_touch_ms)
    if facts.first_reply is not None and facts.first_reply_ms is not None:
        _tell(told, facts.first_reply, FIRST_REPLY, facts.first_reply_ms)
        if business and facts.first_reply_business_ms is not None:
            _tell(told, facts.first_reply, FIRST_REPLY_BUSINESS, facts.first_reply_business_ms)
    for reply in facts.agent_replies:
        _tell(told, reply, AGENT_REPLIES, 1)
    if not merged:
        _of_waits(told, facts, business)
        for solve in facts.solves:
            _tell(told, solve, SOLVES, 1)
        if facts.first_solve is not None and facts.last_solve is not None:
            _of_solves(told, facts, facts.first_solve, facts.last_solve, business)
        for reopening in facts.reopens:
            _tell(told, reopening, REOPENS, 1)
    for _, sent in facts.sent:
        _put(told, sent.moment.at, sent.under.dimensions, SENT[sent.kind], 1)
    for _, answer in facts.answers:
        _of_answer(told, answer)
    if merged:
        return told.getvalue()
    if facts.failures:
        at, state = facts.failures[0]
        _put(told, at, state.dimensions, FAILURE.what, 3 if facts.service_recovery else 1)
    if facts.sla:
        _of_sla(told, facts)
    if facts.open and facts.state is not None:
        flag = UNANSWERED if facts.unanswered else 0
        _put(told, 0, facts.state.dimensions, OPEN + facts.status + flag, created.at)
    return told.getvalue()


def _put(told: BytesWriter, at: i64, dimensions: i64, what: i64, value: i64) -> None:
    """Write one contribution."""
    write_i64_le(told, at // _MINUTE_MS | dimensions << 32)
    told.append(u8(what & 0xFF))
    told.append(u8(what >> 8))
    write_i64_le(told, value)


def _tell(told: BytesWriter, moment: Moment, what: i64, value: i64) -> None:
    _put(told, moment.at, moment.state.dimensions, what, value)


def _of_waits(told: BytesWriter, facts: Facts, business: bool) -> None:
    if facts.handoff_reply is not None and facts.handoff_reply_ms is not None:
        _tell(told, facts.handoff_reply, HANDOFF_REPLY, facts.handoff_reply_ms)
    for wait in facts.next_replies:
        if wait.moment is not None and wait.ended_by == BY_REPLY:
            _tell(told, wait.moment, NEXT_REPLY, wait.moment.at - wait.started_at)
            if business and wait.business_ms is not None:
                _tell(told, wait.moment, NEXT_REPLY_BUSINESS, wait.business_ms)


def _of_solves(told: BytesWriter, facts: Facts, first: Moment, last: Moment, business: bool) -> None:
    final = bool(facts.fcr_final)
    bits = (
        1
        | (2 if facts.one_touch else 0)
        | (4 if facts.no_followup else 0)
        | (8 if facts.no_reopen else 0)
        | (16 if facts.no_repeat else 0)
        | (32 if facts.fcr else 0)
        | (64 if final else 0)
        | (128 if final and facts.fcr else 0)
        | (256 if facts.bot_before_solve else 0)
        | (512 if facts.bot_resolved else 0)
        | (1024 if facts.bot_resolved_durably else 0)
    )
    _tell(told, first, FIRST_SOLVE.what, bits)
    _tell(told, first, FIRST_RESOLUTION, facts.first_resolution_ms or 0)
    _tell(told, last, SOLVED_TICKETS, 1)
    _tell(told, last, FULL_RESOLUTION, facts.full_resolution_ms or 0)
    if business:
        _tell(told, last, FULL_RESOLUTION_BUSINESS, facts.full_resolution_business_ms or 0)
    for status in range(len(STATUS_MS)):
        ms = facts.solved_status_ms[status]
        if ms:
            _tell(told, last, STATUS_MS[status], ms)


def _of_sla(told: BytesWriter, facts: Facts) -> None:
    story = facts.story
    running: dict[int, int] = {}
    for instance in facts.sla:
        state = 0
        if instance.breached_at is not None and story is not None:
            dimensions = story.state_at(instance.breached_at).dimensions
            _put(told, instance.breached_at, dimensions, TARGET_BREACHED[instance.target], 1)
            state = 2
        elif instance.outcome == MET and instance.end is not None:
            _tell(told, instance.end, TARGET_MET[instance.target], 1)
        elif instance.at_risk_raised:
            state = 1
        if instance.ended_at is None:
            what = RUNNING + 3 * instance.rank + state
            running[what] = running.get(what, 0) + 1
    if facts.state is not None:
        for what, number in running.items():
            _put(told, 0, facts.state.dimensions, what, number)


def _of_answer(told: BytesWriter, answer: Answer) -> None:
    rank = rank_of(answer)
    if answer.kind == NPS:
        value = 1 | 2 << rank
    else:
        milli = round(1000 * (1 + (4 if answer.kind == CSAT else 6) * share_of(answer)))
        value = milli << 2 | (3 if rank else 1)
    _put(told, answer.moment.at, answer.under.dimensions, ANSWERS[answer.kind].what, value)


def change(before: bytes, after: bytes) -> tuple[bytes, bytes]:
    """What is withdrawn and what is added between two packed lists: both without their common beginning."""
    if after.startswith(before):
        return b"", after[len(before) :]
    size = PACKED_DTYPE.itemsize
    same = 0
    while before[same : same + size] == after[same : same + size]:
        same += size
    return before[same:], after[same:]
