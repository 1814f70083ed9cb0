"""Whatever record is read natively is one that the contract takes, and says the same; all others are left to it."""

from __future__ import annotations

import json
from datetime import datetime
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import examples
from schemas.events import TOPIC_OF_TYPE, BadRecordError, UnknownTypeError, decode_at
from schemas.outputs import ATTRIBUTES
from streams.history import Incoming, incoming
from streams.json_bytes import Words
from streams.patches import CODES, settings_of
from streams.scanning import Scanner
from tests.chaos import mutations

SCANNER = Scanner()
READ_NATIVELY = ("ticket.created", "ticket.updated", "message.sent", "survey.sent")
NOW_MS = 1_780_000_000_000


def told(event: Incoming) -> tuple[Any, ...]:
    return event.at, event.seq, event.digest, event.kind, event.code, event.b, event.c


def by_the_contract(value: bytes | None, key: bytes | None) -> tuple[Any, ...] | None:
    """What a history takes of a record; None where it is refused."""
    try:
        event, at = decode_at(value)
    except (BadRecordError, UnknownTypeError):
        return None
    return told(incoming(event, at)) if event.ticket_id.encode() == key else None


def scanned(value: bytes, key: bytes) -> tuple[Any, ...] | None:
    """What it takes of one that is read natively, which has to be the same; None where it is left to the contract."""
    if not SCANNER.read(value, key):
        return None
    assert told(SCANNER.event) == by_the_contract(value, key)
    return told(SCANNER.event)


def record(name: str, **changes: Any) -> dict[str, Any]:
    return examples.EVENTS[name] | changes


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,  ", " : ")])
@pytest.mark.parametrize("name", READ_NATIVELY)
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"seq": 3},
        {"seq": -(10**17)},
        {"brand": "acme"},
        {"": "", "kinds": "of it"},
        {"brand": "客服", "kinds": "Zoë"},
        {"test": True, "draft": False, "parent": None, "build": 12, "share": 0.25},
        {"by": {"app": "2.0", "build": [1, -2.5, {}, []], "of": [{"a": None}]}, "tags": ["new", "é"]},
    ],
)
def test_plain_records_are_read_natively(name: str, more: dict[str, Any], separators: tuple[str, str]) -> None:
    event = record(name, **more)
    written = json.dumps(event, separators=separators, ensure_ascii=False).encode()
    assert scanned(written, event["ticket_id"].encode())


@pytest.mark.parametrize(
    "event",
    [
        record("message.sent", author_id="Zoë", channel="客服", ticket_id="T-é"),
        record("ticket.updated", team="équipe ж", category="🙂" * 64),
        record("ticket.created", customer_id="ø", tier="é" * 128),
    ],
)
def test_names_need_not_be_ascii(event: dict[str, Any]) -> None:
    assert scanned(json.dumps(event, ensure_ascii=False).encode(), event["ticket_id"].encode())


@pytest.mark.parametrize("name", READ_NATIVELY)
def test_the_order_of_fields_does_not_matter(name: str) -> None:
    event = record(name)
    reversed_event = dict(reversed(event.items()))
    key = event["ticket_id"].encode()
    assert scanned(json.dumps(event).encode(), key) == scanned(json.dumps(reversed_event).encode(), key)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[1]",
        json.dumps(record("message.sent", author_id="Zoë")).encode(),
        json.dumps(record("message.sent", author_id="Zoë"), ensure_ascii=False).encode("latin-1"),
        json.dumps(record("message.sent", brand="é" * 129), ensure_ascii=False).encode()[:-2] + b'\xc3"}',
        json.dumps(record("message.sent")).encode() + b" ",
        json.dumps(record("message.sent", share=1e-9)).encode(),
        json.dumps(record("message.sent")).encode()[:-1] + b',"share":.5}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"share":1.}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"by":[1,]}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"by":{"a":1,}}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"by":{"a" 1}}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"by":{1:1}}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"by":[1}}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"by":[[1]',
        json.dumps(record("message.sent", by=[[[[[[[[[1]]]]]]]]])).encode(),
        json.dumps(record("message.sent", channel=None)).encode(),
        json.dumps(record("message.sent")).encode()[:-1] + b',"test":truer}',
        json.dumps(record("message.sent")).encode()[:-1] + b',"test":nul',
        json.dumps(record("message.sent", ticket_id="T-43")).encode(),
        json.dumps(record("message.sent", visibility="hidden")).encode(),
        json.dumps(record("ticket.merged")).encode(),
        json.dumps(record("ticket.updated", status="closed")).encode()[:-1] + b',"status":"open"}',
        json.dumps(record("ticket.updated", channel="")).encode(),
        json.dumps(record("ticket.updated", actor="x" * 257)).encode(),
        json.dumps(record("ticket.updated", seq=True)).encode(),
        json.dumps(record("ticket.updated", seq=2**63)).encode(),
        json.dumps(record("ticket.updated")).encode()[:-1] + b',"seq":01}',
        json.dumps(record("ticket.updated")).encode()[:-1] + b',"seq":-0}',
    ],
)
def test_what_is_not_plain_is_left_to_the_contract(value: bytes) -> None:
    assert scanned(value, b"T-42") is None


@pytest.mark.parametrize(
    ("at", "natively"),
    [
        ("2024-02-29T23:59:59.9Z", True),
        ("2023-02-29T00:00:00Z", False),
        ("2026-04-31T00:00:00Z", False),
        ("2026-12-31T23:59:59.999999+00:00", True),
        ("2026-06-01T10:00:00-03:30", True),
        ("2026-06-01T10:00:00-00:00", True),
        ("1970-01-01T00:00:00+00:01", False),
        ("2099-12-31T23:59:59.999-00:01", False),
        ("2026-06-01T10:00:00.1234567Z", False),
        ("2026-06-01T10:00:00.Z", False),
        ("2026-06-01T10:00:60Z", False),
        ("2026-06-01T24:00:00Z", False),
        ("2026-06-01T10:00:00+24:00", False),
        ("2026-06-01 10:00:00Z", False),
        ("2026-06-01T10:00:00", False),
        ("2026-0a-01T10:00:00Z", False),
        ("2026-06-01T10:00:00+0100", False),
    ],
)
def test_times(at: str, natively: bool) -> None:
    assert bool(scanned(json.dumps(record("message.sent", at=at)).encode(), b"T-42")) == natively


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2099, 12, 30), timezones=st.timezones()),
    st.sampled_from(["auto", "milliseconds", "microseconds"]),
)
def test_any_time_is_read_as_the_contract_says(at: datetime, precision: str) -> None:
    text = at.isoformat(timespec=precision)
    # Some zones once had offsets with seconds, which are of no event.
    assert scanned(json.dumps(record("message.sent", at=text)).encode(), b"T-42") or at.utcoffset().seconds % 60


@given(st.lists(st.text("0123456789:.Z+a/", min_size=8, max_size=8), max_size=3), st.integers(0, 59_999))
def test_times_of_the_minute_before(others: list[str], ms: int) -> None:
    """A minute that was met is known; what comes after it is read as carefully as without that."""
    for rest in [":30.000Z", *others, f":{ms // 1000:02d}.{ms % 1000:03d}Z"]:
        read = scanned(json.dumps(record("message.sent", at=f"2026-06-01T10:07{rest}")).encode(), b"T-42")
    assert read is not None
    assert read[0] % 60_000 == ms


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=9,
    ),
    st.booleans(),
)
def test_what_other_contracts_add(more: Any, ascii_only: bool) -> None:
    scanned(json.dumps(record("message.sent", more=more), ensure_ascii=ascii_only).encode(errors="replace"), b"T-42")


@given(st.sampled_from(sorted(TOPIC_OF_TYPE)), st.binary(max_size=3), st.data())
def test_damaged_records(name: str, junk: bytes, data: st.DataObject) -> None:
    whole = json.dumps(record(name)).encode()
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 9)))
    scanned(whole[:start] + junk + whole[end:], b"T-42")


def test_records_that_no_producer_should_send() -> None:
    natively = good = 0
    for made in islice(mutations.records(7, NOW_MS, mutations.Pool(largest=20_000)), 20_000):
        if made.value is not None and made.key is not None:
            natively += scanned(made.value, made.key) is not None
            good += by_the_contract(made.value, made.key) is not None
    # Many of the good ones have names that are not ASCII, or are of the other types.
    assert good > natively > good / 5


def test_words_are_found_where_they_stand() -> None:
    texts = ["at", "id", "author", "author_id", "kind", "journey_stage", "exactly_16_chars"]
    words = Words(texts)
    for number, text in enumerate(texts):
        for after in (b"", b'"', b'":"and more"}'):
            value = b'{"' + text.encode() + after
            assert words.find(value, 2, 2 + len(text)) == number
            assert words.find(value, 1, 2 + len(text)) == -1
            assert words.find(value, 2, 1 + len(text)) == -1


@given(st.dictionaries(st.sampled_from([*CODES, "z", "ab", ""]), st.text()), st.booleans())
def test_what_a_patch_sets(values: dict[str, str], creation: bool) -> None:
    found = {CODES[one.place]: one.value for one in settings_of("+" * creation + msgspec.json.encode(values).decode())}
    implied = {"j": "customer", "k": "human"} if creation else {}
    assert found == implied | {code: value for code, value in values.items() if code in [*CODES]}
    assert all(
        msgspec.json.decode(b"{%b}" % one.json) == {ATTRIBUTES[one.place]: one.value}
        for one in settings_of(msgspec.json.encode(values).decode())
    )
