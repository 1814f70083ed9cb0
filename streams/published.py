"""Facts and cells as the records that are published (``schemas/outputs.py``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from schemas.outputs import NextReply, SurveyAnswer, TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.facts import NO_STATUS, Facts
from streams.facts import NextReply as Wait
from streams.history import STATUSES, SURVEY_KINDS

_encoder: Final = msgspec.json.Encoder()
encode: Final = _encoder.encode
_encode_into: Final = _encoder.encode_into

Cells: TypeAlias = dict[str, int]
"""A cell's measures by name, as ``schemas.outputs.Cell`` has them."""


Output: TypeAlias = tuple[bytes, bytes | None]
"""A record to publish: key and value; a value of None is a tombstone."""


def ticket_facts(ticket_id: str, facts: Facts, names: list[str], events: int, graph: AttributeGraph) -> TicketFacts:
    """The published facts of one ticket."""
    if facts.deleted:
        return TicketFacts(ticket_id=ticket_id, as_of_ms=facts.as_of, events=events, deleted=True)
    if facts.created is None:
        return TicketFacts(ticket_id=ticket_id, as_of_ms=facts.as_of, events=events)
    values = graph.attributes(facts.patches)
    if facts.status == NO_STATUS:
        record = TicketFacts(ticket_id=ticket_id, as_of_ms=facts.as_of, events=events)
        record.created_at_ms = facts.created.at
        record.customer_id = facts.customer
        record.merged_into = facts.merged_into
        for name, value in values.items():
            setattr(record, name, value)
        return record
    new, opened, _, on_hold = facts.status_ms
    # All at once and in the order of the fields: to set one after the other took three times as long.
    record = TicketFacts(
        ticket_id=ticket_id,
        as_of_ms=facts.as_of,
        events=events,
        merged_into=facts.merged_into,
        created_at_ms=facts.created.at,
        customer_id=facts.customer,
        status=STATUSES[facts.status],
        status_since_ms=facts.status_since,
        channel=values.get("channel", ""),
        priority=values.get("priority", ""),
        team=values.get("team", ""),
        category=values.get("category", ""),
        agent_id=values.get("agent_id", ""),
        region=values.get("region", ""),
        language=values.get("language", ""),
        tier=values.get("tier", ""),
        journey_stage=values.get("journey_stage", ""),
        origin=values.get("origin", ""),
        handler=values.get("handler", ""),
        first_touch_seconds=_seconds(facts.first_touch_ms),
        first_touch_business_seconds=_other(facts.first_touch_business_ms, facts.first_touch_ms),
        first_reply_at_ms=None if facts.first_reply is None else facts.first_reply.at,
        first_reply_seconds=_seconds(facts.first_reply_ms),
        first_reply_business_seconds=_other(facts.first_reply_business_ms, facts.first_reply_ms),
        handoff_reply_seconds=_seconds(facts.handoff_reply_ms),
        handoff_reply_business_seconds=_other(facts.handoff_reply_business_ms, facts.handoff_reply_ms),
        next_replies=[_next_reply(wait) for wait in facts.next_replies] if facts.next_replies else None,
        first_solved_at_ms=None if facts.first_solve is None else facts.first_solve.at,
        first_resolution_seconds=_seconds(facts.first_resolution_ms),
        first_resolution_business_seconds=_other(facts.first_resolution_business_ms, facts.first_resolution_ms),
        last_solved_at_ms=None if facts.last_solve is None else facts.last_solve.at,
        full_resolution_seconds=_seconds(facts.full_resolution_ms),
        full_resolution_business_seconds=_other(facts.full_resolution_business_ms, facts.full_resolution_ms),
        solves=len(facts.solves),
        reopens=len(facts.reopens),
        agent_replies=len(facts.agent_replies),
        customer_messages=facts.customer_messages,
        agents=facts.agents,
        channel_switches=facts.channel_switches,
        status_seconds=_by_status(facts.status_ms),
        requester_wait_seconds=(new + opened + on_hold) / 1000,
        agent_work_seconds=(new + opened) / 1000,
        unanswered=facts.unanswered,
        policy=facts.policy,
        one_touch=facts.one_touch,
        no_followup=facts.no_followup,
        no_reopen=facts.no_reopen,
        no_repeat=facts.no_repeat,
        fcr=facts.fcr,
        fcr_final=facts.fcr_final,
        handled_by=facts.handled_by,
        bot_resolved=facts.bot_resolved,
        bot_resolved_durably=facts.bot_resolved_durably,
        service_recovery=facts.service_recovery,
    )
    if facts.status_business_ms != facts.status_ms:
        _put_business_times(record, facts, new + opened, new + opened + on_hold)
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


def _next_reply(wait: Wait) -> NextReply:
    if wait.ended_at is None:
        return NextReply(wait.started_at)
    ms = wait.ended_at - wait.started_at
    return NextReply(wait.started_at, wait.ended_at, ms / 1000, _other(wait.business_ms, ms), wait.ended_by)


def _put_business_times(record: TicketFacts, facts: Facts, work_ms: int, wait_ms: int) -> None:
    new, opened, _, on_hold = facts.status_business_ms
    record.status_business_seconds = _by_status(facts.status_business_ms)
    record.requester_wait_business_seconds = _other(new + opened + on_hold, wait_ms)
    record.agent_work_business_seconds = _other(new + opened, work_ms)


def _seconds(ms: int | None) -> float | None:
    return None if ms is None else ms / 1000


def _other(business_ms: int | None, ms: int | None) -> float | None:
    """Business time in seconds; None where it is not other than the elapsed time."""
    return None if business_ms is None or business_ms == ms else business_ms / 1000


def _by_status(status_ms: Sequence[int]) -> dict[str, float]:
    return {STATUSES[status]: ms / 1000 for status, ms in enumerate(status_ms) if ms}


class Encoding:
    """As ``encode``, for many records of about the same size: in memory that is used again. Not for several threads.

    To grow memory for each record of a cut anew took a twentieth of its time.
    """

    def __init__(self) -> None:
        self._memory = bytearray()

    def encode(self, told: object) -> bytes:
        """The JSON of one record."""
        _encode_into(told, self._memory)
        return bytes(self._memory)


class CellRecords:
    """Makes the records of cells; what all cells of one combination of dimensions share is encoded once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._encoding = Encoding()
        self._shared: dict[int, tuple[bytes, msgspec.Raw]] = {}

    def let_go(self) -> None:
        """Drop what was encoded once; it is encoded again."""
        self._shared.clear()

    def record(self, resolution: str, pane_at_ms: int, as_of_ms: int, number: int, cell: Cells) -> Output:
        """The record of one cell, whole; ``cell`` holds measures and amounts that are not zero."""
        shared = self._shared.get(number)
        if shared is None:
            named = self._dimensions.named(number)
            shared = self._shared[number] = encode(list(named.values())), msgspec.Raw(encode(named))
        value = self._encoding.encode(
            {
                "resolution": resolution,
                "pane_at_ms": pane_at_ms,
                "as_of_ms": as_of_ms,
                "dimensions": shared[1],
                "measures": cell,
            }
        )
        return b"%s|%d|%s" % (resolution.encode(), pane_at_ms, shared[0]), value
