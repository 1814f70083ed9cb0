from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deskpulse.durations import duration_ms, parse_duration
from deskpulse.settings_sla import week_of
from schemas.events import TicketUpdated
from streams.calendars import ALWAYS, FIRST_YEAR, LAST_YEAR, AlwaysOpen, Calendar, Holidays
from streams.config import DAY_MS
from tests.acceptance import HERE, Case, cases

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
NIGHT_AND_DAY = {
    "mon-fri": ["08:00-12:00", "13:30-18:00"],
    "sat": ["22:15-24:00"],
    "sun": ["00:00-02:30", "02:45-10:00"],
}
ROUND_THE_CLOCK = {"mon-sun": ["00:00-24:00"]}
AROUND_THE_CHANGE = {"mon-sun": ["01:15-01:45", "02:10-02:40"]}
# Where the clocks, or the date, change within a day or two.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Pacific/Apia", "2011-12-30"),
    ("Pacific/Apia", "2010-09-25"),
    ("Asia/Kathmandu", "1985-12-31"),
    ("Africa/Casablanca", "2026-02-15"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Europe/Berlin", "2025-12-31"),
]


def ms(told: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(told).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def shown(instant_ms: int) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).isoformat().replace("+00:00", "Z")


def told_calendar(told: dict[str, Any]) -> Calendar:
    """A calendar of ``calendars.yaml``."""
    if told.get("open") == "always":
        return AlwaysOpen(told["zone"])
    hours = {day: told[day] for day in told if day not in ("zone", "holidays")}
    own = frozenset(date.fromisoformat(str(day)) for day in told.get("holidays", ()))
    return Calendar(told["zone"], week_of(hours), Holidays(own=own))


CALENDARS = {
    name: told_calendar(told) for name, told in yaml.safe_load((HERE / "calendars.yaml").read_text("utf-8")).items()
}
CASES = cases()


class MinuteByMinute:
    """The same calendar by looking at the clock on the wall every minute of twelve days: slow, and plain."""

    def __init__(self, zone: str, middle: str, hours: dict[str, list[str]], closed: frozenset[date]) -> None:
        self.begin_ms = ms(middle) - 6 * DAY_MS
        self.calendar = Calendar(zone, week_of(hours), Holidays(own=closed))
        self.open = [self._is_open(self.begin_ms + n * MINUTE_MS, closed) for n in range(12 * 24 * 60)]
        self.sums = [0, *accumulate(map(int, self.open))]

    def _is_open(self, instant_ms: int, closed: frozenset[date]) -> bool:
        local = datetime.fromtimestamp(instant_ms / 1000, ZoneInfo(self.calendar.zone))
        of_day = (local.hour * 60 + local.minute) * MINUTE_MS
        return local.date() not in closed and any(
            opens <= of_day < closes for opens, closes in self.calendar.week[local.weekday()]
        )

    def passed_ms(self, offset_ms: int) -> int:
        minutes, rest_ms = divmod(offset_ms, MINUTE_MS)
        return self.sums[minutes] * MINUTE_MS + (rest_ms if rest_ms and self.open[minutes] else 0)

    def elapsed_ms(self, start_ms: int, end_ms: int) -> int:
        return self.passed_ms(end_ms - self.begin_ms) - self.passed_ms(start_ms - self.begin_ms)


@lru_cache
def minute_by_minute(place: int, hours: int, holiday: bool) -> MinuteByMinute:
    zone, middle = CHANGES[place]
    closed = frozenset({date.fromisoformat(middle) + timedelta(days=1)}) if holiday else frozenset[date]()
    return MinuteByMinute(zone, middle, (NIGHT_AND_DAY, ROUND_THE_CLOCK, AROUND_THE_CHANGE)[hours], closed)


counted = st.builds(minute_by_minute, st.integers(0, len(CHANGES) - 1), st.integers(0, 2), st.booleans())
# Half of them whole minutes: openings, closings and changes are.
offsets = st.one_of(
    st.integers(0, 12 * DAY_MS - 1), st.integers(0, 12 * 24 * 60 - 1).map(lambda minutes: minutes * MINUTE_MS)
)


@settings(max_examples=500, deadline=None)
@given(counted, offsets, offsets)
def test_business_time_is_what_a_count_of_open_minutes_gives(truth: MinuteByMinute, one: int, other: int) -> None:
    start_ms, end_ms = truth.begin_ms + min(one, other), truth.begin_ms + max(one, other)
    assert truth.calendar.elapsed_ms(start_ms, end_ms) == truth.elapsed_ms(start_ms, end_ms)
    assert truth.calendar.elapsed_ms(end_ms, start_ms) == -truth.elapsed_ms(start_ms, end_ms)
    assert truth.calendar.is_open(start_ms) == truth.open[(start_ms - truth.begin_ms) // MINUTE_MS]


@settings(max_examples=500, deadline=None)
@given(counted, offsets, offsets)
def test_a_due_time_is_the_first_instant_at_which_the_time_has_passed(
    truth: MinuteByMinute, one: int, other: int
) -> None:
    start_ms, end_ms = truth.begin_ms + min(one, other), truth.begin_ms + max(one, other)
    business_ms = truth.elapsed_ms(start_ms, end_ms)
    due_ms = truth.calendar.due_ms(start_ms, business_ms)
    if business_ms:
        assert start_ms < due_ms <= end_ms
        assert truth.elapsed_ms(start_ms, due_ms) == business_ms
        assert truth.elapsed_ms(start_ms, due_ms - 1) == business_ms - 1
    else:
        assert due_ms == truth.calendar.next_opening(start_ms)


@settings(max_examples=200, deadline=None)
@given(counted, offsets)
def test_the_next_opening_is_the_first_open_minute(truth: MinuteByMinute, offset: int) -> None:
    minute = offset // MINUTE_MS
    opening = next((n for n in range(minute, len(truth.open)) if truth.open[n]), None)
    if opening is not None:
        at_ms = truth.begin_ms + (offset if opening == minute else opening * MINUTE_MS)
        assert truth.calendar.next_opening(truth.begin_ms + offset) == at_ms


@lru_cache
def whole_table() -> Calendar:
    berlin = Calendar("Europe/Berlin", week_of(NIGHT_AND_DAY))
    berlin.elapsed_ms(ms("1960-01-01"), ms("2110-01-01"))
    return berlin


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(ms("1960-01-01"), ms("2110-01-01")), min_size=1, max_size=6),
    st.integers(1, 3 * 365 * DAY_MS),
)
def test_the_order_of_questions_changes_no_answer(instants_ms: list[int], business_ms: int) -> None:
    """The table grows both ways as it is asked, here from nothing."""
    berlin, whole = Calendar("Europe/Berlin", week_of(NIGHT_AND_DAY)), whole_table()
    for at_ms in instants_ms:
        due_ms = berlin.due_ms(at_ms, business_ms)
        assert due_ms == whole.due_ms(at_ms, business_ms)
        assert berlin.elapsed_ms(at_ms, due_ms) == whole.elapsed_ms(at_ms, due_ms) == business_ms
        assert berlin.next_opening(at_ms) == whole.next_opening(at_ms)


def instant_ms(case: Case, number: int) -> int:
    return round(case.events[number].at.timestamp() * 1000)


def first_told(case: Case) -> dict[str, Any]:
    told: dict[str, Any] = case.expect.get("T1", {}).get("sla", [{}])[0]
    return told


DUE = [
    case
    for case in CASES
    if {"target": "first_reply"}.items() <= first_told(case).items() and "due_at" in first_told(case)
]
ANSWERED = [case for case in CASES if "first_reply_business_seconds" in case.expect.get("T1", {})]


@pytest.mark.parametrize("case", [case for case in DUE if isinstance(case.policy, dict)], ids=lambda case: case.name)
def test_a_first_reply_of_the_worked_examples_is_due_when_they_say(case: Case) -> None:
    target_ms = duration_ms(parse_duration(case.policy["first_reply"]))
    assert shown(CALENDARS[case.calendar].due_ms(instant_ms(case, 0), target_ms)) == first_told(case)["due_at"]


@pytest.mark.parametrize("case", ANSWERED, ids=lambda case: case.name)
def test_a_first_reply_of_the_worked_examples_took_as_long_as_they_say(case: Case) -> None:
    elapsed_ms = CALENDARS[case.calendar].elapsed_ms(instant_ms(case, 0), instant_ms(case, 1))
    assert elapsed_ms == 1000 * case.expect["T1"]["first_reply_business_seconds"]


def test_a_breach_of_the_worked_examples_overran_by_what_they_say() -> None:
    [case] = [case for case in CASES if case.name == "a weekend does not count, and the reply is a minute late"]
    due_ms = ms(first_told(case)["due_at"].rstrip("Z"))
    assert CALENDARS["berlin"].elapsed_ms(due_ms, instant_ms(case, 1)) == 1000 * first_told(case)["overrun_seconds"]


def test_the_business_time_in_each_status_of_the_worked_examples() -> None:
    [case] = [case for case in CASES if "status_business_seconds" in case.expect.get("T1", {})]
    found: dict[str, int] = {}
    status = "new"
    for number, event in enumerate(case.events[1:]):
        elapsed_ms = CALENDARS[case.calendar].elapsed_ms(instant_ms(case, number), instant_ms(case, number + 1))
        found[status] = found.get(status, 0) + elapsed_ms // 1000
        assert isinstance(event, TicketUpdated)
        status = str(event.status)
    assert found == case.expect["T1"]["status_business_seconds"]


def test_work_that_was_paused_twice_is_due_when_the_worked_example_says() -> None:
    [case] = [case for case in CASES if first_told(case).get("target") == "agent_work"]
    berlin = CALENDARS[case.calendar]
    worked_ms = sum(berlin.elapsed_ms(instant_ms(case, n), instant_ms(case, n + 1)) for n in (0, 2))
    assert shown(berlin.due_ms(instant_ms(case, 4), 8 * HOUR_MS - worked_ms)) == first_told(case)["due_at"]


def test_a_target_that_ends_with_the_day_is_due_at_the_closing_and_not_at_the_next_opening() -> None:
    berlin = CALENDARS["berlin"]
    closing_ms, opening_ms = ms("2026-06-05T17:00", "Europe/Berlin"), ms("2026-06-08T09:00", "Europe/Berlin")
    assert berlin.due_ms(closing_ms - HOUR_MS, HOUR_MS) == closing_ms
    assert berlin.due_ms(closing_ms, 0) == berlin.next_opening(closing_ms) == opening_ms
    assert berlin.due_ms(closing_ms, 1) == opening_ms + 1
    assert not berlin.is_open(closing_ms)
    assert berlin.is_open(opening_ms)
    assert berlin.due_ms(opening_ms, 0) == opening_ms


def test_public_holidays_of_a_part_of_a_country_are_closed_there_alone() -> None:
    week = week_of({"mon-fri": ["09:00-17:00"]})
    germany, berlin = (Calendar("Europe/Berlin", week, Holidays("DE", part)) for part in ("", "BE"))
    women_ms, labour_ms = ms("2027-03-08T10:00", "Europe/Berlin"), ms("2026-05-01T10:00", "Europe/Berlin")
    assert germany.is_open(women_ms)
    assert not berlin.is_open(women_ms)
    assert not germany.is_open(labour_ms)
    # New Year's Day of 2028 is a Saturday; its day in lieu lies in the year before.
    assert not Calendar("America/New_York", week, Holidays("US")).is_open(ms("2027-12-31T10:00", "America/New_York"))


def test_before_and_after_its_years_a_calendar_is_open() -> None:
    berlin = CALENDARS["berlin"]
    begin_ms, end_ms = ms(f"{FIRST_YEAR}-01-01"), ms(f"{LAST_YEAR + 1}-01-01")
    assert berlin.elapsed_ms(begin_ms - 100 * 366 * DAY_MS, begin_ms) == 100 * 366 * DAY_MS
    assert berlin.elapsed_ms(end_ms, end_ms + DAY_MS) == DAY_MS
    open_ms = berlin.elapsed_ms(begin_ms, end_ms)
    assert berlin.due_ms(begin_ms, open_ms + DAY_MS) == end_ms + DAY_MS


def test_an_always_open_calendar_is_elapsed_time() -> None:
    assert ALWAYS.elapsed_ms(5, 7) == 2
    assert ALWAYS.due_ms(5, 2) == 7
    assert ALWAYS.is_open(5)
    assert ALWAYS.next_opening(5) == 5
    around_the_clock = Calendar("America/New_York", week_of(ROUND_THE_CLOCK))
    start_ms = ms("2026-03-01")
    assert around_the_clock.elapsed_ms(start_ms, start_ms + 60 * DAY_MS) == 60 * DAY_MS


def test_calendars_of_one_definition_are_equal() -> None:
    one, same = (Calendar("UTC", week_of({"mon": ["09:00-12:00", "12:00-17:00"]})) for _ in range(2))
    assert one == same == Calendar("UTC", week_of({"mon": ["09:00-17:00"]}))
    assert len({one, same, Calendar("UTC", week_of({"tue": ["09:00-17:00"]})), ALWAYS, AlwaysOpen()}) == 3


def test_a_calendar_that_never_opens_is_refused() -> None:
    with pytest.raises(ValueError, match="never opens; expected hours with an interval"):
        Calendar("UTC", week_of({"mon-sun": []}))
    years = range(date(FIRST_YEAR, 1, 1).toordinal(), date(LAST_YEAR + 1, 1, 2).toordinal())
    with pytest.raises(ValueError, match="never opens"):
        Calendar("UTC", week_of({"mon": ["09:00-17:00"]}), Holidays(own=frozenset(map(date.fromordinal, years))))
    with pytest.raises(ValueError, match="business time of -1 ms; expected 0 or more"):
        CALENDARS["berlin"].due_ms(0, -1)


@pytest.mark.parametrize(
    ("zone", "country", "subdivision", "told"),
    [
        ("Europe/Berln", "", "", "did you mean Europe/Berlin"),
        ("Europe", "", "", "is no IANA time zone"),
        ("../etc/passwd", "", "", "is no IANA time zone; expected one like Europe/Berlin"),
        ("UTC", "XX", "", "`XX` is no country with known holidays"),
        ("UTC", "de", "", "did you mean DE"),
        ("UTC", "DE", "TX", "`TX` is no subdivision of DE with known holidays; expected one of BB, BE"),
        ("UTC", "", "BE", "expected `country` beside it"),
    ],
)
def test_an_unknown_zone_country_or_subdivision_is_refused(
    zone: str, country: str, subdivision: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        Calendar(zone, week_of(ROUND_THE_CLOCK), Holidays(country, subdivision))
