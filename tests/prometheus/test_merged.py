"""The PromQL of the documentation gives the figures of the whole desk from those of its workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from deskpulse.metrics_reference import MERGED, denominator
from sinks import metric_names as names
from streams.figures import FIGURES, Figure, Mean, Ratio, Share
from streams.live import Group
from tests.prometheus.conftest import LIVE
from tests.prometheus.server import Prometheus

BY_NAME = {figure.name: figure for figure in FIGURES}


@dataclass(frozen=True)
class Cell:
    """A window and group, and the totals of all workers together."""

    window: str
    group: Group
    totals: Counter[int]

    def labels(self, **more: str) -> frozenset[tuple[str, str]]:
        """The labels of its samples; Prometheus has no labels without a value."""
        found = {"window": self.window, "dimension": self.group.dimension, "value": self.group.value, **more}
        return frozenset((name, value) for name, value in found.items() if value)


def cells() -> Iterator[Cell]:
    for window in LIVE[0].totals:
        for group in LIVE[0].totals[window]:
            together: Counter[int] = Counter()
            for live in LIVE:
                together.update(live.totals[window].get(group, {}))
            yield Cell(window, group, together)


def check(found: dict[frozenset[tuple[str, str]], float], figures: list[Figure]) -> None:
    expected = {}
    for cell in cells():
        for figure in figures:
            value = figure.value(cell.totals)
            if value is not None:
                expected[cell.labels(**dict(figure.labels))] = value
    assert found == pytest.approx(expected)
    assert len(expected) > 10


def query(like: str) -> str:
    (found,) = [promql for wanted, promql in MERGED.items() if like in promql]
    return found


def test_counts_add_up(prometheus: Prometheus) -> None:
    documented = query("support_tickets_created")
    check(prometheus.ask(documented), [BY_NAME["created"]])
    check(prometheus.ask(documented.replace("tickets_created", "net_flow")), [BY_NAME["net_flow"]])


@pytest.mark.parametrize("figure", [f for f in FIGURES if isinstance(f, Ratio) and not f.labels], ids=lambda f: f.name)
def test_ratios_and_scores_are_weighted_by_their_denominator(prometheus: Prometheus, figure: Ratio) -> None:
    documented = query("support_fcr_ratio")
    asked = documented.replace("support_tickets_solved", denominator(figure)).replace(
        "support_fcr_ratio", names.PREFIX + figure.metric
    )
    check(prometheus.ask(asked), [figure])


@pytest.mark.parametrize("figure", [figure for figure in FIGURES if isinstance(figure, Mean)], ids=lambda f: f.name)
def test_means_are_sums_by_counts(prometheus: Prometheus, figure: Mean) -> None:
    check(prometheus.ask(query("first_reply_seconds_sum").replace("first_reply", figure.of)), [figure])


def test_shares_are_weighted_by_the_number_of_durations(prometheus: Prometheus) -> None:
    shares: list[Figure] = [figure for figure in FIGURES if isinstance(figure, Share) and figure.of == "first_reply"]
    check(prometheus.ask(query("under_ratio")), shares)


def test_attainment_is_what_was_met_of_what_was_decided(prometheus: Prometheus) -> None:
    attainments: list[Figure] = [figure for figure in FIGURES if figure.metric == "sla_attainment_ratio"]
    check(prometheus.ask(query("support_sla_met")), attainments)


def test_what_runs_and_who_waits_adds_up(prometheus: Prometheus) -> None:
    everything = next(iter(LIVE[0].backlog))
    running = prometheus.ask(query("support_sla_instances"))
    expected = sum(live.sla[everything].get(("first_reply", "breached"), 0) for live in LIVE)
    assert running[frozenset({("target", "first_reply"), ("state", "breached"), ("dimension", "all")})] == expected > 0
    waiting = prometheus.ask(query("support_unanswered_tickets"))
    assert waiting[frozenset({("dimension", "all")})] == sum(live.unanswered[everything] for live in LIVE) > 0


def test_the_backlog_adds_up_and_the_oldest_is_the_oldest_of_all(prometheus: Prometheus) -> None:
    everything = next(iter(LIVE[0].backlog))
    tickets = prometheus.ask(query("support_backlog_tickets"))
    oldest = prometheus.ask(query("oldest_age"))
    open_ = sum(live.backlog[everything].get("open", 0) for live in LIVE)
    assert tickets[frozenset({("status", "open"), ("dimension", "all")})] == open_
    ages = [live.ages[everything].oldest_seconds for live in LIVE]
    assert oldest[frozenset({("dimension", "all")})] == max(age for age in ages if age is not None)
