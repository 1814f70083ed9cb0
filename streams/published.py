"""Facts and cells as the records that are published (``schemas/outputs.py``)."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.outputs import ATTRIBUTES, Cell, SurveyAnswer, TicketFacts
from streams.attributes import Dimensions
from streams.facts import NO_STATUS, Facts
from streams.history import STATUSES, SURVEY_KINDS
from streams.measures import NAME_OF

_PLACE: Final = {name: ATTRIBUTES.index(name) for name in ATTRIBUTES}
encode: Final = msgspec.json.Encoder().encode


def ticket_facts(ticket_id: str, facts: Facts, names: list[str], events: int) -> TicketFacts:
    """The published facts of one ticket."""
    record = TicketFacts(ticket_id=ticket_id, as_of_ms=facts.as_of, events=events)
    if facts.deleted:
        record.deleted = True
        return record
    if facts.created is None or facts.attributes is None:
        return record
    begun = facts.created[0]
    record.created_at_ms = begun
    record.customer_id = facts.customer
    record.merged_into = facts.merged_into
    if facts.status != NO_STATUS:
        record.status = STATUSES[facts.status]
        record.status_since_ms = facts.status_since
    (
        record.channel,
        record.priority,
        record.team,
        record.category,
        record.agent_id,
        record.region,
        record.language,
        record.tier,
        record.journey_stage,
        record.origin,
        record.handler,
    ) = facts.attributes.values
    if facts.first_touch is not None:
        record.first_touch_seconds = (facts.first_touch[0] - begun) / 1000
    if facts.first_reply is not None and facts.first_reply_ms is not None:
        record.first_reply_at_ms = facts.first_reply[0]
        record.first_reply_seconds = facts.first_reply_ms / 1000
    record.agent_replies = len(facts.agent_replies)
    record.status_seconds = {STATUSES[status]: ms / 1000 for status, ms in enumerate(facts.status_ms) if ms}
    if facts.first_solve is not None and facts.last_solve is not None:
        record.first_solved_at_ms = facts.first_solve[0]
        record.first_resolution_seconds = (facts.first_solve[0] - begun) / 1000
        record.last_solved_at_ms = facts.last_solve[0]
        record.full_resolution_seconds = (facts.last_solve[0] - begun) / 1000
        record.solves = len(facts.solves)
        record.reopens = len(facts.reopens)
        record.one_touch = facts.one_touch
        record.no_followup = facts.no_followup
        record.no_reopen = facts.no_reopen
        record.fcr = facts.fcr
        record.fcr_final = facts.fcr_final
    if facts.surveys_sent:
        sent: dict[str, int] = {}
        for _, kind in facts.surveys_sent.values():
            sent[SURVEY_KINDS[kind]] = sent.get(SURVEY_KINDS[kind], 0) + 1
        record.surveys_sent = sent
    if facts.answers:
        record.answers = [
            SurveyAnswer(
                survey_id=names[survey - 1],
                kind=SURVEY_KINDS[answer.kind],
                score=answer.score,
                scale_min=answer.low,
                scale_max=answer.high,
                answered_at_ms=answer.at,
            )
            for survey, answer in facts.answers.items()
        ]
    return record


def cell_record(
    resolution: str, pane_at_ms: int, as_of_ms: int, number: int, measures: dict[int, int], dimensions: Dimensions
) -> tuple[bytes, bytes]:
    """Key and value of one cell, whole."""
    named = dimensions.named(number)
    cell = Cell(
        resolution=resolution,
        pane_at_ms=pane_at_ms,
        as_of_ms=as_of_ms,
        dimensions=named,
        measures={NAME_OF[measure]: amount for measure, amount in measures.items() if amount},
    )
    return encode((resolution, pane_at_ms, *dimensions.values[number])), encode(cell)
