"""A bad record gets an error that names field, value and what is allowed, and never any other error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import examples
from schemas.bad_records import SHOWN_CHARACTERS
from schemas.events import TYPE_OF_NAME, AnyEvent, BadRecordError, UnknownTypeError, at_ms, decode, decode_at
from streams.scanning import Scanner

CREATED = examples.EVENTS["ticket.created"]
ANSWERED = examples.EVENTS["survey.answered"]
SCANNER = Scanner()
KEY = CREATED["ticket_id"].encode()


def record(of: dict[str, Any], **changes: Any) -> bytes:
    return json.dumps(of | changes).encode()


def refusal(value: bytes | None) -> BadRecordError:
    with pytest.raises(BadRecordError) as caught:
        decode(value)
    assert value is None or not SCANNER.read(value, KEY)
    return caught.value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "the record has no value; expected one JSON object"),
        (b"", "not JSON: Input data was truncated; expected one JSON object in UTF-8"),
        (b"[1]", "the record is [1]; expected one JSON object"),
        (b"[" * 100_000, "the record is nested too deeply; expected one flat JSON object"),
        (
            record(CREATED)[:-1] + b',"br\xc3nd":1}',
            "not JSON: 'utf-8' codec can't decode byte 0xc3 in position 2: invalid continuation byte; "
            "expected one JSON object in UTF-8",
        ),
        (
            record(CREATED, status="asleep"),
            'ticket.created: `status` is "asleep"; '
            "expected one of closed, new, on_hold, open, pending, solved, or no such field",
        ),
        (
            record(CREATED, priority="asap"),
            'ticket.created: `priority` is "asap"; expected one of high, low, normal, urgent',
        ),
        (
            record(CREATED, team=None),
            "ticket.created: `team` is null; expected a string of 1 to 256 characters, or no such field",
        ),
        (record(CREATED, id=""), 'ticket.created: `id` is ""; expected a string of 1 to 512 characters'),
        (record(ANSWERED, score=6), "survey.answered: `score` is 6; expected its scale, 1 to 5"),
        (record(ANSWERED, score=float("nan")), "`score` is NaN; expected a number from -1000000 to 1000000"),
        (record(ANSWERED, score=float("-inf")), "`score` is -Infinity; expected a number from -1000000 to 1000000"),
        (record(ANSWERED, score=True), "survey.answered: `score` is true; expected a number from -1000000 to 1000000"),
        (record(ANSWERED, scale_min=5), "survey.answered: `scale_min` 5 is not below `scale_max` 5; expected less"),
        (record(ANSWERED, survey_id="\ud800"), '`survey_id` is "\\ud800"; expected a string of 1 to 512 characters'),
        (
            record(CREATED, seq=1.0),
            "ticket.created: `seq` is 1.0; "
            "expected a whole number from -9223372036854775808 to 9223372036854775807, or no such field",
        ),
        (
            json.dumps({name: held for name, held in CREATED.items() if name != "customer_id"}).encode(),
            "ticket.created: `customer_id` is missing; expected a string of 1 to 256 characters",
        ),
    ],
    ids=lambda held: None if isinstance(held, bytes) else held,
)
def test_a_bad_record_is_told_its_field_its_value_and_what_is_allowed(value: bytes | None, told: str) -> None:
    assert str(refusal(value)) == told


@pytest.mark.parametrize("kind", [None, 3, [], {"a": 1}])
def test_a_record_without_a_type_is_told_every_type(kind: object) -> None:
    error = refusal(record(CREATED, type=kind))
    assert error.code == "no_type"
    assert all(name in str(error) for name in TYPE_OF_NAME)


def test_a_type_of_another_contract_is_no_bad_record() -> None:
    with pytest.raises(UnknownTypeError, match=r"^ticket\.tagged$"):
        decode(record(CREATED, type="ticket.tagged"))


def test_values_in_errors_are_cut() -> None:
    told = str(refusal(record(CREATED, priority="x" * 10_000)))
    assert f'"{"x" * (SHOWN_CHARACTERS - 2)}…' in told
    with pytest.raises(UnknownTypeError) as caught:
        decode(record(CREATED, type="x" * 10_000))
    assert len(str(caught.value)) == SHOWN_CHARACTERS


@pytest.mark.parametrize(
    ("at", "ms"),
    [
        ("2026-06-01T10:00:00Z", 1_780_308_000_000),
        ("2026-06-01t10:00:00z", 1_780_308_000_000),
        ("2026-06-01T12:00:00+02:00", 1_780_308_000_000),
        ("2026-06-01T10:00:00.123999Z", 1_780_308_000_123),
        ("2026-06-01T10:00:00.001Z", 1_780_308_000_001),
        ("1970-01-01T00:00:00Z", 0),
        ("2099-12-31T23:59:59.999Z", 4_102_444_799_999),
    ],
)
def test_a_time_is_kept_to_the_millisecond(at: str, ms: int) -> None:
    event = decode(record(CREATED, at=at))
    assert at_ms(event.at) == ms
    assert decode_at(record(CREATED, at=at)) == (event, ms)


@pytest.mark.parametrize(
    "at",
    [
        "2026-06-01T10:00Z",
        "2026-06-01T10:00:00",
        "2026-06-01",
        "2026-06-01T24:00:00Z",
        "2026-06-30T23:59:60Z",
        "2026-02-30T10:00:00Z",
        "2026-06-01T10:00:00+24:00",
        "0001-01-01T00:00:00+23:59",
        "1970-01-01T00:00:00+00:01",
        "2100-01-01T00:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "9999-12-31T23:59:59.9999999Z",
        1_780_308_000,
        "",
    ],
)
def test_odd_times_are_refused_and_shown(at: object) -> None:
    told = str(refusal(record(CREATED, at=at)))
    assert "`at` is" in told
    assert str(at)[:19] in told
    assert "expected" in told


def outcome(value: bytes) -> AnyEvent | BadRecordError | UnknownTypeError:
    """Whatever comes of it; what is refused is not read natively; an error of any other kind fails the test."""
    try:
        return decode(value)
    except (BadRecordError, UnknownTypeError) as error:
        assert not SCANNER.read(value, KEY)
        return error


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars | st.sampled_from(["\ud800", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(TYPE_OF_NAME)), value=anything, data=st.data())
def test_a_record_with_one_wrong_value_decodes_or_names_the_field(name: str, value: Any, data: st.DataObject) -> None:
    field = data.draw(st.sampled_from([*TYPE_OF_NAME[name].__struct_fields__, "brand"]))
    found = outcome(record(examples.EVENTS[name], **{field: value}))
    if isinstance(found, Exception):
        assert isinstance(found, BadRecordError)
        assert f"`{field}`" in str(found)
        assert "expected" in str(found)
        assert len(str(found)) < 3 * SHOWN_CHARACTERS + 100


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(TYPE_OF_NAME)), data=st.data())
def test_a_record_that_lacks_a_field_decodes_or_names_it(name: str, data: st.DataObject) -> None:
    whole = examples.EVENTS[name]
    field = data.draw(st.sampled_from(sorted(whole)))
    found = outcome(json.dumps({key: held for key, held in whole.items() if key != field}).encode())
    if isinstance(found, Exception):
        assert str(found).split("`")[1:3] == [field, " is missing; expected " + str(found).split("expected ")[1]]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b'{"type":"ticket.deleted","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}")
@example(b'{"id":' + b"9" * 5_000 + b',"type":"ticket.deleted"}')
@example(b'{"\xff":1}')
@example(b'{"id":1e999}')
def test_no_bytes_give_another_error(value: bytes) -> None:
    assert outcome(value) is not None


@settings(max_examples=300, deadline=None)
@given(name=st.sampled_from(sorted(TYPE_OF_NAME)), junk=st.binary(max_size=4), data=st.data())
def test_no_damage_to_a_record_gives_another_error(name: str, junk: bytes, data: st.DataObject) -> None:
    whole = json.dumps(examples.EVENTS[name]).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    assert outcome(whole[:start] + junk + whole[end:]) is not None
