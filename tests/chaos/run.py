"""One run: traffic and faults, then quiet, then everything is compared."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.running import BenchError
from tests.chaos import traffic
from tests.chaos.audit import Findings, audit, read_all
from tests.chaos.conductor import Conductor
from tests.chaos.desk import SETTINGS, START_SECONDS, Desk, policies
from tests.chaos.faults import Dose, plan
from tests.chaos.feed import Feed
from tests.chaos.traffic import Shape

_LEAD_MS: Final = 300
_DRAIN_SECONDS: Final = 180.0
_QUIET_SECONDS: Final = 1.5


@dataclass(frozen=True)
class Run:
    """What is to be done."""

    seed: int
    seconds: float
    dose: Dose
    events_per_second: float = 300.0
    day_seconds: float = 120.0
    poison: int = 100
    late: int = 40
    workers: int = 2
    partitions: int = 6
    longest_target_seconds: float = 8.0
    on_disk: bool = False


@dataclass
class Outcome:
    """What came of it."""

    run: dict[str, Any]
    figures: dict[str, Any]
    lost: int
    doubled: int
    wrong: int
    told: list[str] = field(default_factory=list)
    timeline: str = ""
    folder: str = ""

    @property
    def ok(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def document(self) -> dict[str, Any]:
        """As JSON values, without the time line, which is for people."""
        told = asdict(self)
        del told["timeline"]
        return {"ok": self.ok, **told}


def run(what: Run, folder: Path) -> Outcome:
    """Beat the system and look at what is left. Raises :class:`BenchError` when it does not come to its end."""
    settings = SETTINGS + policies(what.longest_target_seconds)
    size = {"workers": what.workers, "partitions": what.partitions}
    with Desk(folder, **size, settings=settings, on_disk=what.on_disk) as desk:
        try:
            return _run(what, desk)
        except Exception as error:
            raise BenchError(f"seed {what.seed}: {error}\n{desk.timeline}\nlogs: {folder}") from error


def _run(what: Run, desk: Desk) -> Outcome:
    old = traffic.old_tickets(time.time_ns() // 1_000_000) if what.late else []
    feed = Feed(desk.client, old)
    feed.start()
    feed.finish(30)
    desk.start_workers()
    if old:
        # One that may not leave yet, as what the customer's others say is still to come, is looked at a minute later.
        quiet = _Quiet(desk)
        left = lambda: _read(desk) == len(old) and not _tracked(desk) and quiet()  # noqa: E731
        desk.await_that(left, START_SECONDS, "the old tickets have left")
    start_ms = time.time_ns() // 1_000_000 + _LEAD_MS
    shape = Shape(what.seed, what.seconds, what.events_per_second, what.day_seconds, what.poison, what.late)
    records = traffic.records(shape, start_ms)
    feed = Feed(desk.client, records)
    desk.timeline.tell(f"traffic begins: {len(records):,} records in {what.seconds:g} s")
    feed.start()
    faults = plan(what.seed, what.seconds, len(desk.workers), what.dose)
    conductor = Conductor(desk, faults)
    conductor.run()
    desk.await_that(lambda: not feed.is_alive(), what.seconds + 120, "everything is published")
    feed.finish(0)
    desk.timeline.tell("everything is published")
    desk.await_ready(_DRAIN_SECONDS)
    # Nothing falls due any more after this, so that now is as good as any later time.
    settled_at = time.monotonic() + what.longest_target_seconds + 0.5
    desk.await_that(lambda: time.monotonic() > settled_at, _DRAIN_SECONDS, "every clock has run out")
    now_ms = time.time_ns() // 1_000_000
    verified = _verify(desk)
    desk.timeline.tell("the workers have ended")
    findings = audit(read_all(desk.client), [*old, *records], desk.config, now_ms)
    desk.timeline.tell("audited")
    return _outcome(what, desk, conductor, findings, verified)


def _tracked(desk: Desk) -> int:
    return sum(status["health"]["tracked_tickets"] if status else 1 for status in desk.statuses())


def _read(desk: Desk) -> int:
    return sum(sum(status["health"]["events"].values()) for status in desk.statuses() if status)


class _Quiet:
    """Whether no worker has anything to do, and none has done anything for a while."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._done: list[Any] = []
        self._since = time.monotonic()

    def __call__(self) -> bool:
        statuses = self._desk.statuses()
        healths = [status["health"] for status in statuses if status]
        done = [[health[name] for name in ("events", "commits", "published", "sink_records")] for health in healths]
        if done != self._done or len(healths) < len(statuses):
            self._done, self._since = done, time.monotonic()
        lags = any(health[name] for health in healths for name in ("input_lag", "sink_lag", "commit_age_seconds"))
        return not lags and time.monotonic() - self._since > _QUIET_SECONDS


def _verify(desk: Desk) -> dict[str, Any]:
    """What ``deskpulse verify`` says, its gauges included; then the workers end in order."""
    urls = [part for url in desk.urls for part in ("--url", url)]
    found = desk.deskpulse("verify", "--wait", "180s", "--format", "json", *urls)
    try:
        document: dict[str, Any] = json.loads(found.stdout)
    except json.JSONDecodeError:
        raise BenchError(f"verify: {found.stdout}{found.stderr}"[-3000:]) from None
    desk.timeline.tell(f"verify: {document['differences']['total']} differences; {found.stderr.strip()}")
    if not document["idle"]:
        raise BenchError(f"verify found no moment at which the system was idle: {found.stderr}"[-3000:])
    for worker in desk.workers:
        code = worker.stop()
        if code:
            raise BenchError(f"worker {worker.name} ended with code {code} when it was told to end in order")
    return document


def _outcome(what: Run, desk: Desk, conductor: Conductor, findings: Findings, verified: dict[str, Any]) -> Outcome:
    differences = verified["differences"]
    for one in differences["shown"]:
        findings.told.append(f"verify: {json.dumps(one)}")
    figures = {
        "seconds": round(desk.timeline.seconds(), 1),
        "kills": sum(worker.kills for worker in desk.workers),
        "rebalances": desk.rebalances(),
        "ended_themselves": sum(worker.own_ends for worker in desk.workers),
        "replaced_themselves": sum(worker.lives_ended() for worker in desk.workers),
        "broker_restarts": conductor.happened["broker"] + conductor.happened["broker_kill"],
        "clickhouse_outages": conductor.happened["clickhouse"],
        "zombies": conductor.happened["freeze"],
        **findings.counts,
        "verify": verified["counts"] | {"differences": differences["total"], "told": verified["told"]},
    }
    wrong = findings.wrong + differences["total"]
    return Outcome(
        asdict(what),
        figures,
        findings.lost,
        findings.doubled,
        wrong,
        findings.told,
        str(desk.timeline),
        str(desk.folder),
    )
