"""The broker that all processes of a test run share; it ends with the run, however that ends.

The process that pytest was started in holds a lock on ``run.lock`` for as long as it lives. The first test that needs a
broker starts this program, which writes ``broker.json`` once the broker is up and then waits to get that lock itself.
No process has to count the others, and a run that is killed releases its lock like one that ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import traceback
from pathlib import Path
from typing import IO

from deskpulse.local.kafka import LocalKafka
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]

# A machine's first run fetches the jars, or an image.
START_DEADLINE_SECONDS = 300
STOP_DEADLINE_SECONDS = 30

CONTAINER_SETTINGS = {
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_LOG_RETENTION_MS": "-1",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS": "500",
    "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
    "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "1000",
}


def hold_run(folder: Path) -> IO[str]:
    """Mark the run as going on for as long as the returned file is open."""
    held = (folder / "run.lock").open("w")
    fcntl.flock(held, fcntl.LOCK_EX)
    return held


def await_end(folder: Path) -> None:
    """Wait until the run's broker, if there was one, is gone; the run's lock must have been let go."""
    with (folder / "host.lock").open("w") as file:

        def gone() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        wait_until(gone, STOP_DEADLINE_SECONDS, "the test run's broker has ended")


def shared_broker(folder: Path) -> str:
    """Address of the run's broker, started if this is the first call in any of its processes."""
    answer = folder / "broker.json"
    with (folder / "start.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not answer.exists():
            with (folder / "host.log").open("w") as log:
                host = subprocess.Popen(
                    [sys.executable, "-m", "tests.broker_host", folder],
                    cwd=ROOT,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            ended_or_up = lambda: answer.exists() or host.poll() is not None  # noqa: E731
            wait_until(ended_or_up, START_DEADLINE_SECONDS, "a broker for the tests")
    said: dict[str, str] = json.loads(answer.read_text())
    if "error" in said:
        raise RuntimeError(f"no broker for the tests:\n{said['error']}")
    return said["bootstrap"]


def start_broker(until_the_end: contextlib.ExitStack) -> str:
    """Address of a broker in a container where Docker has one, else of a local one."""
    if docker_answers():
        from testcontainers.community.kafka import KafkaContainer

        container = KafkaContainer().with_kraft()
        for name, value in CONTAINER_SETTINGS.items():
            container = container.with_env(name, value)
        # Docker may answer and still have no image, as when it is offline.
        with contextlib.suppress(Exception):
            return until_the_end.enter_context(container).get_bootstrap_server()
    return until_the_end.enter_context(LocalKafka()).bootstrap


def docker_answers() -> bool:
    import docker

    try:
        client = docker.from_env(timeout=3)
        client.ping()
    except (docker.errors.DockerException, OSError):
        return False
    client.close()
    return True


def main(folder: Path) -> None:
    with (folder / "host.lock").open("w") as here, contextlib.ExitStack() as until_the_end:
        fcntl.flock(here, fcntl.LOCK_EX)
        try:
            bootstrap = start_broker(until_the_end)
        except Exception:
            write(folder, {"error": traceback.format_exc()})
            return
        write(folder, {"bootstrap": bootstrap})
        with (folder / "run.lock").open("w") as run:
            fcntl.flock(run, fcntl.LOCK_EX)


def write(folder: Path, said: dict[str, str]) -> None:
    part = folder / "broker.part"
    part.write_text(json.dumps(said))
    part.replace(folder / "broker.json")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
