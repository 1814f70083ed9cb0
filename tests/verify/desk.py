"""A desk with agreements, its broker and its worker, which can be killed and started again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deskpulse.local.kafka import LocalKafka, free_port
from deskpulse.local.worker import LocalWorker, is_ready
from schemas.events import INPUT_TOPICS
from schemas.outputs import DEAD_LETTERS
from sources.publisher import Publisher
from sources.simulator import Delivery
from sources.traffic import publish
from streams.topics import default_specs, ensure_topics

PARTITIONS = 4
SETTINGS = """\
[kafka]
bootstrap = "{bootstrap}"
partitions = {partitions}

[worker]
clock = "event"
horizon = "unlimited"
web_port = {port}
session_timeout = "2s"

[clickhouse]
path = "{folder}/clickhouse"
"""
AGREEMENTS = """
[clickhouse.retention]
events = "unlimited"
minute_cells = "unlimited"
hour_cells = "unlimited"
sla_events = "unlimited"

[calendars.berlin]
zone = "Europe/Berlin"
hours = { mon-fri = ["08:00-12:00", "13:00-18:00"], sat = ["09:00-13:00"] }
holidays = { country = "DE", subdivision = "BE", dates = ["2026-06-12"] }

[[policies]]
name = "urgent"
when = { priority = ["urgent"] }
targets = { first_reply = "5m", next_reply = "15m", periodic_update = "2h", agent_work = "3h", resolution = "4h" }

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


class Desk:
    """A broker, and one worker at a time; the settings are in a file, as a user's are."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "deskpulse.toml"
        self.clickhouse = folder / "clickhouse"
        self._folder = folder
        self._kafka = LocalKafka()
        self._port = free_port()
        self._lives = 0
        self.worker: LocalWorker | None = None

    @property
    def url(self) -> str:
        """The worker's address."""
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self._kafka.start()
        settings = SETTINGS.format(
            bootstrap=self._kafka.bootstrap, partitions=PARTITIONS, port=self._port, folder=self._folder
        )
        self.config.write_text(settings + AGREEMENTS)
        ensure_topics({"bootstrap.servers": self._kafka.bootstrap}, default_specs(PARTITIONS))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        self._kafka.stop()

    def publish(self, records: Sequence[Delivery]) -> None:
        """Publish some records in their order; all are with the broker then."""
        publisher = Publisher({"bootstrap.servers": self._kafka.bootstrap})
        publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))
        publish(iter(records), publisher)

    def start(self) -> LocalWorker:
        """Start a worker; returns once it is ready."""
        self._lives += 1
        settings = {"DESKPULSE_CONFIG": str(self.config), "DESKPULSE_WORKER__WEB_PORT": str(self._port)}
        self.worker = LocalWorker(settings, self._folder / f"worker-{self._lives}.log")
        self.worker.start()
        self.worker.wait_until(is_ready, "ready", 60)
        return self.worker

    def await_read(self, records: int) -> None:
        """Wait until the worker has read so many records and has published something of them."""
        assert self.worker is not None
        self.worker.wait_until(
            lambda status: sum(status["health"]["events"].values()) >= records and status["health"]["published"],
            f"{records} records are read",
            60,
        )

    def stop(self) -> None:
        """Let the worker end in order (SIGTERM)."""
        assert self.worker is not None
        self.worker.stop()
        self.worker = None

    def kill(self) -> None:
        """End the worker with SIGKILL, if there is one."""
        if self.worker is not None:
            self.worker.process.kill()
            self.worker = None
