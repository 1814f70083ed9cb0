"""A packed history is in order, however its records came."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from streams.history import SIZE, in_order

RECORDS = st.builds(
    lambda at, rest: struct.pack(">Q", at) + rest,
    st.integers(0, 3) | st.integers(0, 4_102_444_800_000),
    st.binary(min_size=SIZE - 8, max_size=SIZE - 8),
)


@given(st.lists(RECORDS, max_size=12) | st.lists(RECORDS, min_size=48, max_size=53))
def test_records_are_in_the_order_of_their_bytes(records: list[bytes]) -> None:
    assert in_order(b"".join(records)) == b"".join(sorted(records))
