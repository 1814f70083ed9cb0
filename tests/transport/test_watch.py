"""A worker that reads nothing, although there is something, begins anew; one that is busy or has read all does not."""

import asyncio

import pytest

from streams.failures import can_be_mended
from streams.transport.watch import StallError, Watch
from tests.transport.desk import Desk
from tests.waiting import wait_until


class Scripted:
    """What each look finds."""

    def __init__(self, standings: list[int | None], unread: str) -> None:
        self.standings = iter(standings)
        self.found = unread
        self.asked = 0

    def standing(self) -> int | None:
        return next(self.standings)

    async def unread(self) -> str:
        self.asked += 1
        return self.found


def looked(watched: Scripted, times: int) -> None:
    async def run() -> None:
        watch = Watch(watched)
        for _ in range(times):
            await watch.look()

    asyncio.run(run())


def test_a_standstill_is_an_error_only_where_something_is_there_and_nobody_is_at_work() -> None:
    with pytest.raises(StallError, match=r"nothing was read for 30 s, but t\[1\] goes to 7") as raised:
        looked(Scripted([5, 5, 5, 5, 5], "t[1] goes to 7"), 4)
    assert can_be_mended(raised.value)
    looked(Scripted([5, 5, 5, 5, 6], "was read while the broker was asked"), 4)
    looked(Scripted([5, 5, 5, 6, 6, 6, None, 6, 6, 6], "moves on"), 10)
    looked(Scripted([None] * 9, "an agent is at work"), 9)
    all_read = Scripted([5] * 9, "")
    looked(all_read, 9)
    assert all_read.asked == 2


@pytest.mark.parametrize("what", ["fetcher", "client"])
def test_a_worker_whose_reading_stands_still_without_an_error_begins_anew(desk: Desk, what: str) -> None:
    desk.start("stalls", stalled=what)
    wait_until(lambda: desk.send(50) or desk.notes("stalls", "assigned")[1:], 60, "it has begun anew")
    desk.send(500)
    desk.await_all_copied()
    assert "StallError" in desk.told_by("stalls")
    assert desk.stop("stalls") == 0
    desk.assert_each_copied_once_in_order()
    assert len(desk.notes("stalls", "assigned")) == 2
