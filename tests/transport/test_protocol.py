"""Whatever strikes a worker between two steps of the commit protocol: every event is copied once, in its order."""

import signal

from tests.transport.desk import PARTITIONS, Desk
from tests.waiting import wait_until

ALL = set(range(PARTITIONS))
STEPS = ("begin_transaction", "produce", "send_offsets_to_transaction", "committed", "commit_transaction")


def test_a_worker_may_be_killed_between_any_two_steps_of_a_commit(desk: Desk) -> None:
    for step in STEPS:
        desk.launch("dies", struck_at=step)

        def dead() -> bool:
            desk.send(40)
            return desk.workers["dies"].poll() is not None

        wait_until(dead, 30, f"the worker is killed at {step}")
        assert desk.ended("dies") == -signal.SIGKILL
    # Another one, which can't end the last transaction of the dead: it waits for the coordinator to do so.
    desk.start("survives")
    desk.await_all_copied()
    assert desk.stop("survives") == 0
    desk.assert_each_copied_once_in_order()


def test_a_worker_that_falls_asleep_in_a_transaction_holds_nobody_up_and_adds_nothing(desk: Desk) -> None:
    desk.start("sleeps", struck_at="commit_transaction", struck_by="SIGSTOP")

    def asleep() -> bool:
        desk.send(40)
        return desk.state_of("sleeps") == "T"

    wait_until(asleep, 20, "the worker falls asleep with all of a transaction sent but its end")
    desk.launch("awake")
    # The coordinator aborts the transaction after 2 s, and looks twice a second: readers see what others did instead.
    wait_until(lambda: desk.owned_by("awake") == ALL, 20, "the other one takes over")
    desk.send(1_000)
    desk.await_all_copied(10)
    desk.workers["sleeps"].send_signal(signal.SIGCONT)
    wait_until(lambda: desk.owned_by("awake") != ALL, 20, "the one that slept joins again")
    desk.send(1_000)
    desk.await_all_copied()
    # Told to end between two lives, it ends by the signal itself.
    assert desk.stop("sleeps") in (0, -signal.SIGTERM)
    assert desk.stop("awake") == 0
    desk.assert_each_copied_once_in_order()
