"""Workers come, go and die; every event is copied once, in its order."""

import signal
import threading

from tests.transport.desk import PARTITIONS, Desk
from tests.waiting import wait_until

ALL = set(range(PARTITIONS))


def send_until(desk: Desk, is_over: threading.Event) -> None:
    while not is_over.wait(0.05):
        desk.send(200)


def test_a_worker_copies_every_event_once_and_its_successor_goes_on_where_it_stopped(desk: Desk) -> None:
    desk.send(3_000)
    desk.start("first")
    desk.send(3_000)
    desk.await_all_copied()
    assert desk.stop("first") == 0
    desk.send(3_000)
    desk.start("second")
    desk.await_all_copied()
    assert desk.stop("second") == 0
    desk.assert_each_copied_once_in_order()


def test_workers_join_leave_and_are_killed_under_load(desk: Desk) -> None:
    desk.start("stays")
    is_over = threading.Event()
    load = threading.Thread(target=send_until, args=(desk, is_over))
    load.start()
    try:
        for worker, by in (("visits", signal.SIGTERM), ("dies", signal.SIGKILL)):
            desk.start(worker)
            wait_until(
                lambda of=worker: len(desk.owned_by("stays")) == len(desk.owned_by(of)), 15, "they share equally"
            )
            before = desk.copied()
            wait_until(lambda before=before: desk.copied() > before + 2_000, 15, "both copy")
            assert desk.stop(worker, by) == (0 if by is signal.SIGTERM else -by)
            wait_until(lambda: desk.owned_by("stays") == ALL, 15, "one owns all again")
    finally:
        is_over.set()
        load.join()
    desk.await_all_copied()
    assert desk.stop("stays") == 0
    desk.assert_each_copied_once_in_order()


def test_a_worker_that_was_asleep_while_others_took_over_adds_nothing(desk: Desk) -> None:
    desk.start("sleeps")
    desk.send(2_000)
    desk.workers["sleeps"].send_signal(signal.SIGSTOP)
    desk.send(2_000)
    desk.launch("awake")
    wait_until(lambda: desk.owned_by("awake") == ALL, 15, "the other one takes over")
    desk.await_all_copied()
    desk.workers["sleeps"].send_signal(signal.SIGCONT)
    desk.send(2_000)
    desk.await_all_copied()
    desk.stop("sleeps")
    assert desk.stop("awake") == 0
    desk.assert_each_copied_once_in_order()
