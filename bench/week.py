"""A simulated week through Kafka with agreements, the worker restarted on the way, then ``deskpulse verify``.

Not how fast but whether it is right: late and doubled records, restarts in the middle, every target, opening hours; in
the end nothing may differ from what the archive says.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby, islice
from typing import Any, Final

from bench.report import Result, Table
from bench.running import MIB, BenchError, Worker, environment, pinned, wait_until, worker
from bench.stage import stage
from schemas.outputs import SLA_EVENTS
from sources.publisher import Publisher
from sources.simulator import Delivery, SimulatorConfig, simulate
from sources.traffic import publish

RESTARTS: Final = (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL)
START: Final = "2026-03-23"
"""A Monday: the clocks of Berlin change in that week, and Easter is while its last tickets are worked on."""
DEADLINE_SECONDS: Final = 1_800.0
SETTINGS: Final = """\
[calendars.berlin]
zone = "Europe/Berlin"
hours = { mon-fri = ["08:00-12:00", "13:00-18:00"], sat = ["09:00-13:00"] }
holidays = { country = "DE", subdivision = "BE", dates = ["2026-03-27"] }

[calendars.new_york]
zone = "America/New_York"
hours = { mon-fri = ["09:00-17:00"] }
holidays = { country = "US" }

[[policies]]
name = "urgent"
when = { priority = ["urgent"] }
targets = { first_reply = "5m", next_reply = "15m", periodic_update = "2h", agent_work = "3h", resolution = "4h" }

[[policies]]
name = "america"
when = { region = ["us"], channel = ["email", "self_service"] }
calendar = "new_york"
targets = { first_reply = "2h", next_reply = "4h", requester_wait = "1d", agent_work = "6h", resolution = "5d" }

[[policies]]
name = "enterprise"
when = { tier = ["enterprise", "pro"] }
calendar = "berlin"
at_risk = 0.5
targets = { first_reply = "1h", next_reply = "2h", periodic_update = "8h", requester_wait = "12h", resolution = "2d" }

[[policies]]
name = "talk"
when = { channel = ["chat", "phone"], priority = ["normal", "high"] }
targets = { first_reply = "60s", next_reply = "3m", agent_work = "30m" }

[[policies]]
name = "others"
when = { priority = ["normal", "high"] }
calendar = "berlin"
targets = { first_reply = "4h", next_reply = "8h", requester_wait = "16h", resolution = "3d" }
"""
_UNLIMITED: Final = "unlimited"
_SLICE_MS: Final = 6 * 3_600_000
"""So much of the week is published at once and then read to its end, so that what is late comes after its time."""


def week(tickets: int, days: float, late: float, duplicates: float) -> Result:
    """Publish the week slice by slice, while workers take turns; verify what the last one leaves."""
    start_ms = int(datetime.fromisoformat(f"{START}T00:00Z").timestamp() * 1000)
    config = SimulatorConfig(start_ms, tickets=tickets, days=days, late=late, duplicates=duplicates)
    slices = groupby(simulate(config), key=lambda delivery: (delivery[0] - start_ms) // _SLICE_MS)
    of_a_life = -(-int(days * 24 * 3_600_000) // _SLICE_MS // (len(RESTARTS) + 1))
    with stage() as on:
        on.make_topics(inputs=True)
        (on.folder / "deskpulse.toml").write_text(SETTINGS)
        settings = on.settings("week", "processor,sink") | {
            "config": on.folder / "deskpulse.toml",
            "clickhouse.path": on.folder / "clickhouse",
            "worker.clock": "event",
            "worker.horizon": _UNLIMITED,
            "worker.session_timeout": "3s",
            **{
                f"clickhouse.retention.{table}": _UNLIMITED
                for table in ("events", "facts", "minute_cells", "hour_cells", "sla_events")
            },
        }
        publisher = Publisher(on.client)
        publisher.connect()
        look = on.folder / "look.json"
        began = time.monotonic()
        published = 0
        for by in RESTARTS:
            with worker(on.folder, settings) as running:
                published += _feed(running, publisher, islice(slices, of_a_life), cut_off=True)
                if by == signal.SIGKILL:
                    os.kill(running.pid, by)
        with worker(on.folder, settings) as running:
            published += _feed(running, publisher, slices, cut_off=False)
            url = f"http://127.0.0.1:{running.port}"
            saved, told, _ = _verify(settings, "--save", look, "--url", url, "--wait", f"{DEADLINE_SECONDS:g}s")
            if saved != 0:
                raise BenchError(f"the worker did not get to its end: {told}")
        processed = time.monotonic() - began
        began = time.monotonic()
        _, found, memory = _verify(settings, "--look", look)
        verified = time.monotonic() - began
        raised = on.records([SLA_EVENTS])[SLA_EVENTS]
    return _result(found, published, raised, processed, verified, memory)


def _feed(
    running: Worker, publisher: Publisher, slices: Iterable[tuple[int, Iterator[Delivery]]], *, cut_off: bool
) -> int:
    """Publish some slices, each when the one before was read; ``cut_off``: go when half of the last one is read."""
    running.await_ready()
    wait_until(lambda: _read(running)[1], DEADLINE_SECONDS, "what an earlier worker left is read", 0.2)
    before = _read(running)[0]
    published = of_slice = 0
    for _, records in slices:
        _await_read(running, before + published)
        of_slice = publish(records, publisher).total()
        published += of_slice
    _await_read(running, before + published - (of_slice // 2 if cut_off else 0))
    return published


def _await_read(running: Worker, records: int) -> None:
    wait_until(lambda: _read(running)[0] >= records, DEADLINE_SECONDS, f"{records:,} records are read", 0.1)


def _read(running: Worker) -> tuple[int, bool]:
    """How many records a worker has read, and whether it knows of no more."""
    status = running.status()
    return (
        (0, False) if status is None else (sum(status["health"]["events"].values()), not status["health"]["input_lag"])
    )


def _verify(settings: Mapping[str, object], *arguments: object) -> tuple[int, Any, float]:
    """Exit code, document, and the most memory that it took, in MiB."""
    command = pinned(None, "-m", "deskpulse", "verify", *map(str, arguments), "--format", "json")
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, text=True) as running:
        said = running.stdout.read() if running.stdout else ""
        # Not `wait`, which does not tell of the memory.
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    try:
        return running.returncode, json.loads(said), usage.ru_maxrss * 1024 / MIB
    except json.JSONDecodeError:
        raise BenchError(f"deskpulse verify ended with code {running.returncode}") from None


def _result(
    found: dict[str, Any], published: int, raised: int, processed: float, verified: float, memory: float
) -> Result:
    differences = found["differences"]
    rows = [
        ["records published", f"{published:,}"],
        *([name.replace("_", " "), f"{number:,}"] for name, number in found["counts"].items()),
        ["SLA events published", f"{raised:,}"],
        ["restarts", ", ".join(by.name for by in RESTARTS)],
        ["differences", f"{differences['total']:,}"],
    ]
    notes = [
        f"Processed in {processed:.0f} s with the restarts; verified in {verified:.0f} s with {memory:.0f} MiB.",
        *found["told"],
    ]
    notes += [
        f"{one['kind']}: {one['where']}: {one['name']}: expected {one['expected']}, found {one['found']}"
        for one in differences["shown"]
    ]
    data = {**found, "published": published, "sla_events_published": raised, "processed_seconds": processed}
    table = Table("A simulated week, and what differs from its archive", ["", ""], rows)
    return Result("week", [table], {**data, "verified_seconds": verified, "verified_mib": memory}, notes)
