"""A broker, ClickHouse and workers that can be beaten; the settings are in a file, as a user's are."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self

from bench.running import ROOT, BenchError, environment
from deskpulse.local.kafka import LocalKafka
from deskpulse.settings import load
from streams.config import DomainConfig
from streams.topics import default_specs, ensure_topics
from tests.chaos.supervised import Supervised
from tests.chaos.timeline import Timeline
from tests.clickhouse.stand_in_process import stand_in

START_SECONDS: Final = 90.0
SESSION_SECONDS: Final = 3
"""After so long without a heartbeat a worker is taken for gone."""
SETTINGS: Final = f"""\
[worker]
session_timeout = "{SESSION_SECONDS}s"
"""
_POLICIES: Final[tuple[tuple[str, str, dict[str, float]], ...]] = (
    (
        "urgent",
        'priority = ["urgent"]',
        {"first_reply": 0.12, "next_reply": 0.25, "periodic_update": 0.4, "agent_work": 0.5, "resolution": 0.6},
    ),
    (
        "enterprise",
        'tier = ["enterprise", "pro"]',
        {"first_reply": 0.25, "next_reply": 0.4, "periodic_update": 0.5, "requester_wait": 0.75, "resolution": 0.9},
    ),
    (
        "talk",
        'channel = ["chat", "phone"], priority = ["normal", "high"]',
        {"first_reply": 0.06, "next_reply": 0.12, "agent_work": 0.25},
    ),
    (
        "others",
        'priority = ["normal", "high"]',
        {"first_reply": 0.4, "next_reply": 0.6, "requester_wait": 0.75, "resolution": 1.0},
    ),
)
"""Name, whom it is for, and its targets as shares of the longest."""


def policies(longest_target_seconds: float) -> str:
    """Service-level policies as settings: every target, some by one attribute and some by two."""
    told = []
    for name, when, targets in _POLICIES:
        in_ms = {target: int(share * longest_target_seconds * 1000) for target, share in targets.items()}
        written = ", ".join(f'{target} = "{ms}ms"' for target, ms in in_ms.items())
        told.append(f'\n[[policies]]\nname = "{name}"\nwhen = {{ {when} }}\ntargets = {{ {written} }}\n')
    return "".join(told)


_OUTAGES: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("refuse", {}),
    ("stall", {}),
    ("lose", {"only": "^INSERT"}),
    ("error", {"code": 252, "only": "^INSERT"}),
    ("cut", {}),
)
"""How ClickHouse is away: see ``tests.clickhouse.stand_in.Fault``. 252: too many parts."""


class Desk:
    """Makes its own folder's files; ends all that it started, by their ids.

    ``on_disk``: workers keep the state of their partitions in folders.
    """

    def __init__(
        self, folder: Path, *, workers: int = 2, partitions: int = 6, settings: str, on_disk: bool = False
    ) -> None:
        self.folder = folder
        self.timeline = Timeline()
        self.partitions = partitions
        # Workers that are killed together come back together: as on most brokers (3 s by default) the first to come
        # waits a moment for the others, instead of restoring everything and giving half of it back.
        delay = {"group.initial.rebalance.delay.ms": 1000}
        self.broker = LocalKafka(folder / "kafka", settings=delay, start_deadline_seconds=START_SECONDS)
        self.config_path = folder / "deskpulse.toml"
        self.workers: list[Supervised] = []
        self._number = workers
        self._on_disk = on_disk
        self._text = settings
        self._until_the_end = ExitStack()

    @property
    def client(self) -> dict[str, str]:
        return {"bootstrap.servers": self.broker.bootstrap}

    @property
    def config(self) -> DomainConfig:
        return load(self.config_path).domain()

    @property
    def settings(self) -> dict[str, object]:
        """What every process is told by its environment."""
        return {
            "config": self.config_path,
            "kafka.bootstrap": self.broker.bootstrap,
            "kafka.partitions": self.partitions,
            "clickhouse.port": self.clickhouse.port,
        }

    @property
    def urls(self) -> list[str]:
        return [worker.url for worker in self.workers]

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config_path.write_text(self._text)
        self._until_the_end.enter_context(self.broker)
        self.clickhouse = self._until_the_end.enter_context(stand_in(self.folder / "clickhouse"))
        ensure_topics(self.client, default_specs(self.partitions))
        self.timeline.tell(f"the broker is up at {self.broker.bootstrap}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._until_the_end.close()
        (self.folder / "timeline.txt").write_text(f"{self.timeline}\n")

    def start_workers(self, settings: Mapping[str, object] = MappingProxyType({})) -> None:
        """Workers ``a``, ``b`` and so on, with all roles unless told. Returns when all are ready."""
        for number in range(self._number):
            name = chr(ord("a") + number)
            own = {"worker.state_folder": self.folder / f"state-{name}"} if self._on_disk else {}
            worker = Supervised(name, {**self.settings, **settings, **own}, self.folder, self.timeline)
            self._until_the_end.callback(worker.close)
            self.workers.append(worker)
            worker.start()
        self.await_ready(START_SECONDS)

    def statuses(self) -> list[Any]:
        """What each worker says of itself; None where there is no answer."""
        return [worker.status() for worker in self.workers]

    def look_after(self) -> None:
        """Start again what has ended."""
        for worker in self.workers:
            worker.look_after()

    def await_ready(self, deadline_seconds: float) -> None:
        """Wait until all workers are ready, and all partitions are somebody's."""

        def ready() -> bool:
            statuses = self.statuses()
            owned = [number for one in statuses if one for number in one["health"]["partitions"]]
            return all(one and one["ready"] for one in statuses) and len(set(owned)) == self.partitions

        self.await_that(ready, deadline_seconds, "all workers are ready")

    def await_that(self, condition: Callable[[], object], deadline_seconds: float, what: str) -> None:
        """Wait for a condition, while workers are looked after."""
        until = time.monotonic() + deadline_seconds
        while not condition():
            if time.monotonic() > until:
                raise BenchError(f"not within {deadline_seconds:g} s: {what}")
            self.look_after()
            time.sleep(0.1)

    def deskpulse(self, *arguments: object, deadline_seconds: float = 600.0) -> subprocess.CompletedProcess[str]:
        """Run a command of deskpulse's under the same settings."""
        command = [sys.executable, "-m", "deskpulse", *map(str, arguments)]
        env = environment(self.settings)
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=deadline_seconds, check=False
        )

    def clickhouse_away(self, number: int) -> Callable[[], None]:
        """ClickHouse goes away, in another way each time; call what is returned to let it come back."""
        kind, how = _OUTAGES[number % len(_OUTAGES)]
        self.timeline.tell(f"ClickHouse: {kind} {how or ''}")
        self.clickhouse.fail(kind, **how)

        def back() -> None:
            self.clickhouse.heal()
            self.timeline.tell("ClickHouse is back")

        return back

    def rebalances(self) -> int:
        """How often a worker was given partitions, by their logs."""
        return sum(worker.log_path.read_text(errors="replace").count("assigned partitions") for worker in self.workers)
