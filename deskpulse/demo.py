"""The whole of deskpulse on one machine: a broker, a worker, ClickHouse in a folder, and a made-up desk or a file.

The folder of ``--data`` holds Kafka's data and ClickHouse's together: a database belongs to one life of its topics,
since offsets, by which rows replace themselves, begin at 0 in new ones.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from deskpulse.demo_gauges import Gauges, gauges_in, scraped
from deskpulse.local.errors import LocalStackError
from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker, is_ready
from deskpulse.settings_file import DEFAULT_FILE
from schemas.events import INPUT_TOPICS
from schemas.outputs import DEAD_LETTERS
from sinks.clickhouse import ClickHouseTarget, connect
from sinks.tables import TABLES
from sources import traffic
from sources.event_files import publish_files
from sources.publisher import Publisher
from sources.simulator import Delivery, SimulatorConfig, simulate
from streams.topics import default_specs, ensure_topics

DATABASE: Final = "deskpulse"
LATE: Final = 0.01
DUPLICATES: Final = 0.01
"""Shares of the made-up records that come late, and twice: what a real desk's systems do too."""
_PARTITIONS: Final = 4
_WARM_SECONDS: Final = 4 * 3600.0
_WARM_EVENTS: Final = 300_000
_RAMP_SECONDS: Final = 60.0
_START_SECONDS: Final = 120.0
_SETTLE_SECONDS: Final = 120.0
_AT_REST_SECONDS: Final = 0.5
"""How long nothing may be left to do until the worker has caught up: the sink hears of a commit within less."""
_LOOK_SECONDS: Final = 0.5
_UNLIMITED: Final = "unlimited"
_AGREEMENTS: Final = Path(__file__).with_name("demo.toml")
"""What the made-up desk promises, where there is no other settings file."""
_KEPT_FROM_USER: Final = ("DESKPULSE_FCR", "DESKPULSE_BANDS", "DESKPULSE_WORKER", "DESKPULSE_CONFIG")


@dataclass(frozen=True)
class Demo:
    """What to show."""

    files: tuple[str, ...] = ()
    """Events to publish instead of a made-up desk's; the clock is then that of the events."""
    rate: float = 20.0
    """Events a second of the made-up desk."""
    warm_seconds: float | None = None
    """The past that is published first; None: 4 h, less at high rates, nothing in a folder that has a past."""
    seed: int | None = None
    data: Path | None = None
    """Where Kafka's and ClickHouse's data are kept; None: nowhere."""
    web_port: int | None = None
    config: Path | None = None
    """Settings file of the worker; what it says of Kafka and ClickHouse does not count."""


@dataclass(frozen=True)
class Summary:
    """What came of it."""

    seconds: float
    published: Mapping[str, int]
    """Records by topic."""
    bad_lines: int
    health: Mapping[str, Any]
    """``streams.live.Health`` of the worker, once it had caught up."""
    rows: Mapping[str, int]
    """Rows in ClickHouse by table."""
    gauges: Gauges
    from_nothing: bool
    """Were there no data of an earlier demo?"""

    @property
    def missing(self) -> int:
        """Events that were published and are not in the archive, for which a type is to be known and a record to be an
        event; 0 where an earlier demo left its own."""
        refused = self.health["dead_letters"].get("bad_record", 0) + self.health["skipped_types"]
        there = self.rows["events"] + int(refused)
        return sum(self.published.values()) - there if self.from_nothing else 0


Tell = Callable[[str], None]
Progress = Callable[[int], None]
"""Told again and again how many events are published."""
Stopped = Callable[[], bool]


def run(demo: Demo, stopped: Stopped, tell: Tell, on_progress: Progress = lambda _: None) -> Summary:
    """Bring everything up, run until ``stopped`` says so (asked several times a second), and end everything.

    ``stopped`` is asked for the first time when the worker is ready; files are published to their end. What was started
    ends with this function, in whatever way, and with this process. Raises ``LocalStackError`` also when the worker
    ends by itself, ``InputError`` and ``PublishError``.
    """
    clickhouse_of_old = demo.data is not None and (demo.data / "clickhouse").is_dir()
    if demo.data and clickhouse_of_old and not (demo.data / "kafka").is_dir():
        raise LocalStackError(
            f"{demo.data} has ClickHouse's data without the topics that they came from, as `deskpulse replay` leaves "
            "it; expected a folder of an earlier demo, or a new one"
        )
    with ExitStack() as running:
        tell("starting Kafka (the first time on a machine, 45 MB are fetched for it)")
        kafka = running.enter_context(LocalKafka(demo.data / "kafka" if demo.data else None))
        client = {"bootstrap.servers": kafka.bootstrap}
        ensure_topics(client, default_specs(_PARTITIONS))
        publisher = Publisher(client)
        publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))
        began = time.monotonic()
        desk = iter(()) if demo.files else simulate(_desk(demo, warm=not clickhouse_of_old))
        # Before the worker reads: while a past arrives, the clock of now would find replies missing that come next.
        past, desk = _past_of(desk)
        published = Counter(dict.fromkeys(INPUT_TOPICS, 0))
        published.update(traffic.publish(past, publisher, on_progress=lambda sent: on_progress(sent.total())))
        tell("starting the worker")
        folder = demo.data or Path(tempfile.mkdtemp(prefix="deskpulse-demo-"))
        worker = running.enter_context(
            LocalWorker(
                _settings(demo, kafka.bootstrap, folder / "clickhouse"),
                folder / "worker.log",
                remove=() if demo.data else (folder,),
            )
        )
        worker.wait_until(is_ready, "ready", _START_SECONDS)
        stopped = _Watch(stopped, kafka, worker)
        stopped()
        tell(f"the page: {worker.url}/   metrics: {worker.url}/metrics   Kafka: {kafka.bootstrap}")
        bad_lines = 0
        if demo.files:
            of_files, bad_lines = _publish_files(demo.files, publisher, stopped, tell, on_progress)
            published.update(of_files)
        else:
            published.update(_publish_live(desk, published.total(), publisher, stopped, on_progress))
        seconds = time.monotonic() - began
        tell("waiting until the worker has caught up")
        health = _settled(worker, sum(published.values()), from_nothing=not clickhouse_of_old)
        gauges = gauges_in(scraped(worker.url), window="30d" if demo.files else "24h")
        tell("stopping the worker")
        worker.stop()
        rows = _rows(folder / "clickhouse")
    return Summary(seconds, dict(sorted(published.items())), bad_lines, health, rows, gauges, not clickhouse_of_old)


def _publish_files(
    files: Sequence[str], publisher: Publisher, stopped: Stopped, tell: Tell, on_progress: Progress
) -> tuple[Mapping[str, int], int]:
    done = publish_files(files, publisher, on_progress=lambda done, *_: on_progress(done.published))
    tell(f"published {done.published:,} events; Ctrl-C ends")
    while not stopped():
        time.sleep(_LOOK_SECONDS)
    return done.by_topic, done.bad


def _past_of(desk: Iterator[Delivery]) -> tuple[Iterable[Delivery], Iterator[Delivery]]:
    """What was delivered by now, and the rest."""
    now_ms = time.time() * 1000
    past: list[Delivery] = []
    for delivery in desk:
        if delivery[0] > now_ms:
            return past, chain((delivery,), desk)
        past.append(delivery)
    return past, desk


def _publish_live(
    desk: Iterable[Delivery], before: int, publisher: Publisher, stopped: Stopped, on_progress: Progress
) -> Counter[str]:
    return traffic.publish(
        desk, publisher, live=True, stopped=stopped, on_progress=lambda sent: on_progress(before + sent.total())
    )


class _Watch:
    """Asks on, and looks now and then whether what is to run does run."""

    def __init__(self, stopped: Stopped, kafka: LocalKafka, worker: LocalWorker) -> None:
        self._stopped = stopped
        self._kafka = kafka
        self._worker = worker
        self._looked_at = 0.0

    def __call__(self) -> bool:
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS:
            self._looked_at = time.monotonic()
            self._worker.check()
            if not self._kafka.running:
                raise LocalStackError(f"the Kafka broker at {self._kafka.bootstrap} ended by itself")
        return self._stopped()


def _settings(demo: Demo, bootstrap: str, clickhouse: Path) -> dict[str, str]:
    settings = {name: value for name, value in os.environ.items() if name.startswith(_KEPT_FROM_USER)}
    if demo.config is not None:
        settings["DESKPULSE_CONFIG"] = str(demo.config.absolute())
    elif "DESKPULSE_CONFIG" not in settings and not DEFAULT_FILE.exists():
        settings["DESKPULSE_CONFIG"] = str(_AGREEMENTS)
    settings |= {
        "DESKPULSE_KAFKA__BOOTSTRAP": bootstrap,
        "DESKPULSE_KAFKA__GROUP": "deskpulse",
        "DESKPULSE_KAFKA__PARTITIONS": str(_PARTITIONS),
        "DESKPULSE_KAFKA__REPLICATION": "1",
        "DESKPULSE_KAFKA__SECURITY__PROTOCOL": "plaintext",
        "DESKPULSE_KAFKA__OPTIONS": "{}",
        "DESKPULSE_CLICKHOUSE__PATH": str(clickhouse.absolute()),
        "DESKPULSE_CLICKHOUSE__DATABASE": DATABASE,
        "DESKPULSE_WORKER__ID": "demo",
        "DESKPULSE_WORKER__ROLES": "processor,sink",
        "DESKPULSE_WORKER__CLOCK": "event" if demo.files else "wall",
        "DESKPULSE_WORKER__WEB_HOST": "127.0.0.1",
    }
    settings.pop("DESKPULSE_WORKER__WEB_PORT", None)
    if demo.web_port is not None:
        settings["DESKPULSE_WORKER__WEB_PORT"] = str(demo.web_port)
    if demo.files:
        # As old as the events of a file may be, they are to be seen.
        settings["DESKPULSE_WORKER__HORIZON"] = _UNLIMITED
        for table in ("EVENTS", "FACTS", "MINUTE_CELLS", "HOUR_CELLS", "SLA_EVENTS"):
            settings[f"DESKPULSE_CLICKHOUSE__RETENTION__{table}"] = _UNLIMITED
    return settings


def _desk(demo: Demo, warm: bool) -> SimulatorConfig:
    now_ms = int(time.time() * 1000)
    warm_seconds = demo.warm_seconds
    if warm_seconds is None:
        warm_seconds = min(_WARM_SECONDS, _WARM_EVENTS / demo.rate) if warm else 0.0
    return SimulatorConfig(
        start_at_ms=now_ms - int(warm_seconds * 1000),
        seed=now_ms if demo.seed is None else demo.seed,
        days=None,
        events_per_second=demo.rate,
        reached_after_seconds=max(warm_seconds, _RAMP_SECONDS),
        late=LATE,
        duplicates=DUPLICATES,
        rhythm=False,
    )


def _settled(worker: LocalWorker, published: int, *, from_nothing: bool) -> Mapping[str, Any]:
    """The worker's health once all that was published is applied, committed and in ClickHouse."""
    busy_at = time.monotonic()

    def at_rest(status: Mapping[str, Any]) -> bool:
        nonlocal busy_at
        health = status["health"]
        if (
            sum(health["events"].values()) < published
            or health["input_lag"]
            or health["commit_age_seconds"]
            or health["sink_lag"]
            # After an earlier life one of the roles may have been ahead of the other.
            or (from_nothing and health["sink_records"] < health["published"] + sum(health["events"].values()))
        ):
            busy_at = time.monotonic()
        return time.monotonic() - busy_at > _AT_REST_SECONDS

    health: Mapping[str, Any] = worker.wait_until(at_rest, "everything published is in ClickHouse", _SETTLE_SECONDS)[
        "health"
    ]
    return health


@contextmanager
def _clickhouse(folder: Path) -> Iterator[Client]:
    client = connect(ClickHouseTarget(database=DATABASE, path=folder))
    try:
        yield client
    finally:
        client.close()


def _rows(folder: Path) -> dict[str, int]:
    """Rows by table, each counted once however often it was inserted."""
    with _clickhouse(folder) as client:
        return {
            table: client.query(f"SELECT count() FROM {DATABASE}.{table} FINAL").result_rows[0][0]  # noqa: S608
            for table in TABLES
        }
