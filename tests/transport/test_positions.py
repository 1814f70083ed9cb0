"""How far partitions were read, and how far they go."""

from __future__ import annotations

from faust.types import TP

from streams.transport.positions import Positions

_TP = TP("support.tickets", 0)


def test_what_was_heard_before_an_assignment_says_how_far_it_goes_but_proves_no_end():
    positions = Positions({_TP: 1_000})
    assert positions.unheard == [_TP]

    positions.guess(_TP, 1_000)

    assert positions.end_of(_TP) == (1_000, False)
    assert positions.unheard == [_TP]

    positions.guess(_TP, 3_000)

    assert positions.end_of(_TP) == (1_000, False)
    assert positions.highwaters == {_TP: 3_000}
    assert positions.unheard == []


def test_what_was_heard_with_the_records_proves_the_end():
    positions = Positions({_TP: 1_000})

    positions.hear(_TP, 1_000)

    assert positions.end_of(_TP) == (1_000, True)
