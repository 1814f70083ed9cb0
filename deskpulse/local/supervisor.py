"""Run one command that ends when the process that asked for it ends, however that ends.

A program of its own on the standard library alone, started by `deskpulse.local.processes`: it must come up at once and
outlive a SIGKILL of its parent. The parent holds the other end of standard input; when that closes, or the parent is
gone, the command is stopped and the folders that were to live only as long are removed.

Argument: one JSON object {"argv": [str], "log": path | null, "grace_seconds": number, "remove": [path]}.
Standard input, one letter a command: `t` terminate, `k` kill, `s` start again; end of file: stop everything and exit.
Standard output, one line an event: `started PID`, `exited CODE` (negative: the signal), `failed TEXT`.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from typing import Any

# A process that the parent forked may keep the pipe open after the parent's death; then only this look notices it.
_PARENT_LOOK_SECONDS = 1.0


class Supervisor:
    """One command and what is to be removed after it."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the command in a process group of its own, its output appended to the log."""
        log = open(self.spec["log"] or os.devnull, "ab")  # noqa: PTH123, SIM115  (pathlib would slow the start)
        try:
            self.child = subprocess.Popen(
                self.spec["argv"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            say(f"failed {error}")
        else:
            say(f"started {self.child.pid}")
        finally:
            log.close()

    def reap(self) -> None:
        """Tell the parent once that the command has ended."""
        if self.child is not None and (code := self.child.poll()) is not None:
            self.child = None
            say(f"exited {code}")

    def terminate(self) -> None:
        """Ask the command, and what it started in its group, to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the command and what it started in its group."""
        self._signal(signal.SIGKILL)

    def finish(self) -> None:
        """End the command, by force after the grace time, and remove the folders."""
        if self.child is not None:
            self.terminate()
            try:
                self.child.wait(self.spec["grace_seconds"])
            except subprocess.TimeoutExpired:
                self.kill()
                self.child.wait()
            self.reap()
        for folder in self.spec["remove"]:
            shutil.rmtree(folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        if self.child is not None:
            # The group may have ended of itself; macOS then says that it is not permitted.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.child.pid, number)


def say(line: str) -> None:
    """Write one event; a parent that is gone hears nothing, which is no error."""
    with contextlib.suppress(OSError):
        os.write(1, line.replace("\n", " ").encode() + b"\n")


def main() -> None:
    """Serve the parent's commands until it closes standard input or is gone."""
    parent = os.getppid()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    for each in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(each, lambda *_: None)
    supervisor = Supervisor(json.loads(sys.argv[1]))
    supervisor.start()
    commands = {b"t": supervisor.terminate, b"k": supervisor.kill, b"s": supervisor.start}
    while os.getppid() == parent:
        ready, _, _ = select.select([0, woken], [], [], _PARENT_LOOK_SECONDS)
        if woken in ready and set(os.read(woken, 512)) - {signal.SIGCHLD}:
            break
        supervisor.reap()
        if 0 in ready:
            command = os.read(0, 1)
            if not command:
                break
            commands[command]()
    supervisor.finish()


if __name__ == "__main__":
    main()
