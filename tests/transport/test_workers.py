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


def test_a_second_worker_joins_and_leaves_under_load(desk: Desk) -> None:
    desk.start("stays")
    is_over = threading.Event()
    load = threading.Thread(target=send_until, args=(desk, is_over))
    load.start()
    try:
        wait_until(lambda: desk.copied() > 1_000, 10, "copies under load")
        desk.start("visits")
        wait_until(lambda: desk.owned_by("stays") | desk.owned_by("visits") == ALL, 10, "all partitions are owned")
        wait_until(lambda: len(desk.owned_by("stays")) == len(desk.owned_by("visits")), 10, "they share equally")
        before = desk.copied()
        wait_until(lambda: desk.copied() > before + 2_000, 10, "both copy")
        assert desk.stop("visits") == 0
        wait_until(lambda: desk.owned_by("stays") == ALL, 10, "one owns all again")
    finally:
        is_over.set()
        load.join()
    desk.await_all_copied()
    assert desk.stop("stays") == 0
    desk.assert_each_copied_once_in_order()


def test_a_killed_worker_is_replaced_and_nothing_is_lost_or_doubled(desk: Desk) -> None:
    desk.start("survives")
    desk.start("dies")
    wait_until(lambda: len(desk.owned_by("survives")) == len(desk.owned_by("dies")), 10, "they share equally")
    is_over = threading.Event()
    load = threading.Thread(target=send_until, args=(desk, is_over))
    load.start()
    try:
        wait_until(lambda: desk.copied() > 3_000, 10, "copies under load")
        desk.stop("dies", signal.SIGKILL)
        wait_until(lambda: desk.owned_by("survives") == ALL, 15, "the other one takes over")
    finally:
        is_over.set()
        load.join()
    desk.await_all_copied()
    assert desk.stop("survives") == 0
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
