"""The gauges of a worker beside what the recomputed cells and backlog of its partitions give."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from deskpulse.verify.differences import GAUGES, Differences
from deskpulse.verify.expected import Expected
from deskpulse.verify.looks import WorkerLook
from sinks.metric_names import BACKLOG_AGE, BACKLOG_METRICS, BACKLOG_OLDEST, FIGURE_METRICS, SLA_INSTANCES
from sinks.prometheus import FiguresCollector
from streams.live import Health
from streams.picture import picture

_COMPARED: Final = frozenset(metric.name for metric in (*FIGURE_METRICS, *BACKLOG_METRICS, SLA_INSTANCES))
_AGES: Final = frozenset((BACKLOG_AGE.name, BACKLOG_OLDEST.name))
_AGE_SECONDS: Final = 5.0
"""Ages go on between the worker's word on its clock and its gauges."""
_RELATIVE: Final = 1e-9
_NO_HEALTH: Final = Health({}, 0, {}, 0, 0, 0, (), {}, 0.0, 0, 0, 0)

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def compare(worker: WorkerLook, expected: Expected, dimension_limit: int, differences: Differences) -> int:
    """Compare every figure of one worker's ``/metrics`` that follows from tickets; returns how many samples."""
    partitions = [expected.partitions[number] for number in worker.watermarks if number in expected.partitions]
    live = picture(partitions, expected.config.dimensions, worker.now_ms, dimension_limit)
    registry = CollectorRegistry()
    registry.register(FiguresCollector(lambda: live, lambda: _NO_HEALTH, {}))
    wanted = _samples(registry.collect())
    found = _samples(text_string_to_metric_families(worker.metrics))
    for key in sorted(wanted.keys() | found.keys(), key=_order):
        # What a worker has nothing of has no sample; 0 is the same.
        of_expected, of_found = wanted.get(key), found.get(key)
        if not _equal(key[0], of_expected or 0.0, of_found or 0.0):
            labels = ", ".join(f"{name}={value}" for name, value in sorted(key[1]) if value)
            differences.add(GAUGES, f"{worker.url}: {labels}", key[0], of_expected, of_found)
    return len(found)


def _samples(families: Iterable[Metric]) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        if family.name in _COMPARED
        for sample in family.samples
    }


def _order(key: tuple[str, Collection[tuple[str, str]]]) -> tuple[str, list[tuple[str, str]]]:
    return key[0], sorted(key[1])


def _equal(name: str, expected: float, found: float) -> bool:
    return math.isclose(expected, found, rel_tol=_RELATIVE, abs_tol=_AGE_SECONDS if name in _AGES else _RELATIVE)
