"""A worker as a process of its own on the local stack, and what it says of itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
import requests

from deskpulse.local.errors import LocalStackError
from deskpulse.local.kafka import free_port
from deskpulse.local.processes import Process

_POLL_SECONDS: Final = 0.1
_ANSWER_SECONDS: Final = 30.0
_LOG_LINES: Final = 15


class LocalWorker:
    """``deskpulse worker`` with the given settings (``DESKPULSE_*`` variables), ended with this process.

    The folders in ``remove`` are deleted after it, also when this process is killed.
    """

    def __init__(
        self,
        settings: Mapping[str, str],
        log_path: Path,
        *,
        end_seconds: float = 60.0,
        remove: Sequence[Path] = (),
    ) -> None:
        self.port = int(settings.get("DESKPULSE_WORKER__WEB_PORT", 0)) or free_port()
        self.log_path = log_path
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DESKPULSE_")}
        self._environment = {**inherited, **settings, "DESKPULSE_WORKER__WEB_PORT": str(self.port)}
        token = settings.get("DESKPULSE_WORKER__WEB_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._end_seconds = end_seconds
        self._remove = remove
        self._process: Process | None = None

    def start(self) -> None:
        """Start it; :meth:`wait_until` says when it is ready."""
        self._process = Process(
            [sys.executable, "-m", "deskpulse", "worker"],
            env=self._environment,
            log_path=self.log_path,
            grace_seconds=self._end_seconds,
            remove=self._remove,
        )

    @property
    def process(self) -> Process:
        """The process. Raises :class:`LocalStackError` before :meth:`start`."""
        if self._process is None:
            raise LocalStackError("the worker was not started")
        return self._process

    def check(self) -> None:
        """Raise :class:`LocalStackError` with the end of its log when it has ended."""
        code = self.process.poll()
        if code is not None:
            raise LocalStackError(f"the worker ended with code {code}; its log ends with:\n{self._last_lines()}")

    def status(self) -> dict[str, Any] | None:
        """What ``/api/status`` says, None while there is no answer; :class:`LocalStackError` when it has ended."""
        self.check()
        try:
            answer = requests.get(f"{self.url}/api/status", headers=self._headers, timeout=_ANSWER_SECONDS)
        except requests.RequestException:
            return None
        return msgspec.json.decode(answer.content, type=dict[str, Any])

    def wait_until(
        self,
        holds: Callable[[dict[str, Any]], bool],
        what: str,
        deadline_seconds: float,
        on_status: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> dict[str, Any]:
        """Wait until ``holds`` is true of the status, and return that. Raises :class:`LocalStackError`."""
        until = time.monotonic() + deadline_seconds
        while True:
            status = self.status()
            if status is not None:
                on_status(status)
                if holds(status):
                    return status
            if time.monotonic() > until:
                raise LocalStackError(
                    f"the worker did not get to this within {deadline_seconds:g} s: {what}; "
                    f"its log ends with:\n{self._last_lines()}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Let it end in order, so that all it has applied is committed. Raises :class:`LocalStackError`."""
        code = self.process.terminate(self._end_seconds)
        if code != 0:
            raise LocalStackError(f"the worker ended with code {code}; its log ends with:\n{self._last_lines()}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.close()

    def _last_lines(self) -> str:
        try:
            return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        except OSError:
            return "(no log)"


def is_ready(status: dict[str, Any]) -> bool:
    """Whether the worker has its partitions, restored."""
    return bool(status["ready"])


def is_idle(status: dict[str, Any]) -> bool:
    """Whether everything that was published is applied, committed and in ClickHouse, and time has come to its end.

    Lags alone don't tell: what was committed just now is not known to the sink for a moment. So the records that the
    worker has read and published are compared with those that its sink has taken.
    """
    health = status["health"]
    return (
        bool(status["ready"])
        and not health["input_lag"]
        and not health["inner_lag"]
        and not health["commit_age_seconds"]
        and not health["sink_lag"]
        and not any(health["watermark_lag_seconds"].values())
        and health["sink_records"] >= health["published"] + sum(health["events"].values())
    )
