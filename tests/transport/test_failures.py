"""What goes wrong ends the worker, at once and with an exit code, and nothing is skipped."""

from collections.abc import Callable

from tests.transport.desk import Desk


def test_an_agents_error_ends_the_worker_and_no_event_is_skipped(desk: Desk) -> None:
    desk.send(1_000)
    desk.send(1, b"poison")
    desk.send(1_000)
    desk.launch("fails", fail_on="poison")
    assert desk.ended("fails", 15) != 0
    assert "told to fail on b'poison'" in desk.told_by("fails")
    desk.start("repaired")
    desk.await_all_copied()
    assert desk.stop("repaired") == 0
    desk.assert_each_copied_once_in_order()


def test_an_undeliverable_copy_ends_the_worker_and_is_told(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(output_config={"max.message.bytes": "2000"})
    desk.send(8)
    desk.launch("too-much", enlarge_to=5_000)
    assert desk.ended("too-much", 15) != 0
    assert f"a record of {desk.output}[" in desk.told_by("too-much")
    assert "Message size too large" in desk.told_by("too-much")
    assert desk.copied() == 0
    desk.start("fits")
    desk.await_all_copied()
    assert desk.stop("fits") == 0
    desk.assert_each_copied_once_in_order()


def test_a_missing_topic_ends_the_worker_and_is_named(desk: Desk) -> None:
    desk.launch("lost", inputs=[f"{desk.name}-nowhere"])
    assert desk.ended("lost", 20) != 0
    assert f"topic '{desk.name}-nowhere' is not on the broker" in desk.told_by("lost")
