"""Seeds of crashes, rebalances, outages and jumping clocks end as the oracle says; known defects show.

These are few: CI runs a thousand beside the suite (``.ci/run``).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from tests.simulation.__main__ import app
from tests.simulation.defects import Defect
from tests.simulation.faults import ZOMBIES, Faults
from tests.simulation.running import run_seed, run_seeds
from tests.simulation.steps import Step, Tally

SEEDS = 300
MOST_SEEDS = 300
"""So many seeds a defect may take to show; most show within ten."""
GIVEN_BACK = Faults(stall_share=0.15, expel=3.0, crash=0.3)
"""By these, others write to what a worker has given back, which happens seldom by others."""


def test_every_seed_ends_as_the_oracle_says_wherever_it_is_struck() -> None:
    tallies = []
    for outcome in run_seeds(range(1, SEEDS + 1)):
        told = [f"{finding.kind}: {finding.what}" for finding in outcome.findings]
        assert not told, f"make simulate SEED={outcome.seed}"
        tallies.append(outcome.tally)

    total = Tally.total(tallies)
    assert total.seeds == SEEDS
    assert {step for step, crashes in total.crashes.items() if crashes} == {*Step}
    assert (
        min(
            total.rebalances,
            total.fenced,
            total.timed_out,
            total.expelled,
            total.replaced,
            total.stops,
            total.reconfigured,
            total.retained,
        )
        > 0
    )
    assert min(total.failed_inserts, total.doubled_inserts, total.clock_jumps, total.clock_steps_back) > 0


@pytest.mark.parametrize("defect", [defect for defect in Defect if defect is not Defect.NONE])
def test_a_defect_shows(defect: Defect) -> None:
    faults = {
        Defect.SINK_COMMITS_UNINSERTED: Faults(outage=1.0),
        Defect.DISK_AHEAD: Faults(on_disk=True, crash=0.5),
        Defect.RETAINED_UNCHECKED: GIVEN_BACK,
    }.get(defect, ZOMBIES)
    outcomes = (run_seed(seed, defect, faults) for seed in range(1, MOST_SEEDS + 1))
    assert next((outcome.findings for outcome in outcomes if outcome.findings), None), f"{defect}: not noticed"


def test_a_state_that_was_given_back_is_not_used_again_where_others_have_written_meanwhile() -> None:
    outcomes = []
    for seed in range(1, MOST_SEEDS + 1):
        outcomes.append(run_seed(seed, faults=GIVEN_BACK))
        if outcomes[-1].tally.superseded:
            break
    assert outcomes[-1].tally.superseded
    assert [outcome.seed for outcome in outcomes if outcome.findings] == []


def test_a_seed_is_the_same_story_in_every_process() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", "12", "--format", "json"],
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(ran.stdout)
    assert told["story"] == run_seed(12, told=True).story
    assert told["failed"] == {}
    assert (told["lost"], told["doubled"], told["wrong"]) == (0, 0, 0)


def test_a_seed_that_fails_prints_itself_and_how_to_run_it_again() -> None:
    ran = CliRunner().invoke(app, ["--seeds", "30", "--jobs", "1", "--defect", "restore-uncommitted"])
    assert ran.exit_code == 1
    first = next(line for line in ran.stderr.splitlines() if "failed; again" in line)
    seed = int(first.removeprefix("seed ").split()[0])
    assert f"make simulate SEED={seed}" in first

    again = CliRunner().invoke(app, ["--seed", str(seed), "--defect", "restore-uncommitted"])
    assert again.exit_code == 1
    assert "a1 starts" in again.output
    assert first in again.output
