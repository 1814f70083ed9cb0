"""``python -m tests.chaos.fault_time``: how long after a kill -9 the figures are live again, with many tracked tickets.

The workers are started again at once, with the settings that they have by default. Live means: ready, and a ticket that
was created after the kill is in the gauges, as are all before it, in every partition. Exit code 0 when that is within
the limit each time, else 1.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

from bench.running import BenchError
from schemas.events import TICKETS
from sources.publisher import Publisher
from sources.simulator import EVENTS_PER_TICKET, SimulatorConfig, simulate
from sources.traffic import publish
from tests.chaos import command
from tests.chaos.desk import Desk, policies
from tests.chaos.supervised import Supervised
from tests.chaos.traffic import DAY_MS

WITHIN_SECONDS: Final = 15.0
_DAYS: Final = 20
"""The tickets came in within so many days: within the horizon."""
_AGO_MS: Final = 3 * 3_600_000
"""The last of them came so long ago: the gauges of the last hour are those of the probes alone."""
_LONGEST_TARGET_SECONDS: Final = 7_200.0
_READ_SECONDS: Final = 900.0
_PROBE_SECONDS: Final = 0.1
_SETTLED_SECONDS: Final = 2.0
"""A probe that was published so long ago is in the gauges of a worker that is live."""
_DEADLINE_SECONDS: Final = 120.0
_CREATED: Final = re.compile(
    rb'^support_tickets_created\{(?=[^}]*window="1h")(?=[^}]*dimension="all")[^}]*\} (\S+)', re.MULTILINE
)


class Probes(threading.Thread):
    """Creates a ticket again and again, over all partitions."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(name="probes", daemon=True)
        self.sent: list[float] = []
        """When each was published (``time.monotonic()``)."""
        self.ended = threading.Event()
        self.failure: Exception | None = None
        self._publisher = Publisher({**desk.client, "linger.ms": 0})

    def run(self) -> None:
        try:
            while not self.ended.wait(_PROBE_SECONDS):
                ticket = f"probe-{len(self.sent)}"
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                event = {"id": ticket, "type": "ticket.created", "ticket_id": ticket, "at": at}
                event |= {"customer_id": ticket, "channel": "email", "priority": "low"}
                self.sent.append(time.monotonic())
                self._publisher.send(TICKETS, [{"key": ticket.encode(), "value": json.dumps(event).encode()}])
        except Exception as error:
            self.failure = error

    def before(self, moment: float) -> int:
        """How many were published before a moment."""
        return sum(at <= moment for at in self.sent)


def fault_time(tickets: int, kills: int, number: int, folder: Path, *, on_disk: bool = False) -> dict[str, Any]:
    """Kill one of so many workers again and again, and watch."""
    text = policies(_LONGEST_TARGET_SECONDS)
    with Desk(folder, workers=number, partitions=8, settings=text, on_disk=on_disk) as desk:
        published = _fill(desk, tickets)
        desk.timeline.tell(f"{published:,} records of {tickets:,} tickets are published")
        desk.start_workers({"worker.roles": "processor"})
        desk.await_that(lambda: _is_restful(desk, tickets), _READ_SECONDS, "all tickets are tracked")
        tracked = _tracked(desk)
        desk.timeline.tell(f"{tracked:,} tickets are tracked")
        probes = Probes(desk)
        probes.start()
        _await_live(desk, probes, 0.0)
        faults = [_fault(desk, probes, desk.workers[n % number]) for n in range(kills)]
        probes.ended.set()
        probes.join()
        if probes.failure is not None:
            raise probes.failure
    slowest = max(one["live_after_seconds"] for one in faults)
    return {
        "ok": slowest <= WITHIN_SECONDS,
        "workers": number,
        "tracked_tickets": tracked,
        "records": published,
        "faults": faults,
        "slowest_seconds": slowest,
        "folder": str(folder),
    }


def _fill(desk: Desk, tickets: int) -> int:
    """A desk's past, as far as it came until some hours ago."""
    start_ms = time.time_ns() // 1_000_000 - _AGO_MS - _DAYS * DAY_MS
    publisher = Publisher(desk.client)
    publisher.connect()
    config = SimulatorConfig(start_ms, tickets=tickets, days=_DAYS, incidents=False)
    sent = publish(simulate(config), publisher).total()
    if not 0.9 < sent / (tickets * EVENTS_PER_TICKET) < 1.1:
        raise BenchError(f"{sent:,} records of {tickets:,} tickets are not what was expected")
    return sent


def _tracked(desk: Desk) -> int:
    return sum(status["health"]["tracked_tickets"] for status in desk.statuses() if status)


def _is_restful(desk: Desk, tickets: int) -> bool:
    statuses = [status for status in desk.statuses() if status]
    busy = any(status["health"]["input_lag"] or status["health"]["commit_age_seconds"] > 2 for status in statuses)
    return not busy and _tracked(desk) >= tickets


def _fault(desk: Desk, probes: Probes, worker: Supervised) -> dict[str, Any]:
    """Kill it, and say when it was ready again and when all figures were live again."""
    time.sleep(3.0)
    at = time.monotonic()
    worker.kill()
    ready_at = _await_live(desk, probes, at)
    live_at = time.monotonic()
    desk.timeline.tell(f"live again after {live_at - at:.1f} s")
    return {"ready_after_seconds": round(ready_at - at, 2), "live_after_seconds": round(live_at - at, 2)}


def _await_live(desk: Desk, probes: Probes, killed_at: float) -> float:
    """Wait until all probes up to a moment after the kill are counted; when all workers were ready."""
    until = time.monotonic() + _DEADLINE_SECONDS
    ready_at = 0.0
    while True:
        desk.look_after()
        now = time.monotonic()
        pages = [worker.get("/metrics") for worker in desk.workers]
        if not ready_at and all(worker.get("/readyz") for worker in desk.workers):
            ready_at = time.monotonic()
        counted = sum(float(found[1]) for page in pages if page and (found := _CREATED.search(page)))
        # The newest probes may be on their way, but one from after the kill is to be there.
        wanted = max(probes.before(now - _SETTLED_SECONDS), probes.before(killed_at) + 1)
        if ready_at and all(pages) and counted >= wanted:
            return ready_at
        if now > until:
            raise BenchError(f"{counted:g} of {wanted} probes are counted {_DEADLINE_SECONDS:g} s after the kill")
        time.sleep(0.1)


def main() -> int:
    parser = command.options("tests.chaos.fault_time", __doc__, "--tickets 50000 --workers 1 --out fault.json")
    parser.add_argument("--tickets", type=int, default=200_000, help="how many are tracked (default 200,000)")
    parser.add_argument("--kills", type=int, default=3, help="how often it is measured (default 3)")
    parser.add_argument("--workers", type=int, default=1, help="how many there are; one is killed (default 1)")
    command.add_on_disk(parser)
    asked = parser.parse_args()

    def measure(folder: Path) -> dict[str, Any]:
        return fault_time(asked.tickets, asked.kills, asked.workers, folder, on_disk=asked.on_disk)

    return command.execute("fault", asked, measure)


if __name__ == "__main__":
    sys.exit(main())
