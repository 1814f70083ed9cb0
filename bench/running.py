"""What is measured runs in processes of its own; here they are started, asked and weighed."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, TypeVar

from deskpulse.local.kafka import free_port
from deskpulse.local.processes import Process, spawn

ROOT: Final = Path(__file__).parents[1]
_PIN: Final = Path(__file__).with_name("pin.py")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
MIB: Final = 1 << 20
T = TypeVar("T")


class BenchError(Exception):
    """A measurement that can't be made or has no meaning; says why."""


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This process's environment with nothing of deskpulse's but ``settings``, by their keys: ``kafka.group``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DESKPULSE_")}
    kept["PYTHONPATH"] = str(ROOT)
    named = {"DESKPULSE_" + key.replace(".", "__").upper(): str(value) for key, value in settings.items()}
    return kept | named


def pinned(core: int | None, *arguments: str) -> list[str]:
    """The command of a Python program, on one core."""
    command = [sys.executable, *arguments]
    return command if core is None else [sys.executable, str(_PIN), str(core), *command]


def answer_of(core: int, module: str, folder: Path, question: Mapping[str, object], deadline_seconds: float) -> Any:
    """What a module of ``bench`` that measures in a process of its own says: the last line it prints, as JSON."""
    said = folder / f"{module}.{time.monotonic_ns()}.out"
    command = pinned(core, "-m", f"bench.{module}", json.dumps(dict(question)))
    with spawn(command, environment({}), said, cwd=folder) as process:
        code = process.wait(deadline_seconds)
    lines = said.read_text().splitlines()
    if code != 0:
        how = f"was not done after {deadline_seconds:g} s" if code is None else f"ended with code {code}"
        raise BenchError("\n".join([f"bench.{module} {how}:", *lines[-20:]]))
    return json.loads(lines[-1])


def page(port: int, path: str, timeout_seconds: float) -> bytes | None:
    """The body of a worker's page with status 200; None when there is no other answer, or none in time."""
    connection = HTTPConnection("127.0.0.1", port, timeout=timeout_seconds)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, HTTPException):
        return None
    finally:
        connection.close()
    return body if answer.status == 200 else None


class Worker:
    """A running ``deskpulse worker``."""

    def __init__(self, process: Process, port: int, log_path: Path) -> None:
        self.pid = process.pid
        self._process = process
        self.port = port
        """Of its page and metrics."""
        self._log_path = log_path

    def cpu_seconds(self) -> float:
        """What all of its threads have used, in user and system mode."""
        self.check()
        return _cpu_seconds(Path(f"/proc/{self.pid}"))[1]

    def cpu_by_thread(self) -> dict[str, float]:
        """The same for the event loop, librdkafka's threads, and the others of Python; those that ended count there."""
        self.check()
        seconds = {"event loop": 0.0, "librdkafka": 0.0}
        for thread in Path(f"/proc/{self.pid}/task").iterdir():
            with suppress(FileNotFoundError, ProcessLookupError):
                name, used = _cpu_seconds(thread)
                if thread.name == str(self.pid):
                    seconds["event loop"] = used
                elif name.startswith("rdk:"):
                    seconds["librdkafka"] += used
        return seconds | {"other threads": self.cpu_seconds() - sum(seconds.values())}

    def memory_mib(self, kind: str = "VmRSS") -> float:
        """Resident memory; ``VmHWM``: the most that there ever was."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == kind:
                return int(value.split()[0]) * 1024 / MIB
        raise BenchError(f"process {self.pid} has no {kind}")

    def get(self, path: str) -> bytes | None:
        """The body of a page with status 200; None when there is no other answer, or none yet."""
        self.check()
        return page(self.port, path, 30)

    def status(self) -> Any:
        """The document of ``/api/status``, None before the web server is up."""
        body = self.get("/api/status")
        return None if body is None else json.loads(body)

    def await_ready(self, deadline_seconds: float = 120) -> None:
        """Wait until its partitions are assigned and restored."""
        wait_until(lambda: self.get("/readyz"), deadline_seconds, "the worker is ready")

    def check(self) -> None:
        """Raise :class:`BenchError` with the end of its log when it has ended."""
        if (code := self._process.poll()) is not None:
            told = self._log_path.read_text().splitlines()[-20:]
            raise BenchError("\n".join([f"the worker ended with code {code}:", *told]))


def _cpu_seconds(process: Path) -> tuple[str, float]:
    name, _, rest = (process / "stat").read_text().partition("(")[2].rpartition(")")
    fields = rest.split()
    return name, (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


@contextmanager
def worker(folder: Path, settings: Mapping[str, object], core: int | None = None) -> Iterator[Worker]:
    """A worker with these settings (by their keys), which is told to end at the end."""
    port = free_port()
    log_path = folder / f"worker-{port}.log"
    command = pinned(core, "-m", "deskpulse", "worker", "--log-level", "warning")
    with spawn(command, environment({"worker.web_port": port, **settings}), log_path, cwd=folder) as process:
        yield Worker(process, port, log_path)
        process.terminate(30)


def wait_until(condition: Callable[[], T], deadline_seconds: float, what: str, every_seconds: float = 0.05) -> T:
    """The first true value of ``condition``; raises :class:`BenchError` at the deadline."""
    until = time.monotonic() + deadline_seconds
    while not (value := condition()):
        if time.monotonic() > until:
            raise BenchError(f"not within {deadline_seconds:g} s: {what} (last seen: {value!r})")
        time.sleep(every_seconds)
    return value
