"""Made-up live figures: a busy support desk, from a seed, for the tests of what deskpulse exports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from random import Random

from streams import buckets, measures
from streams.figures import WINDOWS_SECONDS
from streams.live import ALL, BacklogAge, Group, Health, LiveFigures, SlaLabels

NOW_MS = 1_767_348_000_000
CHANNELS = ("email", "phone", "chat", "social", "self_service", "onsite", "video")
PRIORITIES = ("low", "normal", "high", "urgent")
STATUSES = ("new", "open", "pending", "on_hold")
TARGETS = ("first_reply", "next_reply", "resolution")
"""What the desk has agreed upon; the other targets no policy names."""
MIDDLES_SECONDS = {
    "first_touch": 90, "first_reply": 400, "next_reply": 700, "handoff_reply": 250, "first_resolution": 9_000,
    "full_resolution": 12_000, "first_reply_business": 300, "next_reply_business": 500,
    "full_resolution_business": 7_000,
}  # fmt: skip


def totals(random: Random, tickets: int) -> dict[int, int]:
    """A cell of a desk to which about ``tickets`` came."""
    found: Counter[int] = Counter()

    def count(name: str, n: float) -> None:
        found[measures.COUNT_ID[name]] += round(n)

    solved, answers, nps, ces = (round(tickets * part) for part in (0.82, 0.17, 0.09, 0.08))
    for name, n in {
        "created": tickets, "solves": solved * 1.07, "tickets_solved": solved, "reopens": solved * 0.07,
        "agent_replies": tickets * 1.9, "one_touch": solved * 0.7, "no_followup": solved * 0.66,
        "no_reopen": solved * 0.93, "fcr": solved * 0.72, "fcr_final": solved * 0.5, "fcr_final_true": solved * 0.35,
        "csat_sent": tickets * 0.6, "csat_answers": answers, "csat_satisfied": answers * 0.78,
        "csat_score_milli": answers * 4120, "nps_sent": tickets * 0.3, "nps_answers": nps,
        "nps_promoters": nps * 0.66, "nps_passives": nps * 0.24, "nps_detractors": nps * 0.1,
        "ces_sent": tickets * 0.2, "ces_answers": ces, "ces_easy": ces * 0.7, "ces_score_milli": ces * 5400,
        "solved_tickets": solved, "new_ms": solved * 5e5, "open_ms": solved * 4e6, "pending_ms": solved * 6e6,
        "on_hold_ms": solved * 8e5, "no_repeat": solved * 0.88, "bot_tickets": solved * 0.3,
        "bot_resolved": solved * 0.17, "bot_resolved_durably": solved * 0.14, "failed_tickets": tickets * 0.06,
        "recovered_tickets": tickets * 0.02, "sla_first_reply_met": tickets * 0.9,
        "sla_first_reply_breached": tickets * 0.04, "sla_next_reply_met": tickets * 0.5,
        "sla_next_reply_breached": tickets * 0.06, "sla_resolution_met": solved * 0.97,
        "sla_resolution_breached": solved * 0.01,
    }.items():  # fmt: skip
        count(name, n)
    for number, middle_seconds in enumerate(MIDDLES_SECONDS[name] for name in measures.DURATIONS):
        for _ in range(min(solved, 1_000)):
            ms = int(1000 * random.lognormvariate(0, 1.1) * middle_seconds)
            found[measures.SUM_BASE + number] += ms
            found[measures.BUCKET_BASE * (number + 1) + buckets.bucket_of(ms)] += 1
    return {key: n for key, n in found.items() if n}


def groups(teams: int = 8) -> list[tuple[Group, float]]:
    """Every group and its share of the tickets."""
    named = {"channel": CHANNELS, "priority": PRIORITIES, "team": tuple(f"team {n}" for n in range(1, teams + 1))}
    found = [(Group(ALL, ""), 1.0)]
    for dimension, values in named.items():
        weights = [1 / (rank + 1.2) for rank in range(len(values))]
        found += [(Group(dimension, v), w / sum(weights)) for v, w in zip(values, weights, strict=True)]
    return found


@cache
def live(seed: int = 1, per_hour: int = 420, teams: int = 8, now_ms: int = NOW_MS) -> LiveFigures:
    """The figures of a desk to which ``per_hour`` tickets come."""
    random = Random(seed)
    tickets = {window: per_hour * seconds / 3600 for window, seconds in WINDOWS_SECONDS.items()}
    backlog = {
        group: {s: round(per_hour * share * part) for s, part in zip(STATUSES, (0.21, 0.46, 0.38, 0.08), strict=True)}
        for group, share in groups(teams)
    }
    return LiveFigures(
        now_ms=now_ms,
        totals={
            window: {group: totals(random, round(n * share)) for group, share in groups(teams)}
            for window, n in tickets.items()
        },
        backlog=backlog,
        ages={
            group: BacklogAge(86_400.0 * (3 + 3 * share), 7_100.0 + 3_000 * share, 91_000.0)
            for group, share in groups(teams)
        },
        unanswered={group: round(per_hour * share * 0.3) for group, share in groups(teams)},
        sla={
            group: {
                (target, state): round(per_hour * share * part)
                for target in TARGETS
                for state, part in {"in_time": 0.4, "at_risk": 0.05, "breached": 0.03}.items()
            }
            for group, share in groups(teams)
        },
        history=tuple(totals(random, max(0, round(random.gauss(per_hour / 60, 2.2)))) for _ in range(60)),
    )


def empty(now_ms: int = NOW_MS) -> LiveFigures:
    """A desk to which nothing has come yet."""
    everything = Group(ALL, "")
    return LiveFigures(
        now_ms=now_ms,
        totals={window: {everything: {}} for window in WINDOWS_SECONDS},
        backlog={everything: {}},
        ages={everything: BacklogAge(None, None, None)},
        unanswered={everything: 0},
        sla={everything: {}},
        history=({},) * 60,
    )


def health(events: Mapping[str, int] | None = None) -> Health:
    """A worker in good health."""
    return Health(
        events=events or {"support.tickets": 214_031, "support.messages": 509_442, "support.surveys": 60_118},
        duplicates=1_204,
        dead_letters={"not_json": 3, "bad_value": 9},
        dead_letter_shares={"support.tickets": 0.004, "support.messages": 0.0},
        late=41,
        skipped_types=7,
        tracked_tickets=125_310,
        partitions=(0, 1, 2, 3),
        watermark_lag_seconds={0: 0.4, 1: 0.3, 2: 0.5, 3: 0.4},
        commit_age_seconds=0.6,
        commits=5_120,
        input_lag=212,
        sink_lag=90,
        sla_events={
            SlaLabels("breached", "first_reply", "urgent", "chat", "urgent"): 17,
            SlaLabels("met", "first_reply", "urgent", "chat", "urgent"): 512,
            SlaLabels("retracted", "resolution", "usual", "email", "normal"): 2,
        },
    )
