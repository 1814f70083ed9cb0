"""``python -m tests.chaos``: a real broker and real workers are beaten, and nothing may show of it.

Exit code 0 when nothing was lost, doubled or wrong; 1 otherwise, with the seed, the time line and the folder of the
logs.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path

from bench.running import BenchError
from tests.chaos.faults import Dose
from tests.chaos.run import Outcome, Run, run


def main() -> int:
    asked = _parser().parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="deskpulse-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    # What the clients of this process have to say of a broker that is away.
    logging.basicConfig(filename=folder / "chaos.log")
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
    try:
        outcome = run(what, folder)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 2
    document = json.dumps(outcome.document(), indent=1)
    if asked.out:
        asked.out.write_text(f"{document}\n")
    print(document if asked.format == "json" else _text(outcome))
    if not outcome.ok:
        print(f"{outcome.timeline}\nseed {asked.seed}, logs in {folder}", file=sys.stderr)
    return 0 if outcome.ok else 1


def _text(outcome: Outcome) -> str:
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in outcome.figures.items()]
    lines += [f"lost {outcome.lost}, doubled {outcome.doubled}, wrong {outcome.wrong}", *outcome.told]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python -m tests.chaos --seconds 120 --kills 10 --seed 7 --format json",
    )
    parser.add_argument("--seconds", type=float, default=600.0, help="how long there is traffic (default 600)")
    parser.add_argument("--kills", type=int, default=24, help="SIGKILLs; every fifth takes all workers (default 24)")
    parser.add_argument("--seed", type=int, default=1, help="traffic and faults follow from it (default 1)")
    parser.add_argument("--rate", type=float, default=300.0, help="events per second (default 300)")
    parser.add_argument("--day", type=float, default=120.0, help="seconds that a simulated day takes (default 120)")
    parser.add_argument("--brokers", type=int, help="restarts of the broker (default: by the length)")
    parser.add_argument("--outages", type=int, help="times that ClickHouse is away (default: by the length)")
    parser.add_argument("--freezes", type=int, help="workers that become zombies (default: by the length)")
    parser.add_argument("--on-disk", action="store_true", help="workers keep their state in folders (RocksDB)")
    parser.add_argument("--folder", type=Path, help="where logs and data are kept (default: a new one)")
    parser.add_argument("--out", type=Path, help="file for the summary as JSON")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


if __name__ == "__main__":
    sys.exit(main())
