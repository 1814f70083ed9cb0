"""``python -m tests.chaos``: a real broker and real workers are beaten, and nothing may show of it.

Exit code 0 when nothing was lost, doubled or wrong; 1 otherwise, with the seed, the time line and the folder of the
logs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos import command
from tests.chaos.faults import Dose
from tests.chaos.run import Run, run


def main() -> int:
    asked = _parser().parse_args()
    share = asked.seconds / 600
    dose = Dose(
        kills=asked.kills,
        brokers=asked.brokers if asked.brokers is not None else max(1, round(4 * share)),
        outages=asked.outages if asked.outages is not None else max(1, round(5 * share)),
        outage_seconds=min(12.0, asked.seconds / 8),
        freezes=asked.freezes if asked.freezes is not None else max(1, round(3 * share)),
    )
    what = Run(
        asked.seed,
        asked.seconds,
        dose,
        asked.rate,
        asked.day,
        poison=max(24, round(200 * share)),
        on_disk=asked.on_disk,
    )

    def measure(folder: Path) -> dict[str, Any]:
        outcome = run(what, folder)
        if not outcome.ok:
            print(f"{outcome.timeline}\nseed {asked.seed}, logs in {folder}", file=sys.stderr)
        return outcome.document()

    return command.execute("chaos", asked, measure, None if asked.format == "json" else _text)


def _text(found: Mapping[str, Any]) -> str:
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in found["figures"].items()]
    lines += [f"lost {found['lost']}, doubled {found['doubled']}, wrong {found['wrong']}", *found["told"]]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = command.options("tests.chaos", __doc__, "--seconds 120 --kills 10 --seed 7 --format json")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long there is traffic (default 600)")
    parser.add_argument("--kills", type=int, default=24, help="SIGKILLs; every fifth takes all workers (default 24)")
    parser.add_argument("--rate", type=float, default=300.0, help="events per second (default 300)")
    parser.add_argument("--day", type=float, default=120.0, help="seconds that a simulated day takes (default 120)")
    parser.add_argument("--brokers", type=int, help="restarts of the broker (default: by the length)")
    parser.add_argument("--outages", type=int, help="times that ClickHouse is away (default: by the length)")
    parser.add_argument("--freezes", type=int, help="workers that become zombies (default: by the length)")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    command.add_seed(parser)
    command.add_on_disk(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
