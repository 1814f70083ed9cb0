"""The shelf is a mapping, however often values are replaced, and keeps no more waste than it says."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from streams import shelf
from streams.shelf import Shelf


@given(
    st.lists(
        st.tuples(st.sampled_from([b"a", b"b", b"c", b"d" * 300]), st.none() | st.binary(max_size=40)), max_size=200
    )
)
def test_it_is_a_mapping(steps: list[tuple[bytes, bytes | None]]) -> None:
    kept, plain = Shelf(), dict[bytes, bytes]()
    for key, value in steps:
        if value is None:
            kept.pop(key)
            plain.pop(key, None)
        else:
            kept.put(key, value)
            plain[key] = value
        assert len(kept) == len(plain)
    assert sorted(kept.items()) == sorted(plain.items())
    assert all(kept.get(key) == value for key, value in plain.items())
    assert all((key in kept) == (key in plain) for key in (b"a", b"z"))


def test_values_survive_when_buffers_are_emptied_and_the_waste_is_bounded() -> None:
    kept, plain = Shelf(), dict[bytes, bytes]()
    rng = random.Random(1)
    for _ in range(40_000):
        key = b"key-%d" % rng.randrange(2_000)
        value = rng.randbytes(rng.randrange(200, 1_500))
        kept.put(key, value)
        plain[key] = value
    assert sorted(kept.items()) == sorted(plain.items())
    assert all(kept.get(key) == value for key, value in plain.items())
    live = sum(len(key) + len(value) + 8 for key, value in plain.items())
    held = sum(map(len, kept._chunks)) + sum(len(key) + len(value) + 8 for key, value in kept._fresh.items())
    assert live <= held <= live / (1 - shelf._WASTE_PERCENT / 100) + 3 * shelf._CHUNK


def test_a_value_larger_than_a_buffer_is_kept() -> None:
    kept = Shelf()
    kept.put(b"large", b"x" * 3_000_000)
    kept.put(b"small", b"y")
    assert (len(kept.get(b"large") or b""), kept.get(b"small")) == (3_000_000, b"y")


def made_up(rng: random.Random) -> bytes:
    """A value much like the others, and sometimes one that is like none."""
    alike = b"".join(rng.choice((b"customer ", b"agent ", b"billing ", b"email ")) for _ in range(rng.randrange(80)))
    return alike + rng.randbytes(rng.choice((0, 8, 300)))


def test_tidying_changes_nothing_but_what_it_takes() -> None:
    kept, plain = Shelf(), dict[bytes, bytes]()
    rng = random.Random(2)
    for step in range(40_000):
        key = b"key-%d" % rng.randrange(12_000)
        if rng.random() < 0.1:
            kept.pop(key)
            plain.pop(key, None)
        else:
            plain[key] = made_up(rng)
            kept.put(key, plain[key])
        if step % 500 == 0:
            kept.tidy()
        if step % 7_000 == 0:
            kept.settle()
    while kept.tidy():
        pass
    assert sum(map(len, kept._chunks)) < 0.7 * sum(map(len, plain.values()))
    assert len(kept) == len(plain)
    assert sorted(kept.items()) == sorted(plain.items())
    assert all(kept.get(key) == value for key, value in plain.items())
    for key in list(plain):
        kept.put(key, b"new")
    assert all(kept.get(key) == b"new" for key in plain)


def test_values_that_cannot_be_made_smaller_stay_as_they_are() -> None:
    kept, plain = Shelf(), dict[bytes, bytes]()
    rng = random.Random(3)
    for number in range(3_000):
        plain[b"%d" % number] = rng.randbytes(rng.choice((0, 1, 1_000)))
        kept.put(b"%d" % number, plain[b"%d" % number])
    while kept.tidy():
        pass
    assert sorted(kept.items()) == sorted(plain.items())
