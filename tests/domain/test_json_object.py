"""What is written field by field is what an encoder would write."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from streams.json_object import JsonObject

LATEST_MS = 4_102_444_800_000
NUMBERS = st.integers(-(2**62), 2**62) | st.integers(-1_100, 1_100) | st.sampled_from([10**n for n in range(18)])
OBJECT = JsonObject()


@given(NUMBERS, NUMBERS)
def test_whole_numbers(first: int, second: int) -> None:
    OBJECT.begin()
    OBJECT.integer(b"first", first)
    OBJECT.count(b"second", second)
    assert OBJECT.end() == msgspec.json.encode({"first": first} | ({"second": second} if second else {}))


@given(
    st.integers(-LATEST_MS, LATEST_MS) | st.integers(-5_000, 5_000) | st.integers(0, 4_000_000).map(lambda n: n * 1_000)
)
def test_seconds(ms: int) -> None:
    OBJECT.begin()
    OBJECT.seconds(b"seconds", ms)
    OBJECT.seconds(b"unknown", None)
    assert OBJECT.end() == msgspec.json.encode({"seconds": ms / 1000})


@given(st.text(), st.text(), st.sampled_from([True, False, None]))
def test_texts_flags_and_fields_written_before(first: str, second: str, flag: bool | None) -> None:
    OBJECT.begin()
    OBJECT.fields(b"")
    OBJECT.fields(msgspec.json.encode({"first": first})[1:-1])
    OBJECT.text(b"second", second)
    OBJECT.flag(b"flag", flag)
    OBJECT.mark(b"mark", bool(flag))
    wanted = {"first": first} | ({"second": second} if second else {}) | ({} if flag is None else {"flag": flag})
    wanted |= {"mark": True} if flag else {}
    assert OBJECT.end() == msgspec.json.encode(wanted)
