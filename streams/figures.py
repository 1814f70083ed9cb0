"""The figures that people read, each defined once as a formula over the totals of cells.

The Prometheus gauges and the page evaluate :data:`FIGURES` in Python; the ClickHouse views are generated from the same
list (``sinks/views.py``). A ratio without a denominator has no value: None here, no sample in Prometheus, NULL in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final, TypeAlias

from streams import buckets, measures

WINDOWS_SECONDS: Final[dict[str, int]] = {
    "5m": 300,
    "15m": 900,
    "1h": 3_600,
    "24h": 86_400,
    "7d": 604_800,
    "30d": 2_592_000,
}
"""A window ends with the pane of now (which is not full yet) and holds whole panes: of a minute up to 24 h, of an hour
beyond. A window of ``w`` panes is now's and the ``w - 1`` before it."""
MINUTE_WINDOWS: Final = ("5m", "15m", "1h", "24h")
HOUR_WINDOWS: Final = ("7d", "30d")
Z_95: Final = 1.959963984540054
"""The standard normal distribution's 97.5 % quantile."""
QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)

Totals: TypeAlias = Mapping[int, int]
"""Measure number to its total over some cells."""


@dataclass(frozen=True)
class Figure:
    """One figure. ``name`` is its column in SQL; ``metric`` and ``labels`` its name in Prometheus (without prefix)."""

    name: str
    help: str
    metric: str
    labels: tuple[tuple[str, str], ...] = ()

    def value(self, totals: Totals) -> float | None:
        """The figure over ``totals``, None where it has no value."""
        raise NotImplementedError


@dataclass(frozen=True)
class Count(Figure):
    """How many."""

    of: str = ""

    def value(self, totals: Totals) -> float:
        """The count; 0 of nothing."""
        return measures.count(totals, self.of)


@dataclass(frozen=True)
class Ratio(Figure):
    """The sum of counts (``plus`` less ``minus``) by the sum of counts ``by``, times ``scale``."""

    plus: tuple[str, ...] = ()
    by: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()
    scale: float = 1.0

    def value(self, totals: Totals) -> float | None:
        """The ratio; None without a denominator."""
        denominator = sum(measures.count(totals, name) for name in self.by)
        if denominator <= 0:
            return None
        above = sum(measures.count(totals, name) for name in self.plus)
        below = sum(measures.count(totals, name) for name in self.minus)
        return self.scale * (above - below) / denominator


@dataclass(frozen=True)
class Difference(Figure):
    """Counts added up, less others."""

    plus: tuple[str, ...] = ()
    minus: tuple[str, ...] = ()

    def value(self, totals: Totals) -> float:
        """The difference; 0 of nothing."""
        return sum(measures.count(totals, name) for name in self.plus) - sum(
            measures.count(totals, name) for name in self.minus
        )


@dataclass(frozen=True)
class Wilson(Figure):
    """One end of the Wilson score interval (95 %) of the ratio of two counts.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """

    of: str = ""
    by: str = ""
    upper: bool = False

    def value(self, totals: Totals) -> float | None:
        """The end, 0-1; None without a denominator."""
        n = measures.count(totals, self.by)
        if n <= 0:
            return None
        share = measures.count(totals, self.of) / n
        half = Z_95 * sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
        middle = share + Z_95**2 / (2 * n)
        return (middle + half if self.upper else middle - half) / (1 + Z_95**2 / n)


@dataclass(frozen=True)
class Number(Figure):
    """How many durations there were."""

    of: str = ""

    def value(self, totals: Totals) -> float:
        """The number; 0 of nothing."""
        return sum(measures.histogram(totals, self.of).values())


@dataclass(frozen=True)
class Mean(Figure):
    """The mean of a duration in seconds."""

    of: str = ""

    def value(self, totals: Totals) -> float | None:
        """Seconds; None of nothing."""
        n = sum(measures.histogram(totals, self.of).values())
        return measures.sum_ms(totals, self.of) / n / 1000 if n > 0 else None


@dataclass(frozen=True)
class Quantile(Figure):
    """A quantile of a duration in seconds, within 2 % relative error."""

    of: str = ""
    q: float = 0.5

    def value(self, totals: Totals) -> float | None:
        """Seconds; None of nothing."""
        ms = buckets.quantile_ms(measures.histogram(totals, self.of), self.q)
        return None if ms is None else ms / 1000


@dataclass(frozen=True)
class Share(Figure):
    """The share of durations under a threshold of ``buckets.SHARE_THRESHOLDS_SECONDS``, exactly."""

    of: str = ""
    under_seconds: int = 0

    def value(self, totals: Totals) -> float | None:
        """0-1; None of nothing."""
        histogram = measures.histogram(totals, self.of)
        n = sum(histogram.values())
        return buckets.count_under(histogram, self.under_seconds) / n if n > 0 else None


_DURATION_HELP: Final = {
    "first_touch": "Creation to the first public message by an agent or a bot",
    "first_reply": "First reply time: creation to the first public message by a human agent",
    "next_reply": "Next reply time: the customer's oldest unanswered message to the next human reply",
    "handoff_reply": "Handover from a bot to a human, to the first human reply after it",
    "first_resolution": "Creation to the first solve",
    "full_resolution": "Creation to the last solve",
    "first_reply_business": "First reply time within opening hours",
    "next_reply_business": "Next reply time within opening hours",
    "full_resolution_business": "Creation to the last solve within opening hours",
}


def _of_duration(name: str) -> list[Figure]:
    metric, told = f"{name}_seconds", _DURATION_HELP[name]
    return [
        Number(f"{name}_count", f"{told}: how many", f"{metric}_count", of=name),
        Mean(f"{name}_seconds_mean", f"{told}: mean", f"{metric}_mean", of=name),
        *(
            Quantile(f"{name}_seconds_p{q * 100:g}", told, metric, (("quantile", f"{q:g}"),), of=name, q=q)
            for q in QUANTILES
        ),
        *(
            Share(
                f"{name}_under_{s}s_ratio",
                f"{told}: share under a threshold",
                f"{name}_under_ratio",
                (("under_seconds", str(s)),),
                of=name,
                under_seconds=s,
            )
            for s in buckets.SHARE_THRESHOLDS_SECONDS
        ),
    ]


def _of_status(status: str) -> Figure:
    return Ratio(
        f"status_{status}_seconds_mean",
        "Mean time in a status of the tickets solved in the window",
        "status_seconds_mean",
        (("status", status),),
        plus=(f"{status}_ms",),
        by=("solved_tickets",),
        scale=0.001,
    )


def _of_fcr_part(part: str, told: str) -> Figure:
    return Ratio(f"{part}_ratio", told, f"{part}_ratio", plus=(part,), by=("tickets_solved",))


def _of_target(target: str) -> list[Figure]:
    met, breached, labels = f"sla_{target}_met", f"sla_{target}_breached", (("target", target),)
    return [
        Count(met, "SLA instances met", "sla_met", labels, of=met),
        Count(breached, "SLA instances breached", "sla_breached", labels, of=breached),
        Ratio(
            f"sla_{target}_attainment_ratio",
            "SLA attainment: met by met and breached",
            "sla_attainment_ratio",
            labels,
            plus=(met,),
            by=(met, breached),
        ),
    ]


FIGURES: Final[tuple[Figure, ...]] = (
    Count("created", "Tickets created", "tickets_created", of="created"),
    Count("solves", "Solves", "solves", of="solves"),
    Count("tickets_solved", "Tickets solved for the first time", "tickets_solved", of="tickets_solved"),
    Count("reopens", "Reopenings", "reopens", of="reopens"),
    Count("agent_replies", "Public messages by human agents", "agent_replies", of="agent_replies"),
    *(figure for name in measures.DURATIONS for figure in _of_duration(name)),
    *(_of_status(status) for status in ("new", "open", "pending", "on_hold")),
    Ratio("reopen_ratio", "Reopenings by solves", "reopen_ratio", plus=("reopens",), by=("solves",)),
    Ratio(
        "resolution_ratio", "Tickets solved by tickets created", "resolution_ratio",
        plus=("tickets_solved",), by=("created",),
    ),
    _of_fcr_part("one_touch", "Share of first solves with at most one public human reply"),
    _of_fcr_part("no_followup", "Share of first solves without a further customer message"),
    _of_fcr_part("no_reopen", "Share of first solves that were not reopened"),
    _of_fcr_part("no_repeat", "Share of first solves without a reopening or another ticket about the same"),
    Ratio("fcr_ratio", "First-contact resolution, provisional", "fcr_ratio", plus=("fcr",), by=("tickets_solved",)),
    Ratio("fcr_final_ratio", "First-contact resolution of what is final", "fcr_final_ratio",
          plus=("fcr_final_true",), by=("fcr_final",)),
    Count("csat_answers", "CSAT answers", "csat_answers", of="csat_answers"),
    Ratio("csat_ratio", "CSAT: share of satisfied answers", "csat_ratio",
          plus=("csat_satisfied",), by=("csat_answers",)),
    Wilson("csat_ratio_low", "CSAT: lower end of the Wilson 95 % interval", "csat_ratio_low",
           of="csat_satisfied", by="csat_answers"),
    Wilson("csat_ratio_high", "CSAT: upper end of the Wilson 95 % interval", "csat_ratio_high",
           of="csat_satisfied", by="csat_answers", upper=True),
    Ratio("csat_score_mean", "CSAT: mean score on the scale 1-5", "csat_score_mean",
          plus=("csat_score_milli",), by=("csat_answers",), scale=0.001),
    Ratio("csat_response_ratio", "CSAT: answers by surveys sent", "csat_response_ratio",
          plus=("csat_answers",), by=("csat_sent",)),
    Count("nps_answers", "NPS answers", "nps_answers", of="nps_answers"),
    Count("nps_promoters", "NPS promoters", "nps_promoters", of="nps_promoters"),
    Count("nps_passives", "NPS passives", "nps_passives", of="nps_passives"),
    Count("nps_detractors", "NPS detractors", "nps_detractors", of="nps_detractors"),
    Ratio("nps_score", "Net promoter score, -100 to 100", "nps_score",
          plus=("nps_promoters",), minus=("nps_detractors",), by=("nps_answers",), scale=100.0),
    Count("ces_answers", "CES answers", "ces_answers", of="ces_answers"),
    Ratio("ces_ratio", "CES: share of easy answers", "ces_ratio", plus=("ces_easy",), by=("ces_answers",)),
    Ratio("ces_score_mean", "CES: mean score on the scale 1-7", "ces_score_mean",
          plus=("ces_score_milli",), by=("ces_answers",), scale=0.001),
    Difference("net_flow", "Tickets created and reopened less solves: what the backlog grew by", "net_flow",
               plus=("created", "reopens"), minus=("solves",)),
    Ratio("bot_containment_ratio", "Share of the first solves with a bot's message that needed no human",
          "bot_containment_ratio", plus=("bot_resolved",), by=("bot_tickets",)),
    Ratio("bot_durable_containment_ratio", "And were neither reopened nor repeated", "bot_durable_containment_ratio",
          plus=("bot_resolved_durably",), by=("bot_tickets",)),
    Ratio("service_recovery_ratio", "Share of tickets with a failure after which the customer was satisfied again",
          "service_recovery_ratio", plus=("recovered_tickets",), by=("failed_tickets",)),
    *(figure for target in measures.TARGETS for figure in _of_target(target)),
)  # fmt: skip
