"""The name of every metric that deskpulse exports, each once, with its kind, its labels and what it means.

The collector takes its names from here, and ``docs/metrics.md``, the dashboards and the alert rules are checked
against it. The figures' own names stand in ``streams.figures``; this adds the prefix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from streams import measures
from streams.figures import FIGURES

PREFIX: Final = "support_"
CELL_LABELS: Final = ("window", "dimension", "value")
"""What every windowed figure carries: the rolling window, and the value of the dimension that it is over."""
GROUP_LABELS: Final = ("dimension", "value")

Kind: TypeAlias = Literal["gauge", "counter", "summary"]
"""A ``summary`` has samples with a ``quantile`` label, ``NAME_sum`` and ``NAME_count``, where it has them."""


@dataclass(frozen=True)
class Metric:
    """One family of samples."""

    name: str
    """With the prefix; a counter's ends in ``_total``."""
    kind: Kind
    meaning: str
    labels: tuple[str, ...] = ()
    """Beside the scraper's own, like ``instance``."""


DENOMINATORS: Final[dict[str, tuple[str, str]]] = {
    "csat_sent": ("csat_surveys_sent", "CSAT surveys sent"),
    "solved_tickets": (
        "tickets_last_solved",
        "Tickets by their last solve: the denominator of the time in each status",
    ),
    "fcr_final": ("fcr_final_tickets", "First solves of which first-contact resolution is final"),
    "bot_tickets": ("bot_tickets", "First solves with a bot's message before: the denominator of containment"),
    "failed_tickets": ("failed_tickets", "Tickets by their first failure: the denominator of service recovery"),
}
"""Counts that are no figures of their own but what a ratio is divided by, needed to merge workers: the measure to its
metric (without prefix) and meaning. The other denominators are figures."""


def _figures() -> list[Metric]:
    durations = {f"{name}_seconds" for name in measures.DURATIONS}
    inside_summary = {f"{name}_count" for name in durations}
    found: dict[str, Metric] = {}
    for figure in FIGURES:
        if figure.metric in found or figure.metric in inside_summary:
            continue
        kind: Kind = "summary" if figure.metric in durations else "gauge"
        labels = CELL_LABELS + tuple(label for label, _ in figure.labels)
        found[figure.metric] = Metric(PREFIX + figure.metric, kind, figure.help, labels)
    return list(found.values())


FIGURE_METRICS: Final[tuple[Metric, ...]] = (
    *_figures(),
    *(Metric(PREFIX + name, "gauge", told, CELL_LABELS) for name, told in DENOMINATORS.values()),
)
"""Over rolling windows: they rise and fall, the counts too, so they are never put into ``rate()``."""

BACKLOG: Final = Metric(
    "support_backlog_tickets", "gauge", "Open tickets", ("status", *GROUP_LABELS),
)  # fmt: skip
BACKLOG_AGE: Final = Metric(
    "support_backlog_age_seconds", "summary", "Age of the open tickets", (*GROUP_LABELS, "quantile"),
)  # fmt: skip
BACKLOG_OLDEST: Final = Metric(
    "support_backlog_oldest_age_seconds", "gauge", "Age of the oldest open ticket", GROUP_LABELS,
)  # fmt: skip
UNANSWERED: Final = Metric(
    "support_unanswered_tickets", "gauge", "Open tickets whose customer waits for a reply", GROUP_LABELS,
)  # fmt: skip
BACKLOG_METRICS: Final = (BACKLOG, BACKLOG_AGE, BACKLOG_OLDEST, UNANSWERED)

SLA_INSTANCES: Final = Metric(
    "support_sla_instances", "gauge", "SLA instances that run now", ("target", "state", *GROUP_LABELS),
)  # fmt: skip
SLA_EVENTS: Final = Metric(
    "support_sla_events_total", "counter", "SLA events raised since the worker began",
    ("kind", "target", "policy", "channel", "priority"),
)  # fmt: skip
SLA_METRICS: Final = (SLA_INSTANCES, SLA_EVENTS)

EVENTS: Final = Metric("support_events_total", "counter", "Events read, by input topic", ("topic",))
DUPLICATES: Final = Metric("support_duplicates_total", "counter", "Events that were known already, by id")
DEAD_LETTERS: Final = Metric(
    "support_dead_letters_total", "counter", "Records that are no event, by reason code", ("reason",),
)  # fmt: skip
DEAD_LETTER_RATIO: Final = Metric(
    "support_dead_letter_ratio", "gauge", "Share of refused records among a topic's last `worker.dead_letter_window`",
    ("topic",),
)  # fmt: skip
LATE: Final = Metric("support_late_total", "counter", "Events of tickets that had left the horizon")
SKIPPED: Final = Metric("support_skipped_events_total", "counter", "Events of a type that deskpulse does not know")
COMMITS: Final = Metric("support_commits_total", "counter", "Transactions committed")
TRACKED: Final = Metric("support_tracked_tickets", "gauge", "Tickets within the horizon that the worker holds")
PARTITIONS: Final = Metric("support_owned_partitions", "gauge", "Partitions assigned to the worker")
WATERMARK_LAG: Final = Metric(
    "support_watermark_lag_seconds", "gauge", "How far a partition's watermark is behind the clock", ("partition",),
)  # fmt: skip
COMMIT_AGE: Final = Metric("support_commit_age_seconds", "gauge", "Time since the last committed transaction")
INPUT_LAG: Final = Metric("support_input_lag_records", "gauge", "Records of the inputs that are not applied yet")
SINK_LAG: Final = Metric("support_sink_lag_records", "gauge", "Output records that are not in ClickHouse yet")
SINK_FAILURES: Final = Metric(
    "support_sink_consecutive_failures", "gauge", "Failed attempts to write into ClickHouse since the last good one",
)  # fmt: skip
SINK_FAILING: Final = Metric(
    "support_sink_failing_seconds", "gauge", "Time for which no attempt to write into ClickHouse has worked",
)  # fmt: skip
SINK_INSERT_AGE: Final = Metric(
    "support_sink_insert_age_seconds", "gauge", "Time since ClickHouse last took rows from the worker",
)  # fmt: skip
SINK_OLDEST_AGE: Final = Metric(
    "support_sink_oldest_record_age_seconds", "gauge", "Age of the oldest record in hand that is not in ClickHouse yet",
)  # fmt: skip
REPLACEMENTS: Final = Metric(
    "support_worker_replacements_total", "counter", "Failures after which the worker dropped its state and began anew",
)  # fmt: skip
HEALTH_METRICS: Final = (
    EVENTS, DUPLICATES, DEAD_LETTERS, DEAD_LETTER_RATIO, LATE, SKIPPED, COMMITS,
    TRACKED, PARTITIONS, WATERMARK_LAG, COMMIT_AGE, INPUT_LAG, SINK_LAG,
    SINK_FAILURES, SINK_FAILING, SINK_INSERT_AGE, SINK_OLDEST_AGE, REPLACEMENTS,
)  # fmt: skip

BENCHMARK: Final = Metric(
    "support_benchmark", "gauge", "Configured benchmark bands of a figure, in its unit", ("figure", "band"),
)  # fmt: skip

METRICS: Final[tuple[Metric, ...]] = (*FIGURE_METRICS, *BACKLOG_METRICS, *SLA_METRICS, *HEALTH_METRICS, BENCHMARK)

_PARTS: Final = ("sum", "count")


def sample_names() -> frozenset[str]:
    """Every name that a sample can have: families, and the ``_sum`` and ``_count`` of summaries over windows."""
    summaries = [metric.name for metric in FIGURE_METRICS if metric.kind == "summary"]
    return frozenset({metric.name for metric in METRICS} | {f"{name}_{part}" for name in summaries for part in _PARTS})
