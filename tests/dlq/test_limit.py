"""How many refused records are too many."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.bad_records import BadRecordError, without_values
from schemas.events import MESSAGES, TICKETS, TYPE_OF_NAME, decode
from streams.config import DomainConfig
from streams.dead_letters import DeadLetterLimit, TooManyDeadLettersError, judge
from tests.dlq.conftest import event
from tests.domain.partitions import Desk, Record

WINDOW = 100
GOOD = Record(event(), b"T1")
BAD = Record(event(priority="mary@example.com", customer_id="C-SECRET"), b"T1", 41)


class Reading:
    """Reads batches of one topic as a processor does, with a counter that only grows."""

    def __init__(self, share: float) -> None:
        self.limit = DeadLetterLimit(share, WINDOW)
        self.counted: Counter[str] = Counter()

    def read(self, good: int, bad: int, topic: str = TICKETS, code: str = "bad_record") -> None:
        before = dict(self.counted)
        if bad:
            self.counted[code] += bad
        self.limit.saw(topic, [GOOD] * good + [BAD] * bad, before, self.counted)


def test_few_records_stop_nobody_however_bad_they_are() -> None:
    reading = Reading(0.2)
    reading.read(0, WINDOW - 1)
    assert reading.limit.shares() == {}


def test_a_share_at_the_limit_is_allowed_and_one_above_is_not() -> None:
    reading = Reading(0.2)
    reading.read(80, 20)
    assert reading.limit.shares() == {TICKETS: 0.2}
    with pytest.raises(TooManyDeadLettersError):
        reading.read(0, 1)


def test_old_records_do_not_make_up_for_new_ones() -> None:
    reading = Reading(0.2)
    for _ in range(50):
        reading.read(WINDOW, 0)
    with pytest.raises(TooManyDeadLettersError):
        reading.read(0, WINDOW)


def test_what_was_bad_before_is_forgotten_when_enough_good_records_came() -> None:
    reading = Reading(0.2)
    reading.read(90, 15)
    for _ in range(10):
        reading.read(10, 0)
    reading.read(85, 15)
    assert reading.limit.shares()[TICKETS] == pytest.approx(0.15)


def test_a_worker_that_starts_again_goes_on_with_what_was_refused_before() -> None:
    reading = Reading(0.2)
    reading.limit.start(TICKETS, WINDOW, {"bad_record": 20})
    reading.read(1, 0)
    with pytest.raises(TooManyDeadLettersError):
        reading.read(0, 1)


def test_topics_are_judged_apart() -> None:
    reading = Reading(0.2)
    reading.read(1_000, 0, MESSAGES)
    with pytest.raises(TooManyDeadLettersError, match=r"^support\.tickets: "):
        reading.read(0, WINDOW)


def test_without_a_limit_everything_may_be_refused() -> None:
    reading = Reading(1.0)
    reading.read(0, 10 * WINDOW)


def test_the_error_says_share_topic_reason_place_and_what_to_do_but_nothing_that_the_records_hold() -> None:
    reading = Reading(0.25)
    reading.read(40, 1, code="key_mismatch")
    with pytest.raises(TooManyDeadLettersError) as raised:
        reading.read(20, 40)
    said = str(raised.value)
    for part in (
        "support.tickets: 41 of the last 101 records are refused (40.6%), 40 of them as bad_record",
        "the record at offset 41: ticket.created: `priority` is wrong; expected one of high, low, normal, urgent",
        "worker.dead_letter_limit allows 25.0%",
        "does not commit the last 60 records",
    ):
        assert part in said
    assert "mary" not in said
    assert "C-SECRET" not in said


VALUES = st.one_of(
    st.binary(max_size=20),
    st.fixed_dictionaries(
        {},
        optional={
            "priority": st.sampled_from(["low", "SECRET", None]),
            "at": st.sampled_from(["2026-06-01T10:00:00Z", "2090-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "SECRET"]),
            "customer_id": st.sampled_from(["SECRET", ""]),
            "type": st.sampled_from(["ticket.updated", "SECRET", "survey.answered", 7]),
            "note": st.just("SECRET"),
            "score": st.just(7_654_321),
            "ticket_id": st.sampled_from(["T1", "SECRET"]),
        },
    ).map(lambda fields: event(**fields)),
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.sampled_from([None, b"T1", b"T2"]))
def test_today_is_judged_as_the_worker_judges(value: bytes, key: bytes | None) -> None:
    desk = Desk(DomainConfig())
    latest_ms = 2_000_000_000_000
    desk.partition.apply(TICKETS, [Record(value, key)], latest_ms)
    counters = desk.partition.counters
    done = [*counters.dead_letters, *(["unknown_type"] if counters.skipped_types else [])] or [""]
    assert [judge(key, value, latest_ms).code] == done


@settings(max_examples=300, deadline=None)
@given(VALUES)
def test_what_is_told_of_a_bad_record_has_nothing_of_it(value: bytes) -> None:
    try:
        decode(value)
    except BadRecordError as error:
        told = without_values(str(error), TYPE_OF_NAME)
        assert "SECRET" not in told
        assert "7654321" not in told
        assert "`" in told or told.startswith("the record")
    except ValueError:
        pass
