"""Tickets come up when they are due, whatever was set before, in the order of their times."""

import random

from streams.timers import Timers

HOUR_MS = 3_600_000


def test_each_key_comes_up_once_it_is_due_and_not_before() -> None:
    due_of: dict[bytes, int] = {}
    timers = Timers(due_of.get)
    rng = random.Random(1)
    now, came = 5 * HOUR_MS, 0
    for step in range(3_000):
        for _ in range(rng.randrange(4)):
            key = b"%d" % rng.randrange(500)
            due_of[key] = now + rng.choice((1, 20, 60_000, HOUR_MS, 50 * HOUR_MS)) + rng.randrange(90_000)
            timers.set(due_of[key], key)
        if step % 100 == 0:
            timers.renew()
        now += rng.choice((1, 1, 1_000, 61_000, 2 * HOUR_MS))
        wanted = {key: due for key, due in due_of.items() if due <= now}
        found = list(dict.fromkeys(timers.due(now)))
        assert set(found) == set(wanted)
        assert [wanted[key] for key in found] == sorted(wanted.values())
        for key in found:
            del due_of[key]
        came += len(found)
    assert came > 1_000


def test_what_is_set_for_the_past_comes_up_at_once() -> None:
    timers = Timers({b"a": 7, b"b": 3 * HOUR_MS}.get)
    assert list(timers.due(2 * HOUR_MS)) == []
    timers.set(7, b"a")
    timers.set(3 * HOUR_MS, b"b")
    assert list(timers.due(2 * HOUR_MS)) == [b"a"]
    assert list(timers.due(3 * HOUR_MS)) == [b"b"]
