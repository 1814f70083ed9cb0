"""A part of ``make chaos``: kills and an outage of ClickHouse while records come in, and nothing shows of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos import faults
from tests.chaos.faults import Dose, plan
from tests.chaos.run import Run, run

POISON = 24
SMALL = Run(
    seed=1,
    seconds=10,
    dose=Dose(kills=3, brokers=0, outages=1, outage_seconds=3, freezes=0),
    events_per_second=150,
    day_seconds=30,
    poison=POISON,
    late=0,
    partitions=4,
    longest_target_seconds=3,
)


def test_kills_and_an_outage_of_clickhouse_show_in_no_figure(tmp_path: Path) -> None:
    outcome = run(SMALL, tmp_path)
    figures = outcome.figures
    assert (outcome.lost, outcome.doubled, outcome.wrong) == (0, 0, 0), f"{outcome.timeline}\n{outcome.told}"
    assert (figures["kills"], figures["clickhouse_outages"], figures["dead_letters"]) == (3, 1, POISON)
    assert all(figures[name] > 100 for name in ("counted", "tickets", "cells", "sla_events", "breaches"))
    assert figures["verify"]["gauges"] > 100
    assert figures["verify"]["events"] == figures["counted"] + figures["duplicates"]


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_has_what_was_asked_for_and_follows_from_its_seed(seed: int) -> None:
    dose = Dose(kills=20, brokers=3, outages=2, freezes=4)
    told = plan(seed, 300, 2, dose)
    assert told == sorted(plan(seed, 300, 2, dose))
    assert told != plan(seed + 1, 300, 2, dose)
    kinds = [fault.kind for fault in told]
    assert [kinds.count(kind) for kind in (faults.FREEZE, faults.CLICKHOUSE)] == [4, 2]
    assert kinds.count(faults.KILL) == 20 + 4, "every fifth takes both workers"
    assert kinds.count(faults.BROKER) + kinds.count(faults.BROKER_KILL) == 3
    assert all(0 < fault.at_seconds < 300 for fault in told)
