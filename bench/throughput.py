"""Events a second on one core: the whole processor, a raw reading loop, and stock Faust, taking turns on one broker."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.report import Result, Table, spread
from bench.running import BenchError, Worker, answer_of, wait_until, worker
from bench.stage import PARTITIONS, Desk, Offsets, Stage, stage
from deskpulse.local.processes import spawn
from schemas.events import INPUT_TOPICS
from schemas.outputs import CELLS, CONTACTS, CUSTOMERS, FACTS, HISTORIES

CORE: Final = 0
STOCK_EVENTS: Final = 20_000
DEADLINE_SECONDS: Final = 300.0
AGREEMENTS: Final = Path(__file__).parents[1] / "deskpulse" / "demo.toml"
_PROFILES: Final = {".svg": "flamegraph", ".txt": "raw"}

Weighed = tuple[float, dict[str, float]]


@dataclass(frozen=True)
class Run:
    """One round of one program."""

    events: int
    seconds: float
    """By the wall clock, from the first batch on."""
    cpu_seconds: float
    cpu_by_thread: Mapping[str, float] = field(default_factory=dict)
    """Of the worker: the event loop, librdkafka, the rest."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def cpu_rate(self) -> float:
        """Events a second of processor time: what no other program on the machine changes much."""
        return self.events / self.cpu_seconds


def throughput(events: int, rounds: int, days: Sequence[float], profile: Path | None = None) -> Result:
    """Measure desks whose tickets come in within so many days each; a profile is of the last round."""
    tables, found = [], []
    with stage() as on:
        for number, span in enumerate(days):
            desk = Desk(events, span)
            on.make_topics(inputs=True)
            total = on.publish(desk)
            inputs = on.ends(INPUT_TOPICS)
            prefix = f"stock-{number}."
            few = on.publish_plainly(desk, min(total, STOCK_EVENTS), prefix)
            runs: dict[str, list[Run]] = {"raw": [], "deskpulse": [], "agreements": [], "faust": []}
            for turn in range(rounds):
                runs["raw"].append(raw(on, inputs))
                told = profile if turn == rounds - 1 else None
                runs["deskpulse"].append(processor(on, f"bench-{number}-{turn}", total, inputs, told))
                group = f"agreements-{number}-{turn}"
                runs["agreements"].append(processor(on, group, total, inputs, config=AGREEMENTS))
                runs["faust"].append(stock(on, f"stock-{number}-{turn}", few, prefix))
            written = on.records((HISTORIES, FACTS, CELLS, CUSTOMERS, CONTACTS))
            tables.append(_table(desk, total, runs))
            found.append(_data(desk, total, runs, written))
    notes = [
        f"{one['span']}: the last round wrote {_told(one['written'])}; its processor time: {_shares(one['runs'])}."
        for one in found
    ]
    return Result("throughput", tables, {"desks": found}, notes)


def raw(on: Stage, inputs: Offsets) -> Run:
    """Read and decode everything, nothing else."""
    ends = [[topic, number, end] for (topic, number), end in inputs.items()]
    return Run(**answer_of(CORE, "raw", on.folder, {"bootstrap": on.bootstrap, "ends": ends}, DEADLINE_SECONDS))


def stock(on: Stage, name: str, events: int, prefix: str) -> Run:
    """Stock Faust on the first events."""
    topics = [prefix + topic for topic in INPUT_TOPICS]
    question = {"bootstrap": on.bootstrap, "name": name, "topics": topics, "events": events, "partitions": PARTITIONS}
    return Run(**answer_of(CORE, "stock", on.folder, question, DEADLINE_SECONDS))


def processor(
    on: Stage, group: str, total: int, inputs: Offsets, profile: Path | None = None, config: Path | None = None
) -> Run:
    """The worker with the role ``processor``, on new output topics, in a new group."""
    on.make_topics(inputs=False)
    settings = on.settings(group, clock="event") | ({} if config is None else {"config": config})
    with worker(on.folder, settings, CORE) as running:
        return processed(on, running, group, total, inputs, profile)


def processed(on: Stage, running: Worker, group: str, total: int, inputs: Offsets, profile: Path | None = None) -> Run:
    """From the last time that nothing was read yet until everything is committed, the customer step too."""
    began = _before_the_first(running)
    if profile is None:
        on.await_committed(running, group, inputs, DEADLINE_SECONDS)
        wait_until(lambda: _has_nothing_left(running), DEADLINE_SECONDS, "the end of the customer step", 0.02)
    else:
        kind = _PROFILES.get(profile.suffix, "speedscope")
        options = ["record", "--threads", "--format", kind, "--rate", "100", "--duration", "unlimited"]
        with spawn([_py_spy(), *options, "--output", str(profile.absolute()), "--pid", str(running.pid)]) as spy:
            on.await_committed(running, group, inputs, DEADLINE_SECONDS)
            run = _since(began, total, running)
            # It writes the profile when it is interrupted.
            os.kill(spy.pid, signal.SIGINT)
            spy.wait(60)
        return run
    run = _since(began, total, running)
    health = wait_until(running.status, 30, "the worker's status")["health"]
    read = sum(health["events"].values())
    if read != total or health["dead_letters"] or health["late"]:
        raise BenchError(f"of {total} events {read} were read; {health}")
    return run


def _has_nothing_left(running: Worker) -> bool:
    status: Any = running.status()
    return status is not None and not (status["health"]["inner_lag"] or status["health"]["commit_age_seconds"])


def _since(began: Weighed, total: int, running: Worker) -> Run:
    now = _weigh(running)
    by_thread = {name: seconds - began[1].get(name, 0.0) for name, seconds in now[1].items()}
    return Run(total, now[0] - began[0], sum(by_thread.values()), by_thread)


def _weigh(running: Worker) -> Weighed:
    return time.monotonic(), running.cpu_by_thread()


def _before_the_first(running: Worker) -> Weighed:
    """The wall clock and the worker's processor time when it was last seen to have read nothing."""
    until = time.monotonic() + 120
    before = _weigh(running)
    while time.monotonic() < until:
        asked = _weigh(running)
        status: Any = running.status()
        if status is not None and sum(status["health"]["events"].values()):
            return before
        before = asked
        time.sleep(0.01)
    raise BenchError("the worker has read nothing within 120 s")


def _py_spy() -> str:
    found = shutil.which("py-spy") or shutil.which("py-spy", path=str(Path(sys.executable).parent))
    if found is None:
        raise BenchError("--profile needs py-spy on the PATH: pip install py-spy")
    return found


def _table(desk: Desk, total: int, runs: dict[str, list[Run]]) -> Table:
    base = median(run.rate for run in runs["raw"])
    named = {
        "raw": "raw: consume() and decode",
        "deskpulse": "deskpulse processor, everything on",
        "agreements": "the same with service-level policies, six targets",
        "faust": f"stock Faust, one table ({runs['faust'][0].events:,} events)",
    }
    rows = [
        [
            named[name],
            *spread([run.rate for run in of]),
            f"{median(run.cpu_rate for run in of):,.0f}",
            f"{median(run.rate for run in of) / base:.3f}",
        ]
        for name, of in runs.items()
    ]
    title = f"{total:,} events, {desk.tickets:,} tickets that come in within {desk.told}; events/s on one core"
    return Table(title, ["", "min", "median", "max", "per CPU second", "of raw"], rows)


def _data(desk: Desk, total: int, runs: dict[str, list[Run]], written: dict[str, int]) -> dict[str, Any]:
    medians = {name: median(run.rate for run in of) for name, of in runs.items()}
    return {
        "span": desk.told,
        "events": total,
        "tickets": desk.tickets,
        "events_per_second": {name: round(rate) for name, rate in medians.items()},
        "share_of_raw": round(medians["deskpulse"] / medians["raw"], 4),
        "written": written,
        "runs": {name: [asdict(run) for run in of] for name, of in runs.items()},
    }


def _shares(runs: dict[str, list[dict[str, Any]]]) -> str:
    last = runs["deskpulse"][-1]
    shares = {name: seconds / last["cpu_seconds"] for name, seconds in last["cpu_by_thread"].items()}
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def _told(written: dict[str, int]) -> str:
    return ", ".join(f"{number:,} records to {topic}" for topic, number in written.items())
