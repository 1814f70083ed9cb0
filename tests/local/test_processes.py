from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deskpulse.local.errors import LocalStackError
from deskpulse.local.processes import Process, spawn
from tests.local.ends import ended
from tests.waiting import wait_until

PARENT = """
import os, signal, sys
from pathlib import Path
from deskpulse.local.processes import Process
folder = Path(sys.argv[1])
child = Process(["sleep", "600"], remove=[folder])
print(child.pid, flush=True)
if sys.argv[2] == "forked" and os.fork() == 0:
    signal.pause()
signal.pause()
"""

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM])
def test_child_and_its_folder_are_gone_when_the_parent_is_killed(way: signal.Signals, tmp_path: Path) -> None:
    folder = tmp_path / "of the child"
    (folder / "deeper").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", PARENT, folder, "alone"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not ended(pid)
        parent.send_signal(way)
    wait_until(lambda: ended(pid) and not folder.exists(), 10, "child and folder are gone")


def test_child_ends_with_its_parent_although_a_fork_of_the_parent_lives_on(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, tmp_path, "forked"], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    fork = wait_until(lambda: children(parent.pid), 10, "the parent has forked")[-1]
    parent.kill()
    parent.wait()
    try:
        wait_until(lambda: ended(pid), 10, "the child has ended")
        assert not ended(fork)
    finally:
        signal.pidfd_send_signal(pidfd(fork), signal.SIGKILL)


def test_output_goes_to_the_log_and_the_exit_code_comes_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with spawn([sys.executable, "-c", "print('so far'); raise SystemExit(3)"], log_path=log) as child:
        assert child.wait(10) == 3
        assert child.poll() == child.returncode == 3
    assert log.read_text() == "so far\n"


def test_environment_is_the_given_one(tmp_path: Path) -> None:
    with spawn(["/usr/bin/env"], env={"ONLY": "this"}, log_path=tmp_path / "log") as child:
        assert child.wait(10) == 0
    assert "ONLY=this" in (tmp_path / "log").read_text().splitlines()
    assert "HOME=" not in (tmp_path / "log").read_text()


def test_child_that_will_not_end_is_killed_at_the_deadline(tmp_path: Path) -> None:
    with spawn([sys.executable, "-c", DEAF], log_path=tmp_path / "log") as child:
        wait_until(lambda: (tmp_path / "log").read_text() == "deaf\n", 10, "the child ignores SIGTERM")
        assert child.terminate(deadline_seconds=0.2) == -signal.SIGKILL


def test_child_is_started_again_under_the_same_watch() -> None:
    with Process(["sleep", "600"]) as child:
        first = child.pid
        with pytest.raises(LocalStackError, match="still runs"):
            child.start_again()
        assert child.terminate() == -signal.SIGTERM
        child.start_again()
        assert child.poll() is None
        assert child.pid != first
        second = child.pid
    assert ended(second)


def test_child_ends_too_when_its_supervisor_is_killed() -> None:
    child = Process(["sleep", "600"])
    child._supervisor.kill()
    assert child.wait(10) == -signal.SIGKILL
    wait_until(lambda: ended(child.pid), 10, "the child has ended")
    child.close()


def test_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(LocalStackError, match="no-such-program"):
        spawn(["/no-such-program"])


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()][1:]


def pidfd(pid: int) -> int:
    return os.pidfd_open(pid)
