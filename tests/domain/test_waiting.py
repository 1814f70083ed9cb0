"""Events that wait for a cut as rows become the history that they would be one by one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from streams.history import ADDED, CREATED, DELETED, MESSAGE, ROW, SIZE, SURVEY_SENT, UPDATED, History, Incoming
from streams.waiting import MOST_EVENTS, Waiting

NAMES = ("", "c1", "c2", "a-name-longer-than-a-word", '{"a":"phone"}')
KEYS = (b"", b"T", b"T1", b"ticket-1", b"ticket-12345", b"a-long-name-0-of-a-ticket", b"a-long-name-1-of-a-ticket")
Event = tuple[bytes, tuple[int, int, int, int, int, str, str]]


def events() -> st.SearchStrategy[Event]:
    """A ticket's key, and at, seq, digest, kind, code, names."""
    kinds = st.sampled_from([CREATED, UPDATED, DELETED, MESSAGE, MESSAGE, SURVEY_SENT])
    numbers = st.sampled_from([0, 1, 2**62, -1, -(2**62)])
    name = st.sampled_from(NAMES)
    told = st.tuples(st.integers(0, 3), numbers, numbers, kinds, st.integers(0, 1), name, name)
    return st.tuples(st.sampled_from(KEYS), told)


def resolved(kept: History) -> list[tuple[Any, ...]]:
    """The records in history order, with names instead of their numbers, which depend on what came first."""
    kept.put_in_order()
    found = []
    for begin in range(0, len(kept.records), SIZE):
        record = kept.records[begin : begin + SIZE]
        *_, b, c = ROW.unpack(record)
        found.append((record[:26], *(kept.names[number - 1] if number else "" for number in (b, c))))
    return found


@given(st.lists(events(), max_size=40))
def test_it_is_the_history_of_the_events_one_by_one(told: list[Event]) -> None:
    waiting = Waiting()
    wanted: dict[bytes, History] = {}
    known = dict.fromkeys(KEYS, 0)
    for key, fields in told:
        event = Incoming(*fields)
        if key not in wanted:
            assert not waiting.add(key, event)
            waiting.begin(key, event)
            wanted[key] = History()
        else:
            assert waiting.add(key, event)
        known[key] += wanted[key].take(Incoming(*fields)) != ADDED
    assert waiting.keys == [*wanted]
    assert len(waiting) == len(wanted)
    for number, key in enumerate(waiting.keys):
        found = waiting.ticket(number)
        assert found is not None
        assert (resolved(found[0].history), found[1]) == (resolved(wanted[key]), known[key])
        assert found[0].history.erased == wanted[key].erased
        assert found[0].changed


def test_of_many_events_it_is_taken_out_whole() -> None:
    waiting = Waiting()
    event = Incoming(0, 0, 0, MESSAGE, 0, "", "c1")
    waiting.begin(b"T1", event)
    added = 1
    while waiting.add(b"T1", Incoming(0, 0, added, MESSAGE, 0, "", "c1")):
        added += 1
    assert added == MOST_EVENTS
    found = waiting.take_out(b"T1")
    assert found is not None
    assert len(found[0].history) == MOST_EVENTS
    assert waiting.take_out(b"T1") is None
    assert waiting.ticket(0) is None
    assert len(waiting) == 0
    assert not waiting.add(b"T1", event)


def test_tickets_do_not_mix_however_many_there_are() -> None:
    waiting = Waiting()
    keys = [b"%s%d" % (name, number) for number in range(4_000) for name in (b"T", b"a-much-longer-name-of-a-ticket-")]
    for number, key in enumerate(keys):
        waiting.begin(key, Incoming(number, 0, 1, MESSAGE, 0, "", ""))
    for number, key in enumerate(keys):
        assert waiting.add(key, Incoming(number + 1, 0, 2, MESSAGE, 0, "", ""))
    for number in range(len(keys)):
        found = waiting.ticket(number)
        assert found is not None
        assert [at for at, *_ in ROW.iter_unpack(found[0].history.records)] == [number, number + 1]
