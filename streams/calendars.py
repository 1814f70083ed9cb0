"""Business time: when a desk is open, how much of that lies between two instants, and when so much will have passed.

A calendar is open at an instant exactly if the clock on the wall of its zone shows a time inside an interval of that
weekday, on a date that is no holiday. So a change of the clocks needs no rule of its own: a local time that is skipped
never counts, one that comes twice counts both times, a date that a zone leaves out has no hours.

Instants are whole milliseconds since 1970 UTC. Before 1970 and after 2100 every calendar counts as open, so every
question has an answer.
"""

from __future__ import annotations

import warnings
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from functools import lru_cache
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo, available_timezones

DAY_MS: Final = 86_400_000
FIRST_YEAR: Final = 1970
LAST_YEAR: Final = 2100

Interval: TypeAlias = tuple[int, int]
"""From (included) and until (not included), in milliseconds."""
Week: TypeAlias = tuple[tuple[Interval, ...], ...]
"""For each weekday from Monday its intervals, sorted and apart, in milliseconds of the local clock since midnight."""

_EPOCH: Final = date(1970, 1, 1)
_EPOCH_WEEKDAY: Final = _EPOCH.weekday()
_FAR_MS: Final = 1 << 62


def joined(intervals: list[Interval]) -> list[Interval]:
    """Sorted intervals that do not overlap, with those that touch made one."""
    found: list[Interval] = []
    for opens, closes in intervals:
        if found and found[-1][1] == opens:
            found[-1] = (found[-1][0], closes)
        else:
            found.append((opens, closes))
    return found


@lru_cache(maxsize=256)
def _of_country(country: str, subdivision: str) -> frozenset[date]:
    # Slow to load, and most commands ask for no holidays.
    import holidays as public_holidays

    try:
        with warnings.catch_warnings():
            # Some countries' holidays are known for some years only.
            warnings.simplefilter("ignore", UserWarning)
            # All years at once: what a year holds must not depend on which years were asked for before it.
            years = range(FIRST_YEAR - 1, LAST_YEAR + 2)
            return frozenset(
                public_holidays.country_holidays(country, subdiv=subdivision or None, years=years, expand=False)
            )
    except NotImplementedError:
        countries = public_holidays.list_supported_countries(include_aliases=False)
        if country not in countries:
            known, kind = list(countries), "country with known holidays (ISO 3166-1, two letters)"
            raise ValueError(f"`{country}` is no {kind}{_nearest(country, known)}") from None
        raise ValueError(
            f"`{subdivision}` is no subdivision of {country} with known holidays; expected "
            + (f"one of {', '.join(countries[country])}" if countries[country] else "none")
        ) from None


def _nearest(name: str, known: list[str]) -> str:
    by_folded = {one.casefold(): one for one in known}
    near = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.75)
    return f"; did you mean {by_folded[near[0]]}?" if near else ""


@dataclass(frozen=True)
class Holidays:
    """Dates on which a calendar is closed, in its own zone: public holidays (days in lieu included), and own dates.

    Raises ``ValueError`` for a country or subdivision that the package ``holidays`` does not know.
    """

    country: str = ""
    """ISO 3166-1, two letters, like ``DE``; empty for none."""
    subdivision: str = ""
    """As the package ``holidays`` names it, usually by ISO 3166-2 without the country, like ``BE``."""
    own: frozenset[date] = frozenset()

    def __post_init__(self) -> None:
        if self.subdivision and not self.country:
            raise ValueError(f"`subdivision` is {self.subdivision} of no country; expected `country` beside it")
        self.dates()

    def dates(self) -> frozenset[date]:
        """All of them from 1969 to 2101."""
        return self.own | _of_country(self.country, self.subdivision) if self.country else self.own


NO_HOLIDAYS: Final = Holidays()


def zone_of(name: str) -> ZoneInfo:
    """The IANA time zone of this name. Raises ``ValueError``."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        known = sorted(available_timezones())
    if not known:
        raise ValueError(
            f"time zone `{name}` cannot be looked up: this machine has no time zone database; expected the system's"
            " (usually the package tzdata) or Python's package tzdata"
        )
    raise ValueError(f"`{name}` is no IANA time zone{_nearest(name, known) or '; expected one like Europe/Berlin'}")


def _new_year_ms(year: int) -> int:
    return (date(year, 1, 1) - _EPOCH).days * DAY_MS


_BEGIN_MS: Final = _new_year_ms(FIRST_YEAR)
_END_MS: Final = _new_year_ms(LAST_YEAR + 1)


def _year_of(ms: int) -> int:
    """The year in UTC; all before the first is one year, all after the last as well."""
    if ms < _BEGIN_MS:
        return FIRST_YEAR - 1
    return LAST_YEAR + 1 if ms >= _END_MS else datetime.fromtimestamp(ms // 1000, UTC).year


class Calendar:
    """The opening hours of one place. Looks nothing up but a table of openings, which grows by the years asked for.

    For one thread: the table is rebuilt while it grows. Raises ``ValueError`` for an unknown zone and where there is
    no opening time at all.
    """

    def __init__(self, zone: str, week: Week, holidays: Holidays = NO_HOLIDAYS, *, name: str = "") -> None:
        self.name = name
        self.zone = zone
        self.week = week
        self.holidays = holidays
        self._zone = zone_of(zone)
        self._closed_days = frozenset((day - _EPOCH).days for day in holidays.dates())
        years = range(FIRST_YEAR, LAST_YEAR + 1) if any(week) else ()
        if not any(self._openings(year) for year in years):
            raise ValueError('never opens; expected hours with an interval, like { mon-fri = ["09:00-17:00"] }')
        self._years = range(0)
        """The years that the table covers, from ``_low_ms`` until ``_high_ms``."""
        self._low_ms = self._high_ms = 0
        self._openings_known: list[Interval] = []
        self._edges: list[int] = []
        """Openings and closings in turn."""
        self._open_ms: list[int] = []
        """The business time from the table's begin to each edge."""
        self._base_ms: list[int] = [0]
        """By the number of edges passed: the business time since the table's begin, while open less the instant."""

    def elapsed_ms(self, start_ms: int, end_ms: int) -> int:
        """The business time between two instants, in milliseconds; negative where the end is before the start."""
        if not self._low_ms <= start_ms <= end_ms < self._high_ms:
            self._reach(start_ms, end_ms)
        edges, base = self._edges, self._base_ms
        i, j = bisect_right(edges, start_ms), bisect_right(edges, end_ms)
        return (base[j] + end_ms if j & 1 else base[j]) - (base[i] + start_ms if i & 1 else base[i])

    def due_ms(self, start_ms: int, business_ms: int) -> int:
        """The first instant at which ``business_ms`` have elapsed since ``start_ms``: at a closing, the closing itself.

        Without any time to pass it is the start, or the next opening after a start outside opening hours. Raises
        ``ValueError`` for less than none.
        """
        if business_ms <= 0:
            if business_ms < 0:
                raise ValueError(f"business time of {business_ms} ms; expected 0 or more")
            return self.next_opening(start_ms)
        if not self._low_ms <= start_ms < self._high_ms:
            self._reach(start_ms)
        i = bisect_right(self._edges, start_ms)
        reached_ms = business_ms + self._base_ms[i] + (start_ms if i & 1 else 0)
        # Up to an opening as much has elapsed as up to the closing before it, so the first edge is a closing.
        j = bisect_left(self._open_ms, reached_ms)
        while j == len(self._open_ms):
            self._grow()
            j = bisect_left(self._open_ms, reached_ms)
        return self._edges[j] - (self._open_ms[j] - reached_ms)

    def is_open(self, ms: int) -> bool:
        """Is the desk open at this instant? It is at an opening, and no more at a closing."""
        if not self._low_ms <= ms < self._high_ms:
            self._reach(ms)
        return bool(bisect_right(self._edges, ms) & 1)

    def next_opening(self, ms: int) -> int:
        """This instant while the desk is open, else when it opens next."""
        if self.is_open(ms):
            return ms
        while (i := bisect_right(self._edges, ms)) == len(self._edges):
            self._grow()
        return self._edges[i]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Calendar) and self._definition() == other._definition()

    def __hash__(self) -> int:
        return hash(self._definition())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.zone!r})"

    def _definition(self) -> tuple[object, ...]:
        return type(self), self.name, self.zone, self.week, self.holidays

    def _reach(self, *instants_ms: int) -> None:
        years = [_year_of(ms) for ms in instants_ms] + ([self._years[0], self._years[-1]] if self._years else [])
        self._cover(range(min(years), max(years) + 1))

    def _grow(self) -> None:
        """Cover twice as many years; positions in the table stay."""
        first, end = self._years.start, self._years.stop
        self._cover(range(first, min(end + len(self._years), LAST_YEAR + 2)))

    def _cover(self, years: range) -> None:
        """Build the table of ``years``, which hold those that it covers already."""
        if years == self._years:
            return
        known = self._years or range(years.start, years.start)
        earlier = [opening for year in range(years.start, known.start) for opening in self._openings(year)]
        later = [opening for year in range(known.stop, years.stop) for opening in self._openings(year)]
        self._openings_known = joined([*earlier, *self._openings_known, *later])
        self._edges, self._open_ms, self._base_ms = [], [], [0]
        total_ms = 0
        for opens, closes in self._openings_known:
            self._edges += (opens, closes)
            self._open_ms.append(total_ms)
            self._base_ms.append(total_ms - opens)
            total_ms += closes - opens
            self._open_ms.append(total_ms)
            self._base_ms.append(total_ms)
        self._years = years
        self._low_ms = -_FAR_MS if years.start < FIRST_YEAR else _new_year_ms(years.start)
        self._high_ms = _FAR_MS if years.stop > LAST_YEAR + 1 else _new_year_ms(years.stop)

    def _openings(self, year: int) -> list[Interval]:
        """When the desk is open in a year (in UTC), sorted."""
        if not FIRST_YEAR <= year <= LAST_YEAR:
            return [(-_FAR_MS, _BEGIN_MS) if year < FIRST_YEAR else (_END_MS, _FAR_MS)]
        found = []
        for from_ms, until_ms, offset_ms in self._offsets(year):
            first_day, last_day = (from_ms + offset_ms) // DAY_MS, (until_ms - 1 + offset_ms) // DAY_MS
            for day in range(first_day, last_day + 1):
                if day in self._closed_days:
                    continue
                midnight_ms = day * DAY_MS - offset_ms
                for opens, closes in self.week[(day + _EPOCH_WEEKDAY) % 7]:
                    start_ms, end_ms = max(midnight_ms + opens, from_ms), min(midnight_ms + closes, until_ms)
                    if start_ms < end_ms:
                        found.append((start_ms, end_ms))
        return found

    def _offsets(self, year: int) -> list[tuple[int, int, int]]:
        """The times of a year with one offset of the local clock from UTC each: from, until, offset; milliseconds."""
        begin_ms, end_ms = _new_year_ms(year), _new_year_ms(year + 1)
        found = []
        offset_ms = self._offset_ms(begin_ms)
        for day_ms in range(begin_ms, end_ms, DAY_MS):
            while self._offset_ms(day_ms + DAY_MS) != offset_ms:
                before_ms, after_ms = max(day_ms, begin_ms), day_ms + DAY_MS
                while after_ms - before_ms > 1000:
                    middle_ms = (before_ms + after_ms) // 2000 * 1000
                    if self._offset_ms(middle_ms) == offset_ms:
                        before_ms = middle_ms
                    else:
                        after_ms = middle_ms
                found.append((begin_ms, after_ms, offset_ms))
                begin_ms, offset_ms = after_ms, self._offset_ms(after_ms)
        return [*found, (begin_ms, end_ms, offset_ms)] if begin_ms < end_ms else found

    def _offset_ms(self, ms: int) -> int:
        offset = datetime.fromtimestamp(ms // 1000, self._zone).utcoffset()
        assert offset is not None
        return offset.days * DAY_MS + offset.seconds * 1000


class AlwaysOpen(Calendar):
    """A calendar without closing time: business time is elapsed time. Its zone is only what times are shown in."""

    def __init__(self, zone: str = "UTC", *, name: str = "always") -> None:
        self.name = name
        self.zone = zone
        self.week = (((0, DAY_MS),),) * 7
        self.holidays = NO_HOLIDAYS
        if zone != "UTC":
            zone_of(zone)

    def elapsed_ms(self, start_ms: int, end_ms: int) -> int:
        """See ``Calendar``."""
        return end_ms - start_ms

    def due_ms(self, start_ms: int, business_ms: int) -> int:
        """See ``Calendar``."""
        if business_ms < 0:
            raise ValueError(f"business time of {business_ms} ms; expected 0 or more")
        return start_ms + business_ms

    def is_open(self, ms: int) -> bool:
        """See ``Calendar``."""
        return True

    def next_opening(self, ms: int) -> int:
        """See ``Calendar``."""
        return ms


ALWAYS: Final = AlwaysOpen()
"""Always open, in UTC: the calendar of a ticket without a policy."""
