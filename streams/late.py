"""What an event that came too late would have changed, as far as the event itself tells.

The state of its ticket is gone, so this says what an event of its kind *can* touch: which pane, which measures, which
dimensions. What it would have changed exactly is for the archive to say (``deskpulse late list --exact``). Measures are
named as in ``streams.measures``; nothing of a person is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import UNSET

from schemas.events import (
    AnyEvent,
    MessageSent,
    SurveyAnswered,
    SurveySent,
    TicketCreated,
    TicketDeleted,
    TicketMerged,
    TicketUpdated,
)
from schemas.outputs import ATTRIBUTES, WouldChange
from streams.config import DomainConfig
from streams.facts import rank
from streams.history import SURVEY_CODE
from streams.measures import COUNTS, DURATIONS, TARGETS

_HOUR_MS: Final = 3_600_000
_STATUS_TIMES: Final = ("new_ms", "open_ms", "pending_ms", "on_hold_ms")
_RESOLVED: Final = ("no_reopen", "no_repeat", "fcr", "fcr_final", "fcr_final_true", "bot_resolved_durably")
_STATUS: Final = (
    "solves", "tickets_solved", "solved_tickets", "reopens", "first_reply", "next_reply", "first_resolution",
    "full_resolution", *_STATUS_TIMES, "one_touch", "no_followup", *_RESOLVED, "bot_tickets", "bot_resolved",
)  # fmt: skip
"""Whatever the status: a solve makes a reopening of what follows, and the other way round."""
_AGENT_REPLY: Final = (
    "agent_replies", "first_touch", "first_reply", "next_reply", "handoff_reply", "one_touch", "fcr", "fcr_final",
    "fcr_final_true", "bot_resolved", "bot_resolved_durably",
)  # fmt: skip
_BOT_MESSAGE: Final = ("first_touch", "bot_tickets", "bot_resolved", "bot_resolved_durably")
_CUSTOMER_MESSAGE: Final = ("next_reply", "no_followup", "first_reply", "fcr", "fcr_final", "fcr_final_true")
_REPLY_TARGETS: Final = ("first_reply", "next_reply", "periodic_update")
_OUTCOMES: Final = {
    "csat": ("csat_score_milli", {2: "csat_satisfied"}),
    "nps": ("", {0: "nps_detractors", 1: "nps_passives", 2: "nps_promoters"}),
    "ces": ("ces_score_milli", {2: "ces_easy"}),
}
"""Of each kind of survey the measure of its scores, and by how good an answer is (``streams.facts.rank``) its count."""
_ORDER: Final = {name: place for place, name in enumerate((*COUNTS, *DURATIONS))}


def would_change(event: AnyEvent, at_ms: int, left_at_ms: int, now_ms: int, config: DomainConfig) -> WouldChange:
    """What ``event`` of a ticket that left the horizon at ``left_at_ms`` can touch; ``now_ms`` is the watermark."""
    told = WouldChange(
        type=str(event.__struct_config__.tag),
        left_at_ms=left_at_ms,
        late_seconds=max(0, now_ms - at_ms) / 1000,
        pane_at_ms=at_ms // _HOUR_MS * _HOUR_MS,
    )
    measures: set[str] = set()
    targets: Iterable[str] = ()
    if isinstance(event, TicketMerged | TicketDeleted | TicketCreated):
        told.whole_ticket = told.other_panes = True
    elif isinstance(event, SurveySent):
        measures.add(f"{event.kind}_sent")
    elif isinstance(event, SurveyAnswered):
        measures.update(_of_answer(event))
        # An earlier answer of the same survey counts no more, a failure elsewhere is recovered.
        told.other_panes = True
    elif isinstance(event, MessageSent):
        targets = _of_message(event, measures)
        told.other_panes = bool(measures)
    else:
        targets = _of_update(event, measures, told, config)
        told.other_panes = bool(measures or told.dimensions)
    if config.policies and targets:
        measures.update([f"sla_{target}_{outcome}" for target in targets for outcome in ("met", "breached")])
        # A breach is a failure, and may be one no more.
        measures.update(("failed_tickets", "recovered_tickets"))
    if config.policies.business:
        measures.update([f"{name}_business" for name in measures if f"{name}_business" in _ORDER])
    told.measures = sorted(measures, key=_ORDER.__getitem__)
    return told


def _of_answer(event: SurveyAnswered) -> set[str]:
    low, high = event.scale
    of_rank = rank(SURVEY_CODE[event.kind], (event.score - low) / (high - low))
    score, outcomes = _OUTCOMES[event.kind]
    found = {f"{event.kind}_answers", score, outcomes.get(of_rank, "")} - {""}
    if event.kind != "ces":
        if of_rank == 0:
            found.add("failed_tickets")
        if of_rank == 2:
            found.add("recovered_tickets")
    return found


def _of_message(event: MessageSent, measures: set[str]) -> Iterable[str]:
    if event.visibility != "public" or event.author == "system":
        return ()
    if event.author == "bot":
        measures.update(_BOT_MESSAGE)
        return ()
    measures.update(_AGENT_REPLY if event.author == "agent" else _CUSTOMER_MESSAGE)
    return _REPLY_TARGETS


def _of_update(event: TicketUpdated, measures: set[str], told: WouldChange, config: DomainConfig) -> Iterable[str]:
    changed = {name for name in ATTRIBUTES if getattr(event, name) is not UNSET}
    told.dimensions = [name for name in config.dimensions if name in changed]
    if "handler" in changed:
        measures.add("handoff_reply")
    if "category" in changed or event.customer_id is not UNSET:
        measures.update(_RESOLVED)
    if event.customer_id is not UNSET:
        measures.add("recovered_tickets")
    if event.status is not UNSET:
        measures.update(_STATUS)
        return TARGETS
    looked_at = {name for policy in config.policies for name in policy.when}
    return TARGETS if changed & looked_at else ()
