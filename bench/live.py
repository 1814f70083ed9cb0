"""How long after its publishing an event is in the figures at /metrics.

Gauges and counters are sums, so an event is taken to be seen in the first answer whose sum holds as many as were
published up to it: by topic in ``support_events_total``, and the creations in ``support_tickets_created``.
"""

from __future__ import annotations

import re
import threading
import time
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from operator import itemgetter
from typing import Final

from bench.report import Result, Table, quantile
from bench.running import BenchError, Worker, wait_until, worker
from bench.stage import Stage, stage
from schemas.events import INPUT_TOPICS, TICKETS
from sources.publisher import Outgoing, Publisher
from sources.simulator import Delivery, SimulatorConfig, simulate

TARGET_SECONDS: Final = 2.0
WARM_SECONDS: Final = 200
"""The past that is published first, so that tickets of every age are there."""
_SPARE_SECONDS: Final = 120
"""For which there are more events than the time to measure needs: so long may the past take."""
_TICK_SECONDS: Final = 0.01
_PAUSE_SECONDS: Final = 0.1
_EVENTS: Final = re.compile(rb'^support_events_total\{[^}]*topic="([^"]+)"[^}]*\} (\S+)', re.MULTILINE)
_CREATED: Final = re.compile(
    rb'^support_tickets_created\{(?=[^}]*window="1h")(?=[^}]*dimension="all")[^}]*\} (\S+)', re.MULTILINE
)
CREATED: Final = "created"
_CREATION: Final = b'"type":"ticket.created"'
_LEAVING: Final = (b'"type":"ticket.merged"', b'"type":"ticket.deleted"')
"""Not published here: they take creations back, which could then not be counted."""


@dataclass
class Series:
    """When each of some events was published, and how many of them were seen."""

    sent: list[float] = field(default_factory=list)
    seen: int = 0
    latencies: list[float] = field(default_factory=list)
    """Seconds, of the events that were published in the time that counts."""

    def see(self, number: int, at: float, since: float) -> None:
        """An answer that came at ``at`` holds the first ``number`` events."""
        for sent in self.sent[self.seen : number]:
            if sent >= since:
                self.latencies.append(at - sent)
        self.seen = max(self.seen, number)


class Feed(threading.Thread):
    """Publishes a desk's events, those of the past at once and then each at its time."""

    def __init__(self, on: Stage, rate: int, seconds: float) -> None:
        super().__init__(name="feed", daemon=True)
        now_ms = time.time_ns() // 1_000_000
        config = SimulatorConfig(
            start_at_ms=now_ms - WARM_SECONDS * 1000,
            seed=now_ms,
            days=None,
            events_per_second=rate,
            reached_after_seconds=WARM_SECONDS,
            rhythm=False,
            incidents=False,
        )
        until_ms = now_ms + (seconds + _SPARE_SECONDS) * 1000
        made = takewhile(lambda delivery: delivery[0] < until_ms, simulate(config))
        # Made up before, so that making up takes no time of what is measured.
        self._records = [record for record in made if not any(leaving in record[3] for leaving in _LEAVING)]
        self._publisher = Publisher({**on.client, "linger.ms": 5})
        self._publisher.connect()
        self.series = {name: Series() for name in (*INPUT_TOPICS, CREATED)}
        self.past: dict[str, int] = {}
        """How many events of each series were published at once."""
        self.warm = threading.Event()
        self.stopped = threading.Event()
        self.failure: Exception | None = None

    def run(self) -> None:
        """Until it is stopped; then everything has reached the broker."""
        try:
            sent = 0
            while not self.stopped.is_set():
                end = bisect_right(self._records, time.time() * 1000, key=itemgetter(0))
                self._send(self._records[sent:end])
                sent = end
                if not self.warm.is_set():
                    self.past = {name: len(series.sent) for name, series in self.series.items()}
                    self.warm.set()
                time.sleep(_TICK_SECONDS)
            self._publisher.flush()
        except Exception as error:
            self.failure = error
            self.warm.set()

    def _send(self, records: Sequence[Delivery]) -> None:
        by_topic: dict[str, list[Outgoing]] = {}
        for _, topic, key, value in records:
            by_topic.setdefault(topic, []).append({"key": key, "value": value})
        for topic, outgoing in by_topic.items():
            created = sum(_CREATION in record["value"] for record in outgoing) if topic == TICKETS else 0
            now = time.monotonic()
            # Told before it is done, so that none is seen that is not known to be sent.
            self.series[topic].sent += [now] * len(outgoing)
            self.series[CREATED].sent += [now] * created
            self._publisher.send(topic, outgoing)


@dataclass(frozen=True)
class Watched:
    """What was seen of one worker."""

    roles: str
    seconds: float
    published: int
    series: dict[str, Series]
    scrapes: list[float]
    """Seconds that each answer of /metrics took, in order."""
    cpu_seconds: float


def live(rate: int, seconds: int) -> Result:
    """Watch a processor, then a worker that has the sink too; neither is pinned."""
    watched = []
    for roles in ("processor", "processor,sink"):
        with stage() as on:
            on.make_topics(inputs=True)
            folder = on.folder / "clickhouse"
            with worker(on.folder, on.settings("live", roles) | {"clickhouse.path": folder}) as running:
                running.await_ready()
                watched.append(_watch(on, running, roles, rate, seconds))
    rows, data = [], []
    for one in watched:
        for name, latencies in {
            "events": [late for topic in INPUT_TOPICS for late in one.series[topic].latencies],
            "tickets created": one.series[CREATED].latencies,
        }.items():
            latencies.sort()
            within = sum(late <= TARGET_SECONDS for late in latencies) / len(latencies)
            told = [quantile(latencies, 0.5), quantile(latencies, 0.99), latencies[-1]]
            rows.append([f"{one.roles}: {name}", f"{len(latencies):,}", *(f"{t:.2f}" for t in told), f"{within:.2%}"])
            data.append(
                {
                    "roles": one.roles,
                    "figure": name,
                    "n": len(latencies),
                    **dict(zip(("p50_seconds", "p99_seconds", "max_seconds"), told, strict=True)),
                    "within_target": within,
                }
            )
    notes = [
        f"{one.roles}: {one.published / one.seconds:,.0f} events/s for {one.seconds:.0f} s, {len(one.scrapes)} scrapes "
        f"(p50 {one.scrapes[len(one.scrapes) // 2] * 1000:.0f} ms, slowest {one.scrapes[-1] * 1000:.0f} ms), "
        f"{one.cpu_seconds / one.seconds:.0%} of a core."
        for one in watched
    ]
    columns = ["", "n", "p50 s", "p99 s", "max s", f"within {TARGET_SECONDS:g} s"]
    table = Table(
        f"From publishing to /metrics, scraped {_PAUSE_SECONDS * 1000:.0f} ms after each answer again", columns, rows
    )
    return Result("live", [table], {"rate": rate, "target_seconds": TARGET_SECONDS, "latencies": data}, notes)


def _watch(on: Stage, running: Worker, roles: str, rate: int, seconds: int) -> Watched:
    feed = Feed(on, rate, seconds)
    feed.start()
    try:
        feed.warm.wait()
        nothing = float("inf")
        wait_until(
            lambda: _has_seen(running, feed, feed.past, nothing), _SPARE_SECONDS - 10, "the past is in the figures"
        )
        since, cpu = time.monotonic(), running.cpu_seconds()
        scrapes: list[float] = []
        while (began := time.monotonic()) < since + seconds:
            _scrape(running, feed, since)
            scrapes.append(time.monotonic() - began)
            time.sleep(_PAUSE_SECONDS)
        cpu = running.cpu_seconds() - cpu
        feed.stopped.set()
        feed.join()
        sent = {name: len(series.sent) for name, series in feed.series.items()}
        wait_until(lambda: _has_seen(running, feed, sent, since), 60, "everything is in the figures", _PAUSE_SECONDS)
    finally:
        feed.stopped.set()
    if feed.failure is not None:
        raise feed.failure
    published = sum(len(feed.series[topic].latencies) for topic in INPUT_TOPICS)
    return Watched(roles, seconds, published, feed.series, sorted(scrapes), cpu)


def _scrape(running: Worker, feed: Feed, since: float) -> None:
    body = running.get("/metrics") or b""
    at = time.monotonic()
    for topic, total in _EVENTS.findall(body):
        feed.series[topic.decode()].see(int(float(total)), at, since)
    created = _CREATED.search(body)
    if created is not None:
        feed.series[CREATED].see(int(float(created[1])), at, since)


def _has_seen(running: Worker, feed: Feed, numbers: Mapping[str, int], since: float) -> bool:
    """Whether after one more look so many events of each series were seen."""
    if feed.failure is not None:
        raise BenchError(f"publishing failed: {feed.failure}")
    _scrape(running, feed, since)
    return all(feed.series[name].seen >= number for name, number in numbers.items())
