"""The PromQL of the dashboards: each is put together over all workers as ``docs/metrics.md`` says."""

from __future__ import annotations

from typing import Final

CHOSEN: Final = '{window="$window", dimension="all"}'
BY_CHOSEN: Final = '{window="$window", dimension="$dimension"}'


def merged(ratio: str, weight: str, labels: str) -> str:
    """A ratio over all workers: weighted by its denominator."""
    return f"sum(support_{ratio}{labels} * support_{weight}{labels}) / sum(support_{weight}{labels})"


def mean(duration: str, labels: str) -> str:
    """The mean of a duration in seconds."""
    return f"sum(support_{duration}_seconds_sum{labels}) / (sum(support_{duration}_seconds_count{labels}) > 0)"


def attainment(by: str, labels: str) -> str:
    """What was met of what was decided, 0-1; ``by`` is empty or like ``" by (target)"``."""
    met, breached = (f"sum{by} (support_sla_{outcome}{labels})" for outcome in ("met", "breached"))
    return f"{met} / ({met} + {breached} > 0)"


def running(state: str) -> str:
    """How many SLA instances run now in a state."""
    return f'sum(support_sla_instances{{dimension="all", state="{state}"}})'
