"""The Prometheus collector: everything is read when it is scraped, nothing is counted a second time.

200 groups in 6 windows are more than 100,000 samples, for which ``prometheus_client.generate_latest`` takes a second
and more: too long between two batches of events. :meth:`FiguresCollector.parts` writes the same text (a test holds them
equal) several times faster and bit by bit. A figure without a value has no sample.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from sinks import metric_names as names
from sinks.benchmarks import Benchmarks
from sinks.evaluation import evaluate
from streams import measures
from streams.figures import FIGURES, Figure, Mean, Number, Quantile, Share, Totals
from streams.live import SLA_STATES, Group, Health, LiveFigures

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

Labels: TypeAlias = tuple[tuple[str, str], ...]
Column: TypeAlias = tuple[str, Labels, Sequence[float | None]]
"""Samples of one name: what its labels end with, and a value for each row of the block, None for no sample."""


@dataclass(frozen=True)
class Block:
    """Families that share their rows: what their labels begin with."""

    rows: Sequence[Labels]
    families: Sequence[tuple[names.Metric, Sequence[Column]]]


FigureColumns: TypeAlias = Sequence[tuple[names.Metric, Sequence[tuple[str, Labels, str]]]]
"""By family, its samples: name, own labels and the key in the values of a cell."""
_BUSINESS: Final = "_business"


def _in_use(figure: Figure, targets: Collection[str], business: bool) -> bool:
    if isinstance(figure, Number | Mean | Quantile | Share):
        return business or not figure.of.endswith(_BUSINESS)
    return all(label != "target" or target in targets for label, target in figure.labels)


def _columns_of_figures(targets: Collection[str], business: bool) -> FigureColumns:
    by_name = {metric.name: metric for metric in names.FIGURE_METRICS}
    columns: dict[str, list[tuple[str, Labels, str]]] = {name: [] for name in by_name}
    for figure in FIGURES:
        sample = names.PREFIX + figure.metric
        family = sample if sample in by_name else sample.removesuffix("_count")
        if _in_use(figure, targets, business):
            columns[family].append((sample, figure.labels, figure.name))
    for duration in measures.DURATIONS:
        family = f"{names.PREFIX}{duration}_seconds"
        if columns[family]:
            columns[family].append((f"{family}_sum", (), f"{duration}_seconds_sum"))
    for measure, (name, _) in names.DENOMINATORS.items():
        columns[names.PREFIX + name].append((names.PREFIX + name, (), measure))
    return [(by_name[family], of_family) for family, of_family in columns.items() if of_family]


def _cell_values(totals: Totals) -> dict[str, float]:
    values = evaluate(totals)
    for duration in measures.DURATIONS:
        values[f"{duration}_seconds_sum"] = measures.sum_ms(totals, duration) / 1000
    for measure in names.DENOMINATORS:
        values[measure] = measures.count(totals, measure)
    return values


def _figures(live: LiveFigures, figures: FigureColumns) -> Iterator[Block | None]:
    """One block, after a None for each window."""
    rows: list[Labels] = []
    cells: list[dict[str, float]] = []
    for window, by_group in live.totals.items():
        for group, totals in by_group.items():
            rows.append((("window", window), ("dimension", group.dimension), ("value", group.value)))
            cells.append(_cell_values(totals))
        yield None
    yield Block(
        rows,
        [
            (metric, [(sample, labels, [cell.get(key) for cell in cells]) for sample, labels, key in columns])
            for metric, columns in figures
        ],
    )


def _backlog(live: LiveFigures) -> Block:
    groups = list(live.backlog)
    statuses = sorted({status for by_status in live.backlog.values() for status in by_status})
    counts: list[Column] = [
        (names.BACKLOG.name, (("status", status),), [live.backlog[group].get(status, 0) for group in groups])
        for status in statuses
    ]
    unanswered: Column = (names.UNANSWERED.name, (), [live.unanswered.get(group, 0) for group in groups])
    return Block(_group_labels(groups), [(names.BACKLOG, counts), (names.UNANSWERED, [unanswered])])


def _group_labels(groups: Iterable[Group]) -> list[Labels]:
    return [(("dimension", group.dimension), ("value", group.value)) for group in groups]


def _sla(live: LiveFigures, targets: Collection[str]) -> Block:
    groups = list({**live.backlog, **live.sla})
    running = [live.sla.get(group, {}) for group in groups]
    counts: list[Column] = [
        (
            names.SLA_INSTANCES.name,
            (("target", target), ("state", state)),
            [of_group.get((target, state), 0) for of_group in running],
        )
        for target in targets
        for state in SLA_STATES
    ]
    return Block(_group_labels(groups), [(names.SLA_INSTANCES, counts)])


def _ages(live: LiveFigures) -> Block:
    ages = list(live.ages.values())
    p50: Column = (names.BACKLOG_AGE.name, (("quantile", "0.5"),), [age.p50_seconds for age in ages])
    p90: Column = (names.BACKLOG_AGE.name, (("quantile", "0.9"),), [age.p90_seconds for age in ages])
    oldest: Column = (names.BACKLOG_OLDEST.name, (), [age.oldest_seconds for age in ages])
    return Block(_group_labels(live.ages), [(names.BACKLOG_AGE, [p50, p90]), (names.BACKLOG_OLDEST, [oldest])])


def _health(health: Health) -> Block:
    def one(metric: names.Metric, value: float) -> tuple[names.Metric, list[Column]]:
        return metric, [(metric.name, (), [value])]

    sla_events: list[Column] = [
        (names.SLA_EVENTS.name, tuple((label, getattr(of, label)) for label in names.SLA_EVENTS.labels), [value])
        for of, value in health.sla_events.items()
    ]

    def by(metric: names.Metric, values: Iterable[tuple[object, float]]) -> tuple[names.Metric, list[Column]]:
        (label,) = metric.labels
        return metric, [(metric.name, ((label, str(key)),), [value]) for key, value in values]

    return Block(
        [()],
        [
            by(names.EVENTS, health.events.items()),
            one(names.DUPLICATES, health.duplicates),
            by(names.DEAD_LETTERS, health.dead_letters.items()),
            by(names.DEAD_LETTER_RATIO, health.dead_letter_shares.items()),
            one(names.LATE, health.late),
            one(names.SKIPPED, health.skipped_types),
            one(names.COMMITS, health.commits),
            one(names.TRACKED, health.tracked_tickets),
            one(names.PARTITIONS, len(health.partitions)),
            by(names.WATERMARK_LAG, health.watermark_lag_seconds.items()),
            one(names.COMMIT_AGE, health.commit_age_seconds),
            one(names.INPUT_LAG, health.input_lag),
            one(names.SINK_LAG, health.sink_lag),
            one(names.SINK_FAILURES, health.sink_failures),
            one(names.SINK_FAILING, health.sink_failing_seconds),
            one(names.SINK_INSERT_AGE, health.sink_insert_age_seconds),
            one(names.SINK_OLDEST_AGE, health.sink_oldest_age_seconds),
            one(names.REPLACEMENTS, health.replacements),
            (names.SLA_EVENTS, sla_events),
        ],
    )


def _benchmarks(benchmarks: Benchmarks) -> Block:
    columns: list[Column] = []
    for figure, benchmark in benchmarks.items():
        bands = {
            "industry_low": benchmark.industry_low,
            "industry_high": benchmark.industry_high,
            "best": benchmark.best,
        }
        columns += [(names.BENCHMARK.name, (("figure", figure), ("band", band)), [at]) for band, at in bands.items()]
    return Block([()], [(names.BENCHMARK, columns)])


class FiguresCollector(Collector):
    """Exports the figures and the health of one worker.

    ``live`` and ``health`` are called at each scrape, in the thread that scrapes. ``benchmarks`` may be empty.
    ``targets`` are those that any policy names: of the others there is nothing to say. ``business`` says whether
    durations within opening hours are counted, which they are where a calendar is not always open.
    """

    def __init__(
        self,
        live: Callable[[], LiveFigures],
        health: Callable[[], Health],
        benchmarks: Benchmarks,
        targets: Collection[str] = measures.TARGETS,
        business: bool = True,
    ) -> None:
        self._live = live
        self._health = health
        self._benchmarks = benchmarks
        self._targets = targets
        self._figures = _columns_of_figures(targets, business)

    def _blocks(self) -> Iterator[Block | None]:
        live = self._live()
        yield from _figures(live, self._figures)
        yield _backlog(live)
        yield _ages(live)
        yield _sla(live, self._targets)
        yield _health(self._health())
        yield _benchmarks(self._benchmarks)

    def collect(self) -> Iterator[Family]:
        """The families as prometheus_client has them, for a registry."""
        for block in filter(None, self._blocks()):
            for metric, columns in block.families:
                family = Family(metric.name.removesuffix("_total"), metric.meaning, metric.kind)
                for sample, labels, values in columns:
                    family.samples += [
                        Sample(sample, dict(row + labels), value)
                        for row, value in zip(block.rows, values, strict=True)
                        if value is not None
                    ]
                yield family

    def describe(self) -> Iterable[Family]:
        """Nothing, so that registering does not read the figures."""
        return ()

    def parts(self) -> Iterator[str]:
        """The text format in parts, each made in 20 to 40 ms at most: an event loop can do other things in between.

        What one part reads is of one moment: the cells of one window, the backlog, the health.
        """
        for block in self._blocks():
            if block is None:
                yield ""
                continue
            starts = [_label_text(row) for row in block.rows]
            for metric, columns in block.families:
                lines = [f"# HELP {metric.name} {metric.meaning}\n# TYPE {metric.name} {metric.kind}\n"]
                for sample, labels, values in columns:
                    head, tail = f"{sample}{{", f"{_label_text(labels)}}} "
                    lines += [
                        f"{head}{start}{tail}{value!r}\n"
                        for start, value in zip(starts, values, strict=True)
                        if value is not None
                    ]
                yield "".join(lines)

    def render(self) -> bytes:
        """What ``generate_latest`` gives of :meth:`collect`, but for the order of labels."""
        return "".join(self.parts()).encode()


def _label_text(labels: Labels) -> str:
    """``a="b",c="d",``: the format allows the comma before the closing brace."""
    return "".join(f'{name}="{_escaped(value)}",' for name, value in labels)


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
