"""Summaries on their way to their customers."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.letters import letters, opened
from streams.partitioner import partition_of

CUSTOMERS = st.text(min_size=1, max_size=9).map(str.encode)
SUMMARIES = st.text(max_size=30).map(lambda text: msgspec.json.encode({"ticket_id": text}))


@given(st.lists(st.tuples(CUSTOMERS, SUMMARIES), max_size=30), st.integers(1, 6))
def test_each_summary_comes_to_its_customers_partition_in_its_order(
    told: list[tuple[bytes, bytes]], partitions: int
) -> None:
    for number in range(partitions):
        come = [pair for key, value in letters(told, partitions).get(number, []) for pair in opened(key, value or b"")]
        assert come == [pair for pair in told if partition_of(pair[0], partitions) == number]


def test_many_summaries_make_few_records_of_a_bounded_size() -> None:
    told = [(b"c%d" % number, b'{"ticket_id":"T%d"}' % number) for number in range(10_000)]
    made = letters(told, 1)[0]
    assert 2 < len(made) < 10
    assert all(len(value or b"") < 70_000 for _, value in made)
    assert [pair for key, value in made for pair in opened(key, value or b"")] == told


def test_a_record_with_a_key_is_one_summary_of_that_customer() -> None:
    assert opened(b"c1", b'{"ticket_id":"T1"}') == [(b"c1", b'{"ticket_id":"T1"}')]
