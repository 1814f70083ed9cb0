"""The Grafana dashboards as code: ``deploy/grafana/dashboards/*.json`` is generated from here.

A dashboard is plain JSON of Grafana's schema (``grafana-foundation-sdk`` ends at Grafana 11.6 and has no ClickHouse
queries). Live panels ask Prometheus, put together over all workers as ``docs/metrics.md`` says; long ones and exact
quantiles ask ClickHouse.
"""

# ruff: noqa: S608 (the SQL is made of constants)

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from deskpulse import panels
from deskpulse.panels import Json
from deskpulse.promql import BY_CHOSEN, CHOSEN, attainment, mean, merged, running
from deskpulse.settings_bands import Bands
from streams.figures import WINDOWS_SECONDS

FOLDER: Final = Path("deploy/grafana/dashboards")

MEDIAN: Final = 'max(support_first_reply_seconds{window="$window", dimension="all", quantile="0.5"})'
BANDS: Final = Bands().by_figure()


def _now() -> list[Json]:
    fcr = merged("fcr_ratio", "tickets_solved", CHOSEN)
    csat = merged("csat_ratio", "csat_answers", CHOSEN)
    return [
        panels.row("Now, over the last $window"),
        panels.stat("First reply, mean", mean("first_reply", CHOSEN), "s", BANDS["first_reply"]),
        panels.stat(
            "First reply, median", MEDIAN, "s", BANDS["first_reply"],
            "With several workers the largest of their medians; the exact one is below, from ClickHouse.",
        ),
        panels.stat("First-contact resolution", fcr, "percentunit", BANDS["fcr_ratio"]),
        panels.stat("CSAT", csat, "percentunit", BANDS["csat_ratio"]),
        panels.stat("NPS", merged("nps_score", "nps_answers", CHOSEN), "short", BANDS["nps_score"], decimals=0),
        panels.stat(
            "Resolution rate", f"sum(support_tickets_solved{CHOSEN}) / (sum(support_tickets_created{CHOSEN}) > 0)",
            "percentunit", BANDS["resolution_ratio"],
        ),
        panels.stat("Open tickets", 'sum(support_backlog_tickets{dimension="all"})', "short"),
        panels.stat("Oldest open ticket", 'max(support_backlog_oldest_age_seconds{dimension="all"})', "s"),
    ]  # fmt: skip


def _breaches(dimension: str) -> Json:
    labels = f'{{window="$window", dimension="{dimension}"}}'
    return panels.bars(
        f"Breaches by {dimension}, over the last $window",
        f"sum by (value) (support_sla_breached{labels})", "{{value}}", "short",
    )  # fmt: skip


def _sla() -> list[Json]:
    return [
        panels.row("Service levels"),
        panels.stat("Breached, now", running("breached"), "short", told="SLA instances that run beyond their time."),
        panels.stat("At risk, now", running("at_risk"), "short"),
        panels.stat("Attained, over the last $window", attainment("", CHOSEN), "percentunit", told="All targets."),
        panels.stat("Wait for a reply, now", 'sum(support_unanswered_tickets{dimension="all"})', "short"),
        panels.stat("Next reply, mean", mean("next_reply", CHOSEN), "s"),
        panels.stat(
            "Solved by bots alone", merged("bot_containment_ratio", "bot_tickets", CHOSEN), "percentunit",
            told="Of the first solves with a message of a bot.",
        ),
        panels.stat(
            "And durably", merged("bot_durable_containment_ratio", "bot_tickets", CHOSEN), "percentunit",
            told="Neither reopened nor repeated.",
        ),
        panels.stat(
            "Net flow, over the last $window", f"sum(support_net_flow{CHOSEN})", "short",
            told="Created and reopened less solved: what the backlog grew by.",
        ),
        panels.series(
            "Attained by target, over the last $window",
            [panels.query(attainment(" by (target)", CHOSEN), "{{target}}")],
            "percentunit",
            max=1,
        ),
        panels.series(
            "At risk and breached",
            [
                panels.query(
                    'sum by (target, state) (support_sla_instances{dimension="all", state!="in_time"})',
                    "{{target}}, {{state}}",
                )
            ],
            "short",
        ),
        _breaches("priority"),
        _breaches("channel"),
        panels.series(
            "What happened to targets, in 5 minutes",
            [panels.query("sum by (kind) (increase(support_sla_events_total[5m]))", "{{kind}}")],
            "short",
            8,
        ),
    ]  # fmt: skip


def _course() -> list[Json]:
    recent = '{window="5m", dimension="all"}'
    return [
        panels.row("The course of the day"),
        panels.series(
            "Created and solved, per minute",
            [
                panels.query(f"sum(support_tickets_created{recent}) / 5", "created"),
                panels.query(f"sum(support_tickets_solved{recent}) / 5", "solved", ref="B"),
                panels.query(f"sum(support_reopens{recent}) / 5", "reopened", ref="C"),
                panels.query(f"sum(support_net_flow{recent}) / 5", "net flow", ref="D"),
            ],
            "short",
        ),
        panels.series(
            "First reply, over the last $window",
            [
                panels.query(mean("first_reply", CHOSEN), "mean"),
                panels.query(f"max by (quantile) (support_first_reply_seconds{CHOSEN})", "p{{quantile}}", ref="B"),
            ],
            "s",
            told="Quantiles are the largest of the workers'.",
        ),
        panels.series(
            "Open tickets by status",
            [panels.query('sum by (status) (support_backlog_tickets{dimension="all"})', "{{status}}")],
            "short",
            custom={"stacking": {"mode": "normal"}, "fillOpacity": 40},
        ),
        panels.series(
            "Quality, over the last $window",
            [
                panels.query(merged("fcr_ratio", "tickets_solved", CHOSEN), "FCR"),
                panels.query(merged("csat_ratio", "csat_answers", CHOSEN), "CSAT", ref="B"),
                panels.query(merged("reopen_ratio", "solves", CHOSEN), "reopened", ref="C"),
            ],
            "percentunit",
        ),
    ]


def _groups() -> list[Json]:
    first_reply = (
        f"sum by (value) (support_first_reply_seconds_sum{BY_CHOSEN})"
        f" / (sum by (value) (support_first_reply_seconds_count{BY_CHOSEN}) > 0)"
    )
    fcr = (
        f"sum by (value) (support_fcr_ratio{BY_CHOSEN} * support_tickets_solved{BY_CHOSEN})"
        f" / sum by (value) (support_tickets_solved{BY_CHOSEN})"
    )
    return [
        panels.row("By $dimension"),
        panels.bars(
            "Open tickets", 'sum by (value) (support_backlog_tickets{dimension="$dimension"})', "{{value}}", "short"
        ),
        panels.bars("First reply, mean", first_reply, "{{value}}", "s", BANDS["first_reply"]),
        panels.bars("First-contact resolution", fcr, "{{value}}", "percentunit", BANDS["fcr_ratio"]),
        panels.bars(
            "Wait for a reply", 'sum by (value) (support_unanswered_tickets{dimension="$dimension"})',
            "{{value}}", "short",
        ),
        panels.bars(
            "Breached, now", 'sum by (value) (support_sla_instances{dimension="$dimension", state="breached"})',
            "{{value}}", "short",
        ),
        panels.bars(
            "Attained, over the last $window", attainment(" by (value)", BY_CHOSEN), "{{value}}", "percentunit"
        ),
    ]  # fmt: skip


def _exact() -> list[Json]:
    over_time = "figures_over_time(dimension = 'all', step = 3600, since = $__fromTime, until = $__toTime)"
    quantiles = "first_reply_seconds_p50 AS p50, first_reply_seconds_p90 AS p90"
    columns = (
        "created, solves, first_reply_seconds_p50, first_reply_seconds_p90, next_reply_seconds_p50, fcr_ratio,"
        " csat_ratio, nps_score, bot_containment_ratio"
    )
    breaches = (
        "SELECT policy, target, priority, channel, count() AS breaches FROM sla_log"
        " WHERE kind = 'breached' AND at BETWEEN $__fromTime AND $__toTime"
        " GROUP BY policy, target, priority, channel ORDER BY breaches DESC"
    )
    by_group = f"figures_by(dimension = '$dimension', seconds = {WINDOWS_SECONDS['30d']}, at = $__toTime)"
    return [
        panels.row("The longer run, exact, from ClickHouse"),
        panels.series(
            "First reply by hour",
            [panels.sql(f"SELECT pane AS time, {quantiles} FROM {over_time}")],
            "s",
        ),
        panels.series(
            "Created and solved by hour",
            [panels.sql(f"SELECT pane AS time, created, solves AS solved FROM {over_time}")],
            "short",
            custom={"drawStyle": "bars", "fillOpacity": 60},
        ),
        panels.panel(
            "table", "The 30 days before, by $dimension",
            [panels.sql(f"SELECT value AS `$dimension`, {columns} FROM {by_group} ORDER BY created DESC", table=True)],
            (panels.WIDTH, 8), decimals=2,
        ),
        panels.panel("table", "Breaches of the time shown", [panels.sql(breaches, table=True)], (panels.WIDTH, 8)),
    ]  # fmt: skip


def _worker() -> list[Json]:
    return [
        panels.row("The workers"),
        panels.series(
            "Events per second",
            [panels.query("sum by (topic) (rate(support_events_total[1m]))", "{{topic}}")],
            "eps",
            8,
        ),
        panels.series(
            "Behind",
            [
                panels.query("max by (instance) (support_watermark_lag_seconds)", "watermark {{instance}}"),
                panels.query("support_commit_age_seconds", "commit {{instance}}", ref="B"),
            ],
            "s",
            8,
        ),
        panels.series(
            "Records to do",
            [
                panels.query("sum(support_input_lag_records)", "to apply"),
                panels.query("sum(support_sink_lag_records)", "to write into ClickHouse", ref="B"),
            ],
            "short",
            8,
        ),
        panels.series(
            "Records that are no figures, in 5 minutes",
            [
                panels.query("sum by (reason) (increase(support_dead_letters_total[5m]))", "dead letter: {{reason}}"),
                panels.query("sum(increase(support_duplicates_total[5m]))", "duplicate", ref="B"),
                panels.query("sum(increase(support_late_total[5m]))", "late", ref="C"),
                panels.query("sum(increase(support_skipped_events_total[5m]))", "unknown type", ref="D"),
            ],
            "short",
            8,
        ),
        panels.series(
            "Memory",
            [panels.query('process_resident_memory_bytes{job="deskpulse"}', "{{instance}}")],
            "bytes",
            8,
        ),
        panels.series(
            "Tickets held", [panels.query("sum by (instance) (support_tracked_tickets)", "{{instance}}")], "short", 8
        ),
    ]


def support_desk() -> Json:
    """The first dashboard: how the desk does now, its service levels, over the day, by dimension; the workers."""
    return {
        "uid": "support-desk",
        "title": "Support desk",
        "description": "Live figures of the support desk, by deskpulse.",
        "tags": ["deskpulse"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [
                panels.choice("window", "Over the last", WINDOWS_SECONDS, "1h"),
                panels.asked(
                    "dimension", "By", 'label_values(support_backlog_tickets{dimension!="all"}, dimension)', "channel"
                ),
            ]
        },
        "annotations": {"list": []},
        "panels": panels.placed([*_now(), *_sla(), *_course(), *_groups(), *_exact(), *_worker()]),
    }


def generate(root: Path) -> dict[Path, str]:
    """Every dashboard's file under the project's folder ``root``, with its text."""
    return {
        root / FOLDER / f"{dashboard['uid']}.json": json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
        for dashboard in (support_desk(),)
    }
