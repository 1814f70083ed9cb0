"""Facts and cells as the records that are published (``schemas/outputs.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias, TypedDict

import msgspec

from schemas.outputs import NextReply, SurveyAnswer, TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.facts import NO_STATUS, Facts
from streams.facts import NextReply as Wait
from streams.history import STATUSES, SURVEY_KINDS

encode: Final = msgspec.json.Encoder().encode

Cells: TypeAlias = dict[str, int]
"""A cell's measures by name, as ``schemas.outputs.Cell`` has them."""


class Output(TypedDict):
    """A record to publish, as ``Producer.produce_batch`` takes it; a value of None is a tombstone."""

    key: bytes
    value: bytes | None


def ticket_facts(ticket_id: str, facts: Facts, names: list[str], events: int, graph: AttributeGraph) -> TicketFacts:
    """The published facts of one ticket."""
    record = TicketFacts(ticket_id=ticket_id, as_of_ms=facts.as_of, events=events)
    if facts.deleted:
        record.deleted = True
        return record
    if facts.created is None:
        return record
    record.created_at_ms = facts.created.at
    record.customer_id = facts.customer
    record.merged_into = facts.merged_into
    for name, value in graph.attributes(facts.patches).items():
        setattr(record, name, value)
    if facts.status == NO_STATUS:
        return record
    record.status = STATUSES[facts.status]
    record.status_since_ms = facts.status_since
    record.policy = facts.policy
    _put_messages(record, facts)
    _put_times(record, facts)
    if facts.first_solve is not None and facts.last_solve is not None:
        _put_solves(record, facts, facts.first_solve.at, facts.last_solve.at)
    record.service_recovery = facts.service_recovery
    if facts.sent:
        sent: dict[str, int] = {}
        for _, one in facts.sent:
            kind = SURVEY_KINDS[one.kind]
            sent[kind] = sent.get(kind, 0) + 1
        record.surveys_sent = sent
    if facts.answers:
        record.answers = [
            SurveyAnswer(
                survey_id=names[survey - 1],
                kind=SURVEY_KINDS[answer.kind],
                score=answer.score,
                scale_min=answer.low,
                scale_max=answer.high,
                answered_at_ms=answer.moment.at,
            )
            for survey, answer in facts.answers
        ]
    return record


def _put_messages(record: TicketFacts, facts: Facts) -> None:
    ms = facts.first_touch_ms
    if ms is not None:
        record.first_touch_seconds = ms / 1000
        record.first_touch_business_seconds = _other(facts.first_touch_business_ms, ms)
    ms = facts.first_reply_ms
    if ms is not None and facts.first_reply is not None:
        record.first_reply_at_ms = facts.first_reply.at
        record.first_reply_seconds = ms / 1000
        record.first_reply_business_seconds = _other(facts.first_reply_business_ms, ms)
    ms = facts.handoff_reply_ms
    if ms is not None:
        record.handoff_reply_seconds = ms / 1000
        record.handoff_reply_business_seconds = _other(facts.handoff_reply_business_ms, ms)
    if facts.next_replies:
        record.next_replies = [_next_reply(wait) for wait in facts.next_replies]
    record.agent_replies = len(facts.agent_replies)
    record.customer_messages = facts.customer_messages
    record.agents = facts.agents
    record.channel_switches = facts.channel_switches
    record.unanswered = facts.unanswered
    record.handled_by = facts.handled_by


def _next_reply(wait: Wait) -> NextReply:
    if wait.ended_at is None:
        return NextReply(wait.started_at)
    ms = wait.ended_at - wait.started_at
    return NextReply(wait.started_at, wait.ended_at, ms / 1000, _other(wait.business_ms, ms), wait.ended_by)


def _put_times(record: TicketFacts, facts: Facts) -> None:
    new, opened, _, on_hold = facts.status_ms
    record.status_seconds = _by_status(facts.status_ms)
    record.requester_wait_seconds = (new + opened + on_hold) / 1000
    record.agent_work_seconds = (new + opened) / 1000
    if facts.status_business_ms != facts.status_ms:
        business_new, business_opened, _, business_on_hold = facts.status_business_ms
        record.status_business_seconds = _by_status(facts.status_business_ms)
        work = business_new + business_opened
        record.requester_wait_business_seconds = _other(work + business_on_hold, new + opened + on_hold)
        record.agent_work_business_seconds = _other(work, new + opened)


def _put_solves(record: TicketFacts, facts: Facts, first: int, last: int) -> None:
    record.first_solved_at_ms = first
    record.last_solved_at_ms = last
    ms = facts.first_resolution_ms or 0
    record.first_resolution_seconds = ms / 1000
    record.first_resolution_business_seconds = _other(facts.first_resolution_business_ms, ms)
    ms = facts.full_resolution_ms or 0
    record.full_resolution_seconds = ms / 1000
    record.full_resolution_business_seconds = _other(facts.full_resolution_business_ms, ms)
    record.solves = len(facts.solves)
    record.reopens = len(facts.reopens)
    record.one_touch = facts.one_touch
    record.no_followup = facts.no_followup
    record.no_reopen = facts.no_reopen
    record.no_repeat = facts.no_repeat
    record.fcr = facts.fcr
    record.fcr_final = facts.fcr_final
    record.bot_resolved = facts.bot_resolved
    record.bot_resolved_durably = facts.bot_resolved_durably


def _other(business_ms: int | None, ms: int) -> float | None:
    """Business time in seconds; None where it is not other than the elapsed time."""
    return None if business_ms is None or business_ms == ms else business_ms / 1000


def _by_status(status_ms: Sequence[int]) -> dict[str, float]:
    return {STATUSES[status]: ms / 1000 for status, ms in enumerate(status_ms) if ms}


class CellRecords:
    """Makes the records of cells; what all cells of one combination of dimensions share is encoded once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._shared: dict[int, tuple[bytes, msgspec.Raw]] = {}

    def record(self, resolution: str, pane_at_ms: int, as_of_ms: int, number: int, cell: Cells) -> Output:
        """The record of one cell, whole; ``cell`` holds measures and amounts that are not zero."""
        shared = self._shared.get(number)
        if shared is None:
            named = self._dimensions.named(number)
            shared = self._shared[number] = encode(list(named.values())), msgspec.Raw(encode(named))
        value = encode(
            {
                "resolution": resolution,
                "pane_at_ms": pane_at_ms,
                "as_of_ms": as_of_ms,
                "dimensions": shared[1],
                "measures": cell,
            }
        )
        return {"key": b"%s|%d|%s" % (resolution.encode(), pane_at_ms, shared[0]), "value": value}
