"""The Prometheus collector: everything is read when it is scraped, nothing is counted twice.

A scrape of 200 groups in 6 windows is some 100,000 samples, for which ``prometheus_client.generate_latest`` takes
half a second; :meth:`FiguresCollector.render` writes the same text (a test holds them equal) in a fraction of that, so
that it can run between two batches. A figure without a value has no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from sinks import metric_names as names
from sinks.benchmarks import DEFAULT_BENCHMARKS, Benchmarks
from streams.live import Health, LiveFigures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class FiguresCollector(Collector):
    """Exports the figures and the health of one worker.

    Both callables are called at each scrape, in the thread that scrapes.
    """

    def __init__(
        self,
        live: Callable[[], LiveFigures],
        health: Callable[[], Health],
        benchmarks: Benchmarks = DEFAULT_BENCHMARKS,
    ) -> None:
        self._live = live
        self._health = health
        self._benchmarks = benchmarks

    def describe(self) -> Iterable[Metric]:
        """Nothing: so that registering the collector does not read the figures."""
        return ()
