"""What a cell counts: the name and the number of every measure, in this one place.

A cell is a sparse map of measure numbers to integers. A *count* is one number. A *duration* is a sum in milliseconds
and a histogram of ``streams.buckets``; how many there were is the sum of its buckets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from streams import buckets

TARGETS: Final = ("first_reply", "next_reply", "periodic_update", "requester_wait", "agent_work", "resolution")
"""What service-level agreements are about, in the contract's order."""

COUNTS: Final = (
    "created",
    "solves",
    "tickets_solved",
    "reopens",
    "agent_replies",
    "one_touch",
    "no_followup",
    "no_reopen",
    "no_repeat",
    "fcr",
    "fcr_final",
    "fcr_final_true",
    "csat_sent",
    "csat_answers",
    "csat_satisfied",
    "csat_score_milli",
    "nps_sent",
    "nps_answers",
    "nps_promoters",
    "nps_passives",
    "nps_detractors",
    "ces_sent",
    "ces_answers",
    "ces_easy",
    "ces_score_milli",
    "solved_tickets",
    "new_ms",
    "open_ms",
    "pending_ms",
    "on_hold_ms",
    "bot_tickets",
    "bot_resolved",
    "bot_resolved_durably",
    "failed_tickets",
    "recovered_tickets",
    *(f"sla_{target}_{outcome}" for target in TARGETS for outcome in ("met", "breached")),
)
"""``tickets_solved`` counts a ticket at its first solve (the denominator of FCR), ``solved_tickets`` at its last (the
denominator of the time in each status, ``new_ms`` to ``on_hold_ms``). Scores are sums in thousandths, on the default
scale of their kind. ``bot_tickets`` are first solves with a bot's message before, the denominator of containment."""

DURATIONS: Final = (
    "first_touch",
    "first_reply",
    "next_reply",
    "handoff_reply",
    "first_resolution",
    "full_resolution",
    "first_reply_business",
    "next_reply_business",
    "full_resolution_business",
)
"""Those within opening hours are counted only where a policy has a calendar that is not always open: elsewhere they are
the elapsed ones."""

SUM_BASE: Final = 256
BUCKET_BASE: Final = 1024
"""The sum of duration ``k`` is measure ``SUM_BASE + k``, its bucket ``b`` is ``BUCKET_BASE * (k + 1) + b``."""

COUNT_ID: Final[dict[str, int]] = {name: number for number, name in enumerate(COUNTS)}
DURATION_ID: Final[dict[str, int]] = {name: number for number, name in enumerate(DURATIONS)}

NAME_OF: Final[dict[int, str]] = (
    dict(enumerate(COUNTS))
    | {SUM_BASE + k: f"{name}_ms" for k, name in enumerate(DURATIONS)}
    | {BUCKET_BASE * (k + 1) + b: f"{name}_b{b}" for k, name in enumerate(DURATIONS) for b in range(buckets.COUNT)}
)
"""The name of a measure in a cell's JSON."""
NUMBER_OF: Final[dict[str, int]] = {name: number for number, name in NAME_OF.items()}


def count(totals: Mapping[int, int], name: str) -> int:
    """What ``totals`` hold of one count."""
    return totals.get(COUNT_ID[name], 0)


def sum_ms(totals: Mapping[int, int], duration: str) -> int:
    """The sum of one duration in milliseconds."""
    return totals.get(SUM_BASE + DURATION_ID[duration], 0)


def histogram(totals: Mapping[int, int], duration: str) -> dict[int, int]:
    """The buckets of one duration that are not empty."""
    first = BUCKET_BASE * (DURATION_ID[duration] + 1)
    return {key - first: n for key, n in totals.items() if first <= key < first + BUCKET_BASE and n}
