"""A worker whose supervisor starts it again at once, whatever ended it; watched from outside the whole time."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.running import MIB, ROOT, environment, page
from deskpulse.local.kafka import free_port
from deskpulse.local.processes import Process
from tests.chaos.timeline import Timeline

_WATCH_SECONDS: Final = 0.4
_ANSWER_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.5
"""Between the end of a worker that ended itself and its next start."""
_END_SECONDS: Final = 60.0


class Seen(NamedTuple):
    """What a worker said of itself at one moment; the rest is empty where it did not answer."""

    at: float
    """``time.monotonic()``."""
    pid: int
    ready: bool = False
    partitions: tuple[int, ...] = ()
    input_lag: int = 0
    sink_lag: int = 0
    tracked: int = 0
    rss_mib: float = 0.0


class Supervised:
    """One worker with an id of its own. All but :attr:`seen` is for one thread alone."""

    def __init__(self, name: str, settings: Mapping[str, object], folder: Path, timeline: Timeline) -> None:
        self.name = name
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_path = folder / f"worker-{name}.log"
        self.kills = self.own_ends = self.starts = 0
        self.seen: list[Seen] = []
        self._timeline = timeline
        self._environment = environment({"worker.id": name, "worker.web_port": self.port, **settings})
        self._process: Process | None = None
        self._held = False
        self._frozen = 0
        self._start_at = 0.0
        self._closed = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)

    @property
    def process(self) -> Process:
        assert self._process is not None, "the worker was not started"
        return self._process

    def start(self) -> None:
        """Start it for the first time."""
        self._process = Process(
            [sys.executable, "-m", "deskpulse", "worker"],
            env=self._environment,
            cwd=ROOT,
            log_path=self.log_path,
            grace_seconds=_END_SECONDS,
        )
        self.starts += 1
        self._watcher.start()

    def look_after(self) -> None:
        """Start it again if it has ended; to be called again and again."""
        code = self.process.poll()
        if code is None or self._held:
            return
        if not self._start_at:
            self.own_ends += 1
            self._timeline.tell(f"worker {self.name} ended with code {code}: {self._last_words()}")
            self._start_at = time.monotonic() + _PAUSE_SECONDS
        if time.monotonic() >= self._start_at:
            self._start_again()

    def kill(self, *, hold: bool = False) -> None:
        """SIGKILL; then it is started again at once, with ``hold`` when :meth:`let_go` is called."""
        self._held = hold
        if self.process.poll() is None:
            self._timeline.tell(f"kill -9 of worker {self.name} (process {self.process.pid})")
            self.process.kill()
            self.kills += 1
        if not hold:
            self._start_again()

    def let_go(self) -> None:
        """Start one that was held."""
        self._held = False
        self._start_again()

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.process.poll() is None:
            self._timeline.tell(f"worker {self.name} is frozen (process {self.process.pid})")
            self._frozen = self.process.pid
            os.kill(self._frozen, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on as though nothing had been, if nobody has killed it meanwhile."""
        if self.process.poll() is None and self.process.pid == self._frozen:
            os.kill(self.process.pid, signal.SIGCONT)
            self._timeline.tell(f"worker {self.name} goes on")

    def stop(self) -> int:
        """End it in order; its exit code."""
        self._held = True
        return self.process.terminate(_END_SECONDS)

    def close(self) -> None:
        """End it and the watching."""
        self._closed.set()
        if self._process is not None:
            with suppress(ProcessLookupError):
                if self._process.poll() is None:
                    os.kill(self._process.pid, signal.SIGCONT)
            self._process.close()

    def lives_ended(self) -> int:
        """How often it has replaced itself after a failure (``deskpulse.lives``), by its log."""
        return self.log_path.read_text(errors="replace").count("ends, and its state is dropped")

    def get(self, path: str, timeout_seconds: float = 10.0) -> bytes | None:
        """See :func:`bench.running.page`."""
        return page(self.port, path, timeout_seconds)

    def status(self) -> Any:
        """The document of ``/api/status``, None where there is no answer."""
        body = self.get("/api/status", _ANSWER_SECONDS)
        return None if body is None else json.loads(body)

    def memory_mib(self) -> float:
        """Resident memory; 0 when there is no process."""
        with suppress(OSError, ValueError, IndexError):
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / MIB
        return 0.0

    def _start_again(self) -> None:
        self._start_at = 0.0
        if self.process.poll() is not None:
            self.process.start_again()
            self.starts += 1
            self._timeline.tell(f"worker {self.name} is started again (process {self.process.pid})")

    def _watch(self) -> None:
        while not self._closed.wait(_WATCH_SECONDS):
            status, pid = self.status(), self.process.pid
            now = time.monotonic()
            if status is None:
                self.seen.append(Seen(now, pid))
                continue
            health = status["health"]
            self.seen.append(
                Seen(
                    now,
                    pid,
                    bool(status["ready"]),
                    tuple(health["partitions"]),
                    health["input_lag"],
                    health["sink_lag"],
                    health["tracked_tickets"],
                    self.memory_mib(),
                )
            )

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = self.log_path.read_text(errors="replace").splitlines()
            told = [line for line in lines[-60:] if "ends:" in line or "Error" in line]
            return (told or lines or ["nothing in its log"])[-1][-300:]
        return "no log"
