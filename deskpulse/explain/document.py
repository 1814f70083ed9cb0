"""A ticket's facts and service-level instances as JSON values: what ``deskpulse explain --format json`` answers.

Made from the published record, name by name, so a new fact needs no line here.
"""

from __future__ import annotations

from typing import Any, Final

from deskpulse.explain.words import instant, seconds, seconds_of
from schemas.outputs import NextReply, SurveyAnswer, TicketFacts
from streams.batch import Told
from streams.facts import rank_of
from streams.sla import Instance

CATEGORIES: Final[dict[str, tuple[str, str, str]]] = {
    "csat": ("unsatisfied", "", "satisfied"),
    "nps": ("detractor", "passive", "promoter"),
    "ces": ("hard", "", "easy"),
}
"""What an answer counts as, by its kind and its rank (``streams.facts.rank_of``)."""
_BUSINESS: Final = "_business_seconds"
_ALWAYS_KNOWN: Final = frozenset({"ticket_id", "events", "deleted", "merged_into"})


def document(told: Told) -> dict[str, Any]:
    """Every fact by its name, and ``sla``. Every key is always there.

    Instants are RFC 3339 in UTC, durations numbers in seconds, what is unknown is null, lists and objects may be
    empty. Without its creation, deleted, or merged before it began, a ticket's counts are unknown too.
    """
    record = told.record
    values = {name: getattr(record, name) for name in TicketFacts.__struct_fields__}
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name.endswith("_ms"):
            found[name.removesuffix("_ms")] = instant(value)
        elif name.endswith(_BUSINESS):
            # The record leaves it out where it equals the elapsed time.
            elapsed = values[name.removesuffix(_BUSINESS) + "_seconds"]
            found[name] = _seconds(elapsed if value is None else value, name)
        elif name.endswith("_seconds"):
            found[name] = _seconds(value, name)
        elif name == "next_replies":
            found[name] = [_next_reply(one) for one in value or ()]
        elif name == "answers":
            found["surveys"] = _surveys(told)
        elif name == "surveys_sent":
            found[name] = dict(value or {})
        elif name in _ALWAYS_KNOWN:
            found[name] = value
        elif value == "" or (not record.status and not isinstance(value, str)):
            found[name] = None
        else:
            found[name] = value
    found["sla"] = [_instance(one) for one in told.facts.sla]
    return found


def _seconds(value: Any, name: str) -> Any:
    if name.startswith("status_"):
        return {status: seconds(one) for status, one in (value or {}).items()}
    return seconds(value)


def _next_reply(wait: NextReply) -> dict[str, Any]:
    business = wait.seconds if wait.business_seconds is None else wait.business_seconds
    return {
        "started_at": instant(wait.started_at_ms),
        "ended_at": instant(wait.ended_at_ms),
        "seconds": seconds(wait.seconds),
        "business_seconds": seconds(business),
        "ended_by": wait.ended_by,
    }


def _surveys(told: Told) -> list[dict[str, Any]]:
    answers: list[SurveyAnswer] = told.record.answers or []
    ranks = [rank_of(answer) for _, answer in told.facts.answers]
    return [
        {
            "survey_id": answer.survey_id,
            "kind": answer.kind,
            "score": seconds(answer.score),
            "scale_min": seconds(answer.scale_min),
            "scale_max": seconds(answer.scale_max),
            "answered_at": instant(answer.answered_at_ms),
            "satisfied": rank == 2 if answer.kind == "csat" else None,
            "category": CATEGORIES[answer.kind][rank],
        }
        for answer, rank in zip(answers, ranks, strict=True)
    ]


def _instance(one: Instance) -> dict[str, Any]:
    return {
        "target": one.target,
        "policy": one.policy,
        "started_at": instant(one.started_at),
        "due_at": instant(one.due_at),
        "ended_at": instant(one.ended_at),
        "outcome": one.outcome,
        "breached_at": instant(one.breached_at),
        "overrun_seconds": seconds_of(one.overrun_ms),
        "remaining_seconds": seconds_of(one.remaining_ms),
        "at_risk_at": instant(one.at_risk_at),
    }
