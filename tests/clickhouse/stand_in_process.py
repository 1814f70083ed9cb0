"""Starts a stand-in for ClickHouse as a process of its own, and tells it what is to go wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sinks.clickhouse import ClickHouseTarget
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class StandInProcess:
    """A running stand-in."""

    port: int
    control_port: int
    username: str = "default"
    password: str = ""

    def target(self, database: str = "deskpulse", **more: Any) -> ClickHouseTarget:
        """Where to connect to."""
        return ClickHouseTarget(
            port=self.port, username=self.username, password=self.password, database=database, **more
        )

    def fail(self, kind: str, **how: Any) -> None:
        """Let something go wrong from now on: the fields of ``tests.clickhouse.stand_in.Fault``."""
        self._control("POST", "/fault", {"kind": kind, **how})

    def heal(self) -> None:
        """Go right again."""
        self._control("DELETE", "/fault")

    def counted(self) -> dict[str, int]:
        """Requests and inserts taken, ``inserted`` and ``answered`` without an error, and how often each fault was."""
        counted: dict[str, int] = self._control("GET", "/")
        return counted

    def await_faults(self, kind: str, at_least: int = 1, deadline_seconds: float = 20) -> None:
        """Wait until a fault has met so many requests, over all."""
        wait_until(
            lambda: self.counted().get(kind, 0) >= at_least, deadline_seconds, f"{at_least} requests met {kind!r}"
        )

    def _control(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.control_port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def stand_in(
    path: Path,
    *,
    port: int = 0,
    control_port: int = 0,
    username: str = "default",
    password: str = "",
    **files: Path,
) -> Iterator[StandInProcess]:
    """A stand-in with its data in ``path``, until the block ends; ports are free ones unless told.

    ``files``: ``config``, ``certificate``, ``key``, ``client_authority``, as the program takes them.
    """
    command = [sys.executable, "-m", "tests.clickhouse.stand_in", "--path", str(path)]
    command += ["--port", str(port), "--control-port", str(control_port)]
    command += ["--username", username, "--password", password, "--until-stdin-ends"]
    for name, file in files.items():
        command += [f"--{name.replace('_', '-')}", str(file)]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said, f"the stand-in did not start; its exit status is {process.wait(10)}"
            ports = json.loads(said)
            yield StandInProcess(ports["port"], ports["control_port"], username, password)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
