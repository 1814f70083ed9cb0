"""Runs seeds, one after the other or on all cores."""

from __future__ import annotations

import logging
import os
import random
import traceback
from collections.abc import Iterable, Iterator
from functools import partial
from multiprocessing import get_context
from typing import NamedTuple

from deskpulse.allocator import collect_seldom
from tests.simulation.defects import Defect
from tests.simulation.faults import Faults
from tests.simulation.happenings import Happenings
from tests.simulation.judge import Finding, judge
from tests.simulation.steps import Tally
from tests.simulation.undisturbed import StuckError, begin, end
from tests.simulation.world import World

AT_ONCE = 20
"""Seeds that a core is given at a time."""


class Outcome(NamedTuple):
    """What one seed brought."""

    seed: int
    tally: Tally
    findings: list[Finding]
    story: list[str]
    """What happened, where it was asked for."""


def run_seed(seed: int, defect: Defect = Defect.NONE, faults: Faults | None = None, *, told: bool = False) -> Outcome:
    """Run one seed and judge its end. An error of the program is a finding, too."""
    world = World(seed, defect, faults, told=told)
    try:
        _run(world)
        findings = judge(world)
    except StuckError as error:
        findings = [Finding("wrong", error) for error in (str(error), *world.errors)]
    except Exception:
        findings = [Finding("wrong", traceback.format_exc())]
    for finding in findings:
        setattr(world.tally, finding.kind, getattr(world.tally, finding.kind) + 1)
    return Outcome(seed, world.tally, findings, world.story or [])


def _run(world: World) -> None:
    kept = random.getstate()
    random.seed(world.seed)  # The sink's pauses have jitter.
    try:
        with world.loop.running():
            begin(world)
            Happenings(world).happen()
            end(world)
    finally:
        random.setstate(kept)
    tally, broker = world.tally, world.broker
    tally.events, tally.duplicates = len(world.plan.deliveries), world.plan.duplicates
    tally.commits, tally.fenced = broker.commits, broker.fenced
    tally.rebalances = sum(group.rebalances for group in broker.groups.values())
    world.errors += ["".join(traceback.format_exception(error)) for error in world.loop.errors]


def run_seeds(seeds: Iterable[int], defect: Defect = Defect.NONE, jobs: int | None = None) -> Iterator[Outcome]:
    """Run many seeds, by default on all cores; in any order."""
    jobs = jobs or os.cpu_count() or 1
    run = partial(run_seed, defect=defect)
    if jobs == 1:
        yield from map(run, seeds)
        return
    with get_context("spawn").Pool(jobs, set_up) as pool:
        yield from pool.imap_unordered(run, seeds, AT_ONCE)


def set_up() -> None:
    """What a process is told that runs many seeds: no log, no searching for garbage among few objects."""
    logging.disable(logging.CRITICAL)
    collect_seldom()
