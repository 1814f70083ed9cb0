"""The broker dies, hangs and comes back in the middle of traffic; every event is copied once, in its order."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deskpulse.local.kafka import LocalKafka
from tests.process_state import state_of
from tests.transport.desk import Desk
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[LocalKafka]:
    with LocalKafka() as kafka:
        yield kafka


@pytest.fixture
def desk(own_kafka: LocalKafka, unique: str, tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(own_kafka.bootstrap, unique, tmp_path)
    yield desk
    desk.end()


@contextmanager
def halted(kafka: LocalKafka) -> Iterator[None]:
    """All of the broker's threads are stopped: the signal comes to one, and until that runs the others answer."""

    def has_halted() -> bool:
        try:
            return {state_of(task) for task in Path(f"/proc/{kafka.pid}/task").iterdir()} == {"T"}
        except (FileNotFoundError, ProcessLookupError):  # a thread has ended meanwhile
            return False

    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        wait_until(has_halted, 10, "the broker has halted")
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


def hang(kafka: LocalKafka, seconds: float) -> None:
    with halted(kafka):
        threading.Event().wait(seconds)


def test_a_broker_that_dies_or_hangs_under_load_loses_and_doubles_nothing(own_kafka: LocalKafka, desk: Desk) -> None:
    desk.start("stays")
    is_over = threading.Event()

    def send() -> None:
        while not is_over.wait(0.05):
            desk.produce(100)

    load = threading.Thread(target=send)
    load.start()

    def await_progress() -> None:
        before = desk.copied()
        # A commit has 60 s, and its worker 15 s more to be replaced.
        wait_until(lambda: desk.copied() > before + 1_000, 90, "copies go on")

    try:
        await_progress()
        hang(own_kafka, 1.0)  # less than the session of 2 s
        await_progress()
        hang(own_kafka, 4.0)  # longer than session and transaction
        await_progress()
        own_kafka.kill()
        own_kafka.restart()
        await_progress()
    finally:
        is_over.set()
        load.join()
    desk.flush()
    desk.await_all_copied(40)
    assert desk.stop("stays") == 0
    desk.assert_each_copied_once_in_order()


def test_a_worker_that_is_told_to_end_while_the_broker_hangs_ends_in_time(own_kafka: LocalKafka, desk: Desk) -> None:
    desk.start("ends", revoke_seconds=1.5, struck_at="send_offsets_to_transaction", struck_by="SIGSTOP")

    def asleep() -> bool:
        desk.send(40)
        return desk.state_of("ends") == "T"

    wait_until(asleep, 20, "a transaction is open")
    with halted(own_kafka):
        desk.workers["ends"].send_signal(signal.SIGCONT)
        desk.workers["ends"].send_signal(signal.SIGTERM)
        assert desk.workers["ends"].wait(10) == 1
    desk.workers.pop("ends")
    assert "ended as told, but without the last commit" in desk.told_by("ends")
    desk.start("goes-on")
    desk.await_all_copied()
    assert desk.stop("goes-on") == 0
    desk.assert_each_copied_once_in_order()
