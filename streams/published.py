"""Facts and cells as the records that are published (``schemas/outputs.py``)."""

from __future__ import annotations

from typing import Final, TypeAlias, TypedDict

import msgspec

from schemas.outputs import SurveyAnswer, TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.facts import NO_STATUS, Facts
from streams.history import STATUSES, SURVEY_KINDS

encode: Final = msgspec.json.Encoder().encode

Cells: TypeAlias = dict[str, int]
"""A cell's measures by name, as ``schemas.outputs.Cell`` has them."""


class Output(TypedDict):
    """A record to publish."""

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
    begun = facts.created[0]
    record.created_at_ms = begun
    record.customer_id = facts.customer
    record.merged_into = facts.merged_into
    if facts.status != NO_STATUS:
        record.status = STATUSES[facts.status]
        record.status_since_ms = facts.status_since
    for name, value in graph.attributes(facts.patches).items():
        setattr(record, name, value)
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
                kind=SURVEY_KINDS[kind],
                score=score,
                scale_min=low,
                scale_max=high,
                answered_at_ms=at,
            )
            for survey, (at, _, kind, score, low, high) in facts.answers.items()
        ]
    return record


class CellRecords:
    """Makes the records of cells; what all cells of one combination of dimensions share is encoded once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._shared: dict[int, tuple[bytes, msgspec.Raw]] = {}

    def record(self, resolution: str, pane_at_ms: int, as_of_ms: int, number: int, cell: Cells) -> Output:
        """The record of one cell, whole; ``cell`` holds measures and amounts that are not zero."""
        shared = self._shared.get(number)
        if shared is None:
            values = encode(self._dimensions.values[number])
            shared = self._shared[number] = values, msgspec.Raw(encode(self._dimensions.named(number)))
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
