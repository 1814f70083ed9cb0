"""Processes that end with the one that started them, even when that is killed."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from deskpulse.local.errors import LocalStackError

_SUPERVISOR = Path(__file__).with_name("supervisor.py")


class Process:
    """A running command, watched over by a supervisor of its own.

    The command is stopped (SIGTERM, SIGKILL after the grace time) and the folders in `remove` are deleted when this
    object is closed, and also when this process ends in any way. Ctrl-C in a terminal does not reach the command.
    """

    def __init__(
        self,
        argv: Sequence[str | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        log_path: Path | None = None,
        grace_seconds: float = 10.0,
        remove: Sequence[Path] = (),
    ) -> None:
        spec = {
            "argv": [os.fspath(part) for part in argv],
            "log": os.fspath(log_path.absolute()) if log_path else None,
            "grace_seconds": grace_seconds,
            "remove": [os.fspath(folder.absolute()) for folder in remove],
        }
        self.pid = 0
        self._grace_seconds = grace_seconds
        self._returncode: int | None = None
        self._unread = b""
        self._supervisor = subprocess.Popen(
            [sys.executable, "-I", "-S", _SUPERVISOR, json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            cwd=cwd,
            bufsize=0,
            start_new_session=True,
        )
        self._await_start()

    @property
    def returncode(self) -> int | None:
        """Exit code of the command, negative for a signal, None while it runs (see `poll`)."""
        return self._returncode

    def poll(self) -> int | None:
        """Return the exit code if the command has ended, else None."""
        return self.wait(0)

    def wait(self, deadline_seconds: float) -> int | None:
        """Wait for the command's end; return its exit code, or None if it still runs after `deadline_seconds`."""
        until = time.monotonic() + deadline_seconds
        while self._returncode is None:
            event = self._next_event(max(0.0, until - time.monotonic()))
            if event is None:
                break
            self._take(event)
        return self._returncode

    def terminate(self, deadline_seconds: float | None = None) -> int:
        """Ask the command to end and wait; after `deadline_seconds` (default: the grace time) it is killed.

        Returns the exit code. The supervisor and the folders stay until `close`.
        """
        self._command(b"t")
        code = self.wait(self._grace_seconds if deadline_seconds is None else deadline_seconds)
        return self.kill() if code is None else code

    def kill(self) -> int:
        """End the command with SIGKILL, wait for it and return the exit code."""
        self._command(b"k")
        code = self.wait(30)
        if code is None:
            raise LocalStackError(f"process {self.pid} did not end within 30 s of SIGKILL")
        return code

    def start_again(self) -> None:
        """Start the command anew, the same way; it must have ended."""
        if self.poll() is None:
            raise LocalStackError(f"process {self.pid} still runs; stop it before it is started again")
        self._returncode = None
        self._command(b"s")
        self._await_start()

    def close(self) -> None:
        """Stop the command if it runs, remove its folders, end the supervisor. May be called again."""
        if self._supervisor.stdin is not None and not self._supervisor.stdin.closed:
            with contextlib.suppress(OSError):
                self._supervisor.stdin.close()
            self._supervisor.wait()
            self.wait(0)
            if self._supervisor.stdout is not None:
                self._supervisor.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_start(self) -> None:
        event = self._next_event(30)
        if event is None:
            self.close()
            raise LocalStackError("the supervisor process did not start the command within 30 s")
        self._take(event)

    def _take(self, event: str) -> None:
        kind, _, text = event.partition(" ")
        if kind == "started":
            self.pid = int(text)
        elif kind == "exited":
            self._returncode = int(text)
        else:
            self.close()
            raise LocalStackError(f"could not start the command: {text}")

    def _command(self, letter: bytes) -> None:
        # A supervisor that is gone has ended the command before it went; `wait` then tells so.
        stdin = self._supervisor.stdin
        if stdin is not None and not stdin.closed:
            with contextlib.suppress(BrokenPipeError):
                stdin.write(letter)

    def _next_event(self, timeout_seconds: float) -> str | None:
        stdout = self._supervisor.stdout
        until = time.monotonic() + timeout_seconds
        while b"\n" not in self._unread:
            if stdout is None or stdout.closed:
                return None
            if not select.select([stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                return None
            read = stdout.read(4096)
            if not read:
                return self._after_supervisor()
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode(errors="replace")

    def _after_supervisor(self) -> str | None:
        """Do what a supervisor that was killed itself can't do any more; return the event that it owes."""
        if not self.pid or self._returncode is not None:
            return None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        return f"exited {-signal.SIGKILL}"


def spawn(
    argv: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str] | None = None,
    log_path: Path | None = None,
    *,
    cwd: Path | None = None,
    grace_seconds: float = 10.0,
) -> Process:
    """Start `argv` so that it ends with this process; both outputs are appended to `log_path` (default: nowhere).

    `env` replaces the environment (None: inherited). Raises LocalStackError when the command can't be started.
    """
    return Process(argv, env=env, cwd=cwd, log_path=log_path, grace_seconds=grace_seconds)
