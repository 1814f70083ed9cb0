"""The demo as a user starts it: the real stack, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from schemas.events import INPUT_TOPICS
from tests.local.ends import ended

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 120
EVENTS = (
    {"id": "1", "type": "ticket.created", "at": "2024-05-06T09:00:00Z", "customer_id": "c", "channel": "email",
     "priority": "high"},
    {"id": "2", "type": "message.sent", "at": "2024-05-06T09:30:00Z", "author": "agent", "author_id": "a",
     "visibility": "public"},
    {"id": "3", "type": "ticket.updated", "at": "2024-05-06T10:00:00Z", "status": "solved"},
    {"id": "4", "type": "survey.answered", "at": "2024-05-06T11:00:00Z", "survey_id": "s", "kind": "csat", "score": 5},
)  # fmt: skip


def start(*arguments: object) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DESKPULSE_")}
    return subprocess.Popen(
        [sys.executable, "-m", "deskpulse", "demo", *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def told(running: subprocess.Popen[str], what: str) -> None:
    """Wait until the demo says so."""
    assert running.stderr is not None
    lines = []
    for line in running.stderr:
        lines.append(line)
        if what in line:
            return
    pytest.fail(f"the demo ended without saying {what!r}: {lines}")


def below(pid: int) -> set[int]:
    """The processes that a process has started, and those that they have."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # a thread that has ended meanwhile
            for child in map(int, (task / "children").read_text().split()):
                found |= {child} | below(child)
    return found


def document(running: subprocess.Popen[str]) -> Any:
    out, err = running.communicate(timeout=DEADLINE_SECONDS)
    assert running.returncode == 0, err
    return json.loads(out)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes in /proc")
def test_every_event_of_the_made_up_desk_is_in_the_archive_and_in_the_gauges_and_nothing_keeps_running() -> None:
    running = start("--seconds", 4, "--rate", 40, "--warm", "5m", "--seed", 1, "--format", "json")
    told(running, "the page: http://127.0.0.1:")
    started = below(running.pid)
    assert len(started) >= 4, "Kafka, the worker, and a supervisor of each"
    summary = document(running)
    assert all(ended(pid) for pid in started)

    events = summary["events"]
    assert events["published"] > 1_000
    assert set(events["by_topic"]) == set(INPUT_TOPICS)
    assert events["read"] == events["published"] == summary["clickhouse"]["events"]
    assert events["duplicates"] > 0, "one in a hundred comes twice"
    assert events["dead_letters"] == events["late"] == 0
    gauges = summary["gauges"]
    assert gauges["samples"] > 1_000
    assert 0 < gauges["created"] <= summary["clickhouse"]["ticket_facts"]
    assert gauges["first_reply_seconds_p50"] > 0
    assert gauges["backlog"]["new"] > 0
    assert summary["clickhouse"]["cells_minute"] >= summary["clickhouse"]["cells_hour"] > 0


def test_a_file_is_shown_as_of_its_last_event_and_ctrl_c_ends_the_demo(tmp_path: Path) -> None:
    lines = [json.dumps({"ticket_id": "t", **event}) for event in EVENTS]
    (tmp_path / "events.jsonl").write_text("\n".join([*lines, lines[0], "no event"]))
    running = start("--input", tmp_path / "events.jsonl", "--data", tmp_path / "kept", "--format", "json")
    told(running, "published 5 events")
    running.send_signal(signal.SIGINT)
    summary = document(running)

    assert summary["events"]["read"] == summary["clickhouse"]["events"] == 5
    assert summary["events"]["duplicates"] == 1
    assert summary["events"]["dead_letters"] == 1
    assert summary["clickhouse"]["ticket_facts"] == 1
    assert summary["gauges"]["created"] == summary["gauges"]["fcr_ratio"] == summary["gauges"]["csat_ratio"] == 1
    assert summary["gauges"]["first_reply_seconds_p50"] == pytest.approx(1800, rel=0.02)
    assert (tmp_path / "kept" / "worker.log").read_text().count(" ready: ") == 1


def test_a_worker_that_dies_ends_the_demo_with_its_log() -> None:
    running = start("--rate", 5, "--warm", "0s")
    told(running, "the page: ")
    (worker,) = (pid for pid in below(running.pid) if command(pid)[1:] == ["-m", "deskpulse", "worker"])
    os.kill(worker, signal.SIGKILL)
    out, err = running.communicate(timeout=DEADLINE_SECONDS)
    assert running.returncode == 1
    assert "the worker ended with code -9; its log ends with:" in err
    assert "deskpulse.worker: starting as demo" in err, "the end of its log"
    assert out == ""


def command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")


def test_a_folder_of_a_replay_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clickhouse").mkdir()
    running = start("--data", tmp_path)
    _, err = running.communicate(timeout=DEADLINE_SECONDS)
    assert running.returncode == 1
    assert "without the topics that they came from" in err
