"""The data behind the page: one picture of the figures, as JSON values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sinks.benchmarks import Benchmark, Benchmarks
from sinks.evaluation import evaluate
from streams.figures import WINDOWS_SECONDS
from streams.live import ALL, SLA_STATES, Group, Health, LiveFigures
from streams.measures import TARGETS

DEFAULT_WINDOW: Final = "1h"
SLA_WINDOW: Final = "24h"
"""What attainment is told over, whatever window is chosen: in minutes hardly anything is decided."""
MINUTE_MS: Final = 60_000
OF_GROUP: Final = ("created", "solves", "first_reply_seconds_p50", "fcr_ratio", "csat_ratio")
"""What the page shows of each value of a dimension."""
OF_MINUTE: Final = ("created", "solves", "first_reply_count", "first_reply_seconds_p50")
"""What the page draws of each minute."""
_EVERYTHING: Final = Group(ALL, "")


def page_data(
    live: LiveFigures, health: Health, not_ready: Sequence[str], benchmarks: Benchmarks, window: str
) -> dict[str, Any]:
    """What ``/api/live?window=`` answers; a figure without value is missing or null.

    ``window`` is one of ``streams.figures.WINDOWS_SECONDS``, KeyError otherwise.
    """
    by_group = live.totals.get(window, {})
    return {
        "now_ms": live.now_ms,
        "window": window,
        "window_seconds": WINDOWS_SECONDS[window],
        "windows": list(WINDOWS_SECONDS),
        "figures": evaluate(by_group.get(_EVERYTHING, {})),
        "groups": [
            {"dimension": group.dimension, "value": group.value, **_picked(totals, OF_GROUP)}
            for group, totals in by_group.items()
            if group != _EVERYTHING
        ],
        "minutes": _minutes(live),
        "backlog": [_backlog(live, group) for group in {**live.backlog, **live.ages, **live.sla}],
        "sla": _sla(live),
        "sla_window": SLA_WINDOW,
        "benchmarks": {figure: _benchmark(benchmark) for figure, benchmark in benchmarks.items()},
        "ready": not not_ready,
        "reasons": list(not_ready),
        # What is counted by several labels is no JSON object; it is at /metrics.
        "health": replace(health, sla_events={}),
    }


def _picked(totals: Mapping[int, int], names: Sequence[str]) -> dict[str, float | None]:
    values = evaluate(totals)
    return {name: values.get(name) for name in names}


def _minutes(live: LiveFigures) -> list[dict[str, float | None]]:
    """The panes of the last hour, oldest first; the last is the pane of now, which is not full yet."""
    now_pane = live.now_ms // MINUTE_MS
    first = now_pane - len(live.history) + 1
    return [{"at_ms": (first + k) * MINUTE_MS, **_picked(totals, OF_MINUTE)} for k, totals in enumerate(live.history)]


def _backlog(live: LiveFigures, group: Group) -> dict[str, Any]:
    by_status = live.backlog.get(group, {})
    ages = live.ages.get(group)
    return {
        "dimension": group.dimension,
        "value": group.value,
        "open": sum(by_status.values()),
        "by_status": by_status,
        "unanswered": live.unanswered.get(group, 0),
        "sla": {state: sum(_running(live, group, target, state) for target in TARGETS) for state in SLA_STATES},
        "oldest_seconds": ages and ages.oldest_seconds,
        "p50_seconds": ages and ages.p50_seconds,
        "p90_seconds": ages and ages.p90_seconds,
    }


def _running(live: LiveFigures, group: Group, target: str, state: str) -> int:
    return live.sla.get(group, {}).get((target, state), 0)


def _sla(live: LiveFigures) -> list[dict[str, Any]]:
    """The targets of which instances run or were decided lately, in the contract's order."""
    figures = evaluate(live.totals.get(SLA_WINDOW, {}).get(_EVERYTHING, {}))
    found = []
    for target in TARGETS:
        running = {state: _running(live, _EVERYTHING, target, state) for state in SLA_STATES}
        met, missed = figures[f"sla_{target}_met"], figures[f"sla_{target}_breached"]
        if met or missed or any(running.values()):
            attainment = figures.get(f"sla_{target}_attainment_ratio")
            found.append({"target": target, "running": running, "met": met, "missed": missed, "attainment": attainment})
    return found


def _benchmark(benchmark: Benchmark) -> dict[str, float | bool | None]:
    return {
        "industry_low": benchmark.industry_low,
        "industry_high": benchmark.industry_high,
        "best": benchmark.best,
        "lower_is_better": benchmark.lower_is_better,
    }
