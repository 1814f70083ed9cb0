"""One example of everything that goes over a topic: shown in the schemas and the pages, checked by the tests."""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct

from schemas.outputs import Cell, SlaEvent, SurveyAnswer, TicketFacts

EVENTS: Final[dict[str, dict[str, Any]]] = {
    "ticket.created": {
        "id": "e-1001",
        "type": "ticket.created",
        "ticket_id": "T-42",
        "at": "2026-06-01T10:00:00.000Z",
        "customer_id": "c-7",
        "channel": "email",
        "priority": "normal",
        "category": "billing",
        "team": "first-line",
    },
    "ticket.updated": {
        "id": "e-1004",
        "type": "ticket.updated",
        "ticket_id": "T-42",
        "at": "2026-06-01T12:30:00+02:00",
        "seq": 1,
        "status": "solved",
        "agent_id": "a-3",
        "actor": "a-3",
    },
    "ticket.merged": {
        "id": "e-1010",
        "type": "ticket.merged",
        "ticket_id": "T-43",
        "at": "2026-06-01T10:05:00Z",
        "into": "T-42",
    },
    "ticket.deleted": {
        "id": "e-1011",
        "type": "ticket.deleted",
        "ticket_id": "T-44",
        "at": "2026-06-01T10:06:00Z",
    },
    "message.sent": {
        "id": "e-1003",
        "type": "message.sent",
        "ticket_id": "T-42",
        "at": "2026-06-01T10:29:00.250Z",
        "author": "agent",
        "author_id": "a-3",
        "visibility": "public",
    },
    "survey.sent": {
        "id": "e-1005",
        "type": "survey.sent",
        "ticket_id": "T-42",
        "at": "2026-06-01T11:00:00Z",
        "survey_id": "s-42-1",
        "kind": "csat",
    },
    "survey.answered": {
        "id": "e-1006",
        "type": "survey.answered",
        "ticket_id": "T-42",
        "at": "2026-06-02T08:15:00Z",
        "survey_id": "s-42-1",
        "kind": "csat",
        "score": 5,
    },
}
"""By type: what a publisher sends, as JSON. All but the merged and the deleted one tell the story of ``T-42``."""

OUTPUTS: Final[dict[str, Struct]] = {
    "TicketFacts": TicketFacts(
        ticket_id="T-42",
        as_of_ms=1_780_388_102_000,
        events=5,
        created_at_ms=1_780_308_000_000,
        customer_id="c-7",
        status="solved",
        status_since_ms=1_780_309_800_000,
        channel="email",
        priority="normal",
        team="first-line",
        category="billing",
        agent_id="a-3",
        origin="customer",
        handler="human",
        first_touch_seconds=1740.25,
        first_reply_at_ms=1_780_309_740_250,
        first_reply_seconds=1740.25,
        first_solved_at_ms=1_780_309_800_000,
        first_resolution_seconds=1800.0,
        last_solved_at_ms=1_780_309_800_000,
        full_resolution_seconds=1800.0,
        solves=1,
        agent_replies=1,
        status_seconds={"new": 1800.0},
        one_touch=True,
        no_followup=True,
        no_reopen=True,
        fcr=True,
        fcr_final=False,
        surveys_sent={"csat": 1},
        answers=[SurveyAnswer("s-42-1", "csat", 5.0, 1.0, 5.0, 1_780_388_100_000)],
    ),
    "Cell": Cell(
        resolution="minute",
        pane_at_ms=1_780_309_740_000,
        as_of_ms=1_780_388_102_000,
        dimensions={"channel": "email", "priority": "normal", "team": "first-line"},
        measures={"agent_replies": 1, "first_touch_ms": 1_740_250, "first_reply_ms": 1_740_250},
    ),
    "SlaEvent": SlaEvent(
        ticket_id="T-42",
        kind="breached",
        target="first_reply",
        policy="normal",
        at_ms=1_780_308_900_000,
        started_at_ms=1_780_308_000_000,
        due_at_ms=1_780_308_900_000,
        channel="email",
        priority="normal",
        team="first-line",
    ),
}
"""By the name of the struct."""

DEAD_LETTER_HEADERS: Final[dict[str, str]] = {
    "reason": 'bad_record: message.sent: `author` is "robot"; expected one of agent, bot, customer, system',
    "origin_topic": "support.messages",
    "origin_partition": "2",
    "origin_offset": "4711",
    "origin_timestamp_ms": "1780309740250",
}
