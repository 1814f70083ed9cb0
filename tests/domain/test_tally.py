"""Sums of contributions against a loop over them."""

from __future__ import annotations

from collections import Counter
from struct import Struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.buckets import BOUNDS_MS, LONGEST_MS, bucket_of
from streams.contributions import BUNDLES, CREATED, FIRST_REPLY, FULL_RESOLUTION, OPEN, RUNNING, SOLVES
from streams.measures import BUCKET_BASE, SUM_BASE
from streams.tally import CELL_SHIFT, MEASURE_BITS, Tally

ROW = Struct("<IIHq")
Row = tuple[int, int, int, int]


def rows() -> st.SearchStrategy[Row]:
    """Minute, dimensions, what, value."""
    minutes, dimensions = st.integers(0, 200), st.integers(0, 3)
    bound = st.sampled_from(BOUNDS_MS).map(int)
    durations = st.one_of(st.integers(0, 2 * LONGEST_MS), bound, bound.map(lambda ms: ms + 1))
    return st.one_of(
        st.tuples(minutes, dimensions, st.sampled_from([CREATED, SOLVES]), st.integers(-3, 3)),
        st.tuples(minutes, dimensions, st.sampled_from([FIRST_REPLY, FULL_RESOLUTION]), durations),
        st.tuples(minutes, dimensions, st.sampled_from([one.what for one in BUNDLES]), st.integers(0, 2**14)),
        st.tuples(minutes, dimensions, st.sampled_from([BUCKET_BASE, 39_999, 40_005, OPEN - 1]), st.integers(0, 9)),
        st.tuples(st.just(0), dimensions, st.sampled_from([OPEN + 1, RUNNING + 4]), st.integers(1, 9)),
    )


def summed(told: list[tuple[list[Row], int]], width: int, first: int, end: int) -> dict[int, int]:
    """The same by a loop: what each contribution means is told by the tables of ``streams.contributions``."""
    sums: Counter[int] = Counter()
    bundles = {one.what: one for one in BUNDLES}
    for some, sign in told:
        for minute, dimensions, what, value in some:
            if what >= OPEN or not first <= minute < end or (what >= BUCKET_BASE and what not in bundles):
                continue
            counted: list[tuple[int, int]] = []
            if what in bundles:
                bundle = bundles[what]
                counted += [(measure, 1) for bit, measure in enumerate(bundle.counts) if value >> bit & 1]
                if bundle.score is not None:
                    counted.append((bundle.score, value >> len(bundle.counts)))
            else:
                counted.append((what, value))
                if what >= SUM_BASE:
                    counted.append((BUCKET_BASE * (what - SUM_BASE + 1) + bucket_of(value), 1))
            for measure, amount in counted:
                sums[minute // width << CELL_SHIFT | dimensions << MEASURE_BITS | measure] += sign * amount
    return {key: amount for key, amount in sums.items() if amount}


@given(
    st.lists(st.tuples(st.lists(rows(), max_size=60), st.sampled_from([1, -1])), max_size=5),
    st.sampled_from([1, 60]),
    st.integers(0, 100),
    st.integers(100, 300),
)
def test_sums_are_those_of_a_loop(told: list[tuple[list[Row], int]], width: int, first: int, end: int) -> None:
    tally = Tally(width, first, end)
    for some, sign in told:
        tally.gather(b"".join(ROW.pack(*row) for row in some), sign)
    pairs = np.frombuffer(tally.take(), np.int64).reshape(-1, 2).tolist()
    assert len({key for key, _ in pairs}) == len(pairs)
    assert {key: amount for key, amount in pairs if amount} == summed(told, width, first, end)
    assert len(tally.take()) == 0


def test_a_pane_holds_any_number_of_measures() -> None:
    many = [(7, number % 1_000, SOLVES, number) for number in range(20_000)]
    tally = Tally(1)
    tally.gather(b"".join(ROW.pack(*row) for row in many), 1)
    pairs = np.frombuffer(tally.take(), np.int64).reshape(-1, 2).tolist()
    assert dict(pairs) == summed([(many, 1)], 1, 0, 100)
