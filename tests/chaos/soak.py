"""``python -m tests.chaos.soak``: events at a rate for a long time, with a kill every few minutes.

Memory stays flat after the warm-up, and after each fault the lag is back at zero within 10 s. Exit code 0 then, else 1.
"""

from __future__ import annotations

import math
import sys
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.report import quantile
from bench.running import BenchError
from tests.chaos import command, traffic
from tests.chaos.conductor import Conductor
from tests.chaos.counting import count
from tests.chaos.desk import SETTINGS, Desk, policies
from tests.chaos.faults import KILL, Fault
from tests.chaos.feed import Feed
from tests.chaos.supervised import Seen, Supervised

WITHIN_SECONDS: Final = 10.0
"""After a fault the lag is to be back at zero within this."""
_DAY_SECONDS: Final = 60.0
"""So long a simulated day takes: stories are over soon, so that tickets leave as fast as they come."""
_HORIZON_SECONDS: Final = 120.0
_SILENCE_SECONDS: Final = 1.8 * _HORIZON_SECONDS
"""The longest between two events of a ticket: its mark stays for two horizons."""
_IN_TIME_SECONDS: Final = 0.75 * _HORIZON_SECONDS
"""An event that follows its ticket's last one within this is in time, also where it is published seconds after it is
due, as on a machine that is busy."""
_WARM_SECONDS: Final = 420.0
"""By then as many tickets leave the horizon as come in: three days until they are closed, and the horizon. In shorter
runs, where a third of the time is taken for it, memory still grows with them."""
_GROWTH_SHARE: Final = 0.15
"""So much more than after the warm-up is no growth: memory swings with every restart and every restore."""
_IN_FLIGHT_SECONDS: Final = 0.25
"""What came in within this is always on its way: with no more unread than that the lag is back at zero."""
_LEAD_MS: Final = 300
_STALE_SECONDS: Final = 2.5
"""What a worker said so long ago, it does not say now."""
_DRAIN_SECONDS: Final = 180.0
_RESTART_SECONDS: Final = 0.3
"""After a kill, a worker that speaks is the one that was started anew."""
_KNOWN_SECONDS: Final = 1.0
"""By then a worker has heard of all that is published."""


def soak(
    minutes: float, rate: float, every_seconds: float, seed: int, folder: Path, *, on_disk: bool = False
) -> dict[str, Any]:
    """Run it, and say what was seen."""
    seconds = minutes * 60
    text = SETTINGS + f'horizon = "{_HORIZON_SECONDS:g}s"\n' + policies(_DAY_SECONDS)
    with Desk(folder, workers=2, partitions=8, settings=text, on_disk=on_disk) as desk:
        desk.start_workers()
        start_ms = time.time_ns() // 1_000_000 + _LEAD_MS
        end_ms = start_ms + int(seconds * 1000)
        made = _connected(traffic.endless(seed, start_ms, rate, _DAY_SECONDS))
        feed = Feed(desk.client, takewhile(lambda record: record.due_ms < end_ms, made))
        began = time.monotonic()
        desk.timeline.tell("traffic begins")
        feed.start()
        kills = _kills(seconds, every_seconds)
        conductor = Conductor(desk, kills)
        conductor.run()
        desk.await_that(lambda: not feed.is_alive(), seconds + 60, "everything is published")
        feed.finish(0)
        ended = time.monotonic()
        desk.timeline.tell("everything is published")
        desk.await_that(lambda: _is_read(desk, ended), _DRAIN_SECONDS, "it is read")
        for worker in desk.workers:
            if worker.stop():
                raise BenchError(f"worker {worker.name} did not end in order")
        findings = count(desk.client, desk.partitions)
        in_flight = _IN_FLIGHT_SECONDS * rate
        faults = _recoveries(desk, conductor, in_flight)
        told: dict[str, Any] = {
            "seconds": round(ended - began),
            "rate": round(feed.sent / (ended - began)),
            "kills": sum(worker.kills for worker in desk.workers),
            "ended_themselves": sum(worker.own_ends for worker in desk.workers),
            "replaced_themselves": sum(worker.lives_ended() for worker in desk.workers),
            "faults": faults,
            "slowest_seconds": max((one["lag_zero_after_seconds"] or seconds for one in faults), default=0.0),
            "lag": _lags(desk, began, ended, in_flight),
            "memory": {worker.name: _memory(worker, began, min(_WARM_SECONDS, seconds / 3)) for worker in desk.workers},
            **findings.counts,
            "lost": findings.lost,
            "doubled": findings.doubled,
            "wrong": findings.wrong,
            "told": findings.told,
            "folder": str(folder),
        }
    flat = not any(one["grew"] for one in told["memory"].values())
    ok = (
        findings.ok
        and flat
        and told["slowest_seconds"] <= WITHIN_SECONDS
        and not told["ended_themselves"] + told["replaced_themselves"]
    )
    return {"ok": ok, "seed": seed, **told}


def _connected(records: Iterable[traffic.Record]) -> Iterator[traffic.Record]:
    """Without what comes when its ticket's mark may be forgotten: it would be of a new ticket, and not be counted."""
    newest_ms: dict[bytes | None, float] = {}
    for record in records:
        silence_ms = record.due_ms - newest_ms.get(record.key, record.due_ms)
        if silence_ms > _SILENCE_SECONDS * 1000:
            newest_ms[record.key] = -math.inf
            continue
        # Else it may be late, and no reason to remember its ticket for longer.
        if silence_ms < _IN_TIME_SECONDS * 1000:
            newest_ms[record.key] = record.due_ms
        yield record


def _kills(seconds: float, every_seconds: float) -> list[Fault]:
    """Now one worker, now the other, and each third time both."""
    faults = []
    for number in range(int(seconds / every_seconds)):
        which = (0, 1) if number % 3 == 2 else (number % 2,)
        faults += [Fault((number + 0.5) * every_seconds, KILL, one) for one in which]
    return faults


def _lag(workers: Sequence[Supervised], at: float, partitions: int) -> int | None:
    """Records unread at a moment over all workers; None where somebody's partitions are nobody's."""
    newest = [one for worker in workers if (one := _seen_at(worker, at)) is not None]
    owned = {number for one in newest if one.ready for number in one.partitions}
    return sum(one.input_lag for one in newest) if len(owned) == partitions else None


def _is_read(desk: Desk, published_at: float) -> bool:
    """Whether nothing is unread, by what workers have said since all was published: before, they knew of less."""
    now = time.monotonic()
    return _have_spoken(desk, published_at + _KNOWN_SECONDS, now) and _lag(desk.workers, now, desk.partitions) == 0


def _seen_at(worker: Supervised, at: float) -> Seen | None:
    """The newest that a worker said before a moment."""
    place = bisect_right(worker.seen, at, key=lambda one: one.at) - 1
    return worker.seen[place] if place >= 0 and at - worker.seen[place].at < _STALE_SECONDS else None


def _recoveries(desk: Desk, conductor: Conductor, in_flight: float) -> list[dict[str, Any]]:
    """For each fault, when the lag was back at zero."""
    began = [at for at, _ in conductor.began_at]
    moments = sorted(one.at for worker in desk.workers for one in worker.seen)
    found = []
    for number, at in enumerate(began):
        if number and at - began[number - 1] < 1.0:
            continue  # Both at once.
        both = number + 1 < len(began) and began[number + 1] - at < 1.0
        # What was said of the process that is no more says nothing.
        zero = next(
            (
                moment - at
                for moment in moments
                if moment > at + 0.5
                and _have_spoken(desk, at + _RESTART_SECONDS, moment)
                and (lag := _lag(desk.workers, moment, desk.partitions)) is not None
                and lag <= in_flight
            ),
            None,
        )
        after = None if zero is None else round(zero, 1)
        found.append({"kind": "kill of both" if both else "kill", "lag_zero_after_seconds": after})
    return found


def _have_spoken(desk: Desk, since: float, moment: float) -> bool:
    """Whether what every worker has said last before a moment was said after ``since``."""
    return all((one := _seen_at(worker, moment)) is not None and one.at > since for worker in desk.workers)


def _lags(desk: Desk, began: float, ended: float, in_flight: float) -> dict[str, Any]:
    """How much was unread, over the whole run."""
    moments = [one.at for worker in desk.workers for one in worker.seen if began <= one.at <= ended]
    known = sorted(lag for at in moments if (lag := _lag(desk.workers, at, desk.partitions)) is not None)
    if not known:
        raise BenchError("the workers said nothing of themselves")
    zero = sum(lag <= in_flight for lag in known) / len(known)
    told = {"p50": quantile(known, 0.5), "p99": quantile(known, 0.99), "most": known[-1]}
    waiting = sorted(one.sink_lag for worker in desk.workers for one in worker.seen if began <= one.at <= ended)
    told |= {"sink_p50": quantile(waiting, 0.5), "sink_most": waiting[-1]}
    return {"zero_share": round(zero, 3), "unknown_share": round(1 - len(known) / len(moments), 3), **told}


def _memory(worker: Supervised, began: float, warm_seconds: float) -> dict[str, Any]:
    """The most of each minute; whether the last third is larger than what came right after the warm-up.

    Medians of the minutes: in single ones a worker needs half as much again, and where these fall is chance.
    """
    by_minute: dict[int, float] = {}
    for one in worker.seen:
        if one.rss_mib and one.at >= began:
            minute = int((one.at - began) // 60)
            by_minute[minute] = max(by_minute.get(minute, 0.0), one.rss_mib)
    minutes = [round(by_minute[minute]) for minute in sorted(by_minute)]
    warm = minutes[int(warm_seconds // 60) :]
    third = max(1, len(warm) // 3)
    before, after = round(median(warm[:third])), round(median(warm[-third:]))
    tracked = [one.tracked for one in worker.seen if one.tracked]
    return {
        "mib_by_minute": minutes,
        "after_warm_up_mib": before,
        "in_the_end_mib": after,
        "most_mib": max(warm),
        "grew": after > before * (1 + _GROWTH_SHARE),
        "tracked_tickets_most": max(tracked, default=0),
    }


def main() -> int:
    parser = command.options("tests.chaos.soak", __doc__, "--minutes 5 --rate 1000 --out soak.json")
    parser.add_argument("--minutes", type=float, default=30.0, help="how long (default 30)")
    parser.add_argument("--rate", type=float, default=2_000.0, help="events per second (default 2,000)")
    parser.add_argument("--every", type=float, default=120.0, help="seconds between two kills (default 120)")
    command.add_seed(parser)
    command.add_on_disk(parser)
    asked = parser.parse_args()

    def measure(folder: Path) -> dict[str, Any]:
        return soak(asked.minutes, asked.rate, asked.every, asked.seed, folder, on_disk=asked.on_disk)

    return command.execute("soak", asked, measure)


if __name__ == "__main__":
    sys.exit(main())
