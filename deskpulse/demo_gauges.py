"""A worker's metrics, scraped as Prometheus does it, and the few of them that a summary tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests
from prometheus_client.parser import text_string_to_metric_families

from sinks.metric_names import BACKLOG, PREFIX
from streams.figures import FIGURES
from streams.live import ALL

HEADLINES: Final = ("created", "solves", "first_reply_seconds_p50", "fcr_ratio", "csat_ratio", "nps_score")
"""Figures (``streams.figures``) over everything."""
_SCRAPE_SECONDS: Final = 30.0
_FIGURES: Final = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True)
class Gauges:
    """Some of what was scraped."""

    samples: int
    window: str
    values: Mapping[str, float | None]
    """Each of :data:`HEADLINES` over ``window``, None without a sample."""
    backlog: Mapping[str, int]
    """Open tickets by status, now."""


def scraped(url: str) -> str:
    """What ``/metrics`` of the worker at ``url`` says. Raises ``requests.RequestException``."""
    answer = requests.get(f"{url}/metrics", timeout=_SCRAPE_SECONDS)
    answer.raise_for_status()
    return answer.text


def gauges_in(text: str, window: str) -> Gauges:
    """Find the headlines over ``window`` in a scrape; ValueError of what is no such text."""
    everything = {"dimension": ALL, "value": ""}
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str) -> float | None:
        figure = _FIGURES[name]
        labels = {**everything, "window": window, **dict(figure.labels)}
        return samples.get((PREFIX + figure.metric, frozenset(labels.items())))

    backlog = {
        dict(labels)["status"]: int(number)
        for (name, labels), number in samples.items()
        if name == BACKLOG.name and everything.items() <= dict(labels).items()
    }
    return Gauges(len(samples), window, {name: value(name) for name in HEADLINES}, dict(sorted(backlog.items())))
