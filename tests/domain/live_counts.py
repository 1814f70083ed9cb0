"""Live figures and the oracle's lists as counts that can be compared."""

from __future__ import annotations

from collections import Counter

from streams.config import DomainConfig
from streams.live import LiveFigures

Counts = Counter[tuple[str, ...]]
"""By dimension, value and what else there is to tell."""


def counted(config: DomainConfig, found: list[tuple[dict[str, str], tuple[str, ...]]]) -> Counts:
    """How many of each kind there are in each group."""
    counts: Counts = Counter()
    for attributes, kind in found:
        for group in (("all", ""), *((name, attributes[name]) for name in config.dimensions)):
            counts[*group, *kind] += 1
    return counts


def backlog_of(live: LiveFigures) -> Counts:
    return Counter({(g.dimension, g.value, s): n for g, by in live.backlog.items() for s, n in by.items() if n})


def unanswered_of(live: LiveFigures) -> Counts:
    return Counter({(g.dimension, g.value): n for g, n in live.unanswered.items() if n})


def running_of(live: LiveFigures) -> Counts:
    return Counter({(g.dimension, g.value, *of): n for g, by in live.sla.items() for of, n in by.items() if n})
