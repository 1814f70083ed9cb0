"""``python -m tests.simulation``: the worker's core against an in-memory log, seed by seed."""

from __future__ import annotations

import json
import sys
import time
from enum import StrEnum
from typing import Annotated

import typer

from tests.simulation.defects import Defect
from tests.simulation.running import Outcome, run_seed, run_seeds, set_up
from tests.simulation.steps import Tally

PROGRESS_SECONDS = 5.0
MOST_TOLD = 5
"""So many findings are told of a seed that fails."""

app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


class Format(StrEnum):
    """How the outcome is told."""

    text = "text"
    json = "json"


@app.command(epilog="Example: python -m tests.simulation --seeds 10000, and python -m tests.simulation --seed 103")
def simulate(
    seeds: Annotated[int, typer.Option(min=1, metavar="N", help="Run so many seeds.")] = 1_000,
    first: Annotated[int, typer.Option(metavar="N", help="The first of them.")] = 1,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Run this one alone, and tell its story.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, metavar="N", help="Cores to use; by default all.")] = None,
    defect: Annotated[Defect, typer.Option(help="Put a known error into the system.")] = Defect.NONE,
    answer: Annotated[Format, typer.Option("--format", help="How to tell the outcome.")] = Format.text,
) -> None:
    """Run the worker's core against an in-memory log with crashes, rebalances, outages and jumping clocks.

    The end of each seed is compared with the oracle. Exits with 1 where one differs.
    """
    began = time.monotonic()
    if seed is not None:
        set_up()
        outcomes = [run_seed(seed, defect, told=True)]
    else:
        outcomes = []
        told_at = began
        for outcome in run_seeds(range(first, first + seeds), defect, jobs):
            outcomes.append(outcome)
            if outcome.findings:
                print(_failure(outcome), file=sys.stderr)
            if time.monotonic() - told_at >= PROGRESS_SECONDS:
                told_at = time.monotonic()
                failed = sum(bool(one.findings) for one in outcomes)
                print(f"{len(outcomes):,} of {seeds:,} seeds, {failed} failed", file=sys.stderr)
    seconds = time.monotonic() - began
    total = Tally.total(outcome.tally for outcome in outcomes)
    failed = [outcome for outcome in outcomes if outcome.findings]
    if answer is Format.json:
        print(json.dumps(_as_json(total, failed, seconds, outcomes[0].story), indent=2))
    else:
        for line in outcomes[0].story:
            print(line)
        if seed is not None and failed:
            print(_failure(failed[0]))
        print(_as_text(total, seconds))
    raise typer.Exit(1 if failed else 0)


def _failure(outcome: Outcome) -> str:
    told = [f"  {finding.kind}: {finding.what}" for finding in outcome.findings[:MOST_TOLD]]
    more = len(outcome.findings) - MOST_TOLD
    return "\n".join(
        [
            f"seed {outcome.seed} failed; again, with its story: make simulate SEED={outcome.seed}",
            *told,
            *([f"  and {more} more"] if more > 0 else []),
        ]
    )


def _as_json(total: Tally, failed: list[Outcome], seconds: float, story: list[str]) -> dict[str, object]:
    return {
        **vars(total),
        "seconds": round(seconds, 1),
        "failed": {
            outcome.seed: [{"kind": finding.kind, "what": finding.what} for finding in outcome.findings]
            for outcome in failed
        },
        "story": story,
    }


def _as_text(total: Tally, seconds: float) -> str:
    def by_step(counts: dict[str, int]) -> str:
        listed = ", ".join(f"{step} {n:,}" for step, n in sorted(counts.items(), key=lambda one: -one[1]))
        return f"{sum(counts.values()):,}" + (f" ({listed})" if listed else "")

    lines = {
        "seeds": f"{total.seeds:,} in {seconds:.0f} s",
        "events": f"{total.events:,} records, {total.duplicates:,} of them duplicates; {total.commits:,} transactions",
        "crashes": by_step(total.crashes),
        "failed requests": by_step(total.errors),
        "requests that took long": by_step(total.stalls),
        "rebalances": f"{total.rebalances:,}",
        "live workers": f"{total.stops:,} stopped, {total.expelled:,} expelled, {total.replaced:,} started twice",
        "fenced zombies": f"{total.fenced:,}; {total.timed_out:,} transactions aborted by the coordinator",
        "sink": f"{total.outages:,} outages, {total.failed_inserts:,} inserts failed, "
        f"{total.doubled_inserts:,} doubled",
        "states given back": f"{total.retained:,} used again, {total.superseded:,} superseded",
        "settings": f"{total.reconfigured:,} changes",
        "clock": f"{total.clock_jumps:,} jumps forward, {total.clock_steps_back:,} steps back",
        "result": f"lost {total.lost:,}, doubled {total.doubled:,}, wrong {total.wrong:,}",
    }
    return "\n".join(f"{name:24}{told}" for name, told in lines.items())


if __name__ == "__main__":
    app()
