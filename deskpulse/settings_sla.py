"""Calendars and service-level policies as settings: ``[calendars.NAME]``, ``[[policies]]`` and ``[sla]``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any, Final, Self, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from deskpulse.durations import duration_ms
from deskpulse.settings_types import PositiveDuration, Section, listed, mapped, once
from schemas.events import Priority
from schemas.outputs import ATTRIBUTES
from streams.calendars import ALWAYS, AlwaysOpen, Calendar, Holidays, Interval, Week, joined, zone_of
from streams.policies import DEFAULT_AT_RISK_SHARE, TARGETS, Policies, Policy

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EXPECTED_HOURS: Final = 'expected "always", or days with their intervals, like { mon-fri = ["09:00-17:00"], sat = [] }'
_INTERVAL: Final = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")

Share = Annotated[float, Field(gt=0, lt=1)]
Problem = tuple[tuple[str, ...], object, str]
"""Where below the validated table something is wrong, what stands there, and what would be right."""


def interval_of(written: str) -> Interval:
    """The interval that ``"09:00-17:00"`` says; it may end at ``24:00``. Raises ``ValueError``."""
    match = _INTERVAL.fullmatch(written.strip())
    if match is None:
        raise ValueError(f'"{written}" is no interval; expected one like "09:00-17:00"')
    from_hour, from_minute, until_hour, until_minute = map(int, match.groups())
    opens, closes = from_hour * 60 + from_minute, until_hour * 60 + until_minute
    if max(from_minute, until_minute) > 59 or max(opens, closes) > 24 * 60:
        raise ValueError(f'"{written}" is outside the day; expected times from 00:00 to 24:00')
    if opens >= closes:
        raise ValueError(
            f'"{written}" ends before it has begun; expected a later end, or past midnight two intervals: one until'
            " 24:00, and one from 00:00 of the next day"
        )
    return opens * 60_000, closes * 60_000


def days_of(written: str) -> tuple[int, ...]:
    """The weekdays (0 is Monday) that ``mon``, ``mon-fri`` or ``sun-thu`` say. Raises ``ValueError``."""
    first, dash, last = written.partition("-")
    if first not in DAYS or (dash and last not in DAYS):
        raise ValueError(f"`{written}` is no day; expected one of {', '.join(DAYS)}, or a range like mon-fri")
    begin = DAYS.index(first)
    return tuple((begin + n) % 7 for n in range((DAYS.index(last) - begin) % 7 + 1 if dash else 1))


def week_of(hours: Mapping[str, Sequence[str]]) -> Week:
    """The week of ``{"mon-fri": ["09:00-12:00", "13:00-17:00"], "sat": []}``; a day that is not named is closed.

    Intervals that touch become one. Raises ``ValueError`` for what cannot be read, intervals of a day that overlap and
    a day that is named twice.
    """
    week: list[tuple[Interval, ...]] = [()] * 7
    named: dict[int, str] = {}
    for days, written in hours.items():
        for day in days_of(days):
            if day in named:
                raise ValueError(f"{DAYS[day]} stands in `{named[day]}` and in `{days}`; expected each day once")
            named[day] = days
            told = sorted((interval_of(text), text) for text in written)
            for (one, text), (other, next_text) in pairwise(told):
                if other[0] < one[1]:
                    raise ValueError(f'"{text}" and "{next_text}" of `{days}` overlap; expected intervals apart')
            week[day] = tuple(joined([interval for interval, _ in told]))
    return tuple(week)


def _hours(told: object) -> str | dict[str, tuple[str, ...]]:
    told = json.loads(told) if isinstance(told, str) and told.startswith("{") else told
    if told == "always":
        return "always"
    if not isinstance(told, Mapping):
        raise ValueError(EXPECTED_HOURS)
    for days, written in told.items():
        if not isinstance(written, list | tuple) or not all(isinstance(text, str) for text in written):
            raise ValueError(f'`{days}` has no list of intervals; expected one like ["09:00-17:00"], or [] for closed')
    hours = {days: tuple(written) for days, written in told.items()}
    week_of(hours)
    return hours


def _own_date(told: object) -> date:
    if isinstance(told, str):
        try:
            return date.fromisoformat(told)
        except ValueError:
            pass
    elif isinstance(told, date) and not isinstance(told, datetime):
        return told
    raise ValueError('expected a date like "2026-12-24"')


def _known_zone(name: str) -> str:
    if name:
        zone_of(name)
    return name


def _refused(problems: Iterable[Problem]) -> None:
    """Raise what is wrong with a table, each problem at its own place; nothing without problems."""
    details = [
        InitErrorDetails(type=PydanticCustomError("refused", "{told}", {"told": told}), loc=place, input=value)
        for place, value, told in problems
    ]
    if details:
        raise ValidationError.from_exception_data("settings", details)


class Table(Section):
    """A table of which the file can have several: keys that it has not are refused with those that it has."""

    @model_validator(mode="before")
    @classmethod
    def _has_these_keys(cls, told: Any) -> Any:
        if isinstance(told, Mapping):
            expected = f"there is no such key; expected some of {', '.join(cls.model_fields)}"
            _refused(((str(key),), value, expected) for key, value in told.items() if key not in cls.model_fields)
        return told


class HolidaysTable(Table):
    """Dates on which a calendar is closed all day."""

    country: str = Field(
        default="", description="Public holidays of this country (ISO 3166-1, like `DE`), days in lieu included."
    )
    subdivision: str = Field(default="", description="And of this part of it (ISO 3166-2 without country, like `BE`).")
    dates: Annotated[tuple[Annotated[date, BeforeValidator(_own_date)], ...], BeforeValidator(listed)] = Field(
        default=(), description="Dates of the desk's own, like `2026-12-24`."
    )

    @model_validator(mode="after")
    def _are_known(self) -> Self:
        self.domain()
        return self

    def domain(self) -> Holidays:
        """The same for the domain. Raises ``ValueError`` for an unknown country or subdivision."""
        return Holidays(self.country, self.subdivision, frozenset(self.dates))


class CalendarTable(Table):
    """Opening hours; policies name them. The calendar `always` (always open, in UTC) is there without saying so."""

    zone: Annotated[str, AfterValidator(_known_zone)] = Field(
        default="", description="IANA time zone, like `Europe/Berlin`. Where the hours are `always`, it can be absent."
    )
    hours: Annotated[Any, AfterValidator(_hours)] = Field(
        description='`"always"`, or a table of days (`mon`, `mon-fri`, `sun-thu`), each with its intervals'
        ' (`["08:00-12:00", "13:30-24:00"]`). A day that is not named is closed.',
    )
    holidays: HolidaysTable = Field(default=HolidaysTable())

    @model_validator(mode="after")
    def _can_be_kept(self) -> Self:
        if self.hours == "always" and self.holidays != HolidaysTable():
            raise ValueError(
                'is always open and has holidays; expected one of them, or hours = { mon-sun = ["00:00-24:00"] }'
            )
        if not self.zone and self.hours != "always":
            raise ValueError('has hours of no `zone`; expected one beside them, like zone = "Europe/Berlin"')
        self.domain("")
        return self

    def domain(self, name: str) -> Calendar:
        """The same for the domain. Raises ``ValueError`` where it never opens."""
        if isinstance(self.hours, str):
            return AlwaysOpen(self.zone or "UTC", name=name)
        return Calendar(self.zone, week_of(self.hours), self.holidays.domain(), name=name)


class Calendars(Section):
    """The tables ``[calendars.NAME]``, by their names."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, CalendarTable] = Field(init=False)

    @model_validator(mode="after")
    def _names_are_right(self) -> Self:
        tables = self.__pydantic_extra__
        expected = "is no name of a calendar; expected up to 100 letters, digits, - and _"
        _refused(((name,), name, expected) for name in tables if not _NAME.fullmatch(name))
        always = tables.get(ALWAYS.name)
        if always is not None and always.hours != "always":
            told = 'is the calendar that is always open; expected another name, or hours = "always"'
            _refused([((ALWAYS.name, "hours"), always.hours, told)])
        return self

    def domain(self) -> dict[str, Calendar]:
        """The calendars by name, ``always`` among them."""
        return {ALWAYS.name: ALWAYS} | {name: table.domain(name) for name, table in self.__pydantic_extra__.items()}


def _known_keys(known: tuple[str, ...], kind: str) -> BeforeValidator:
    """A check that all keys of a table are of ``known``, which are ``kind``; takes JSON from the environment."""

    def check(told: object) -> object:
        told = mapped(told)
        if isinstance(told, Mapping):
            expected = f"there is no such {kind}; expected some of {', '.join(known)}"
            _refused(((str(key),), value, expected) for key, value in told.items() if key not in known)
        return told

    return BeforeValidator(check)


def _known_priorities(when: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    expected = f"expected some of {', '.join(get_args(Priority))}"
    _refused((("priority",), one, expected) for one in when.get("priority", ()) if one not in get_args(Priority))
    return when


Values = Annotated[tuple[str, ...], BeforeValidator(listed), AfterValidator(once), Field(min_length=1)]


class PolicyTable(Table):
    """What is promised to some tickets. The first policy in the file whose `when` fits a ticket holds for it."""

    name: str = Field(min_length=1, max_length=100, description="What it is called in every figure; another for each.")
    when: Annotated[dict[str, Values], _known_keys(ATTRIBUTES, "attribute"), AfterValidator(_known_priorities)] = Field(
        default_factory=dict,
        description="Attributes with the values of which a ticket must have one, like"
        ' `{ priority = ["urgent"], channel = ["chat", "phone"] }`; `""` is having none. Empty fits every ticket.',
    )
    calendar: str = Field(default=ALWAYS.name, description="The calendar by which time passes.")
    targets: Annotated[dict[str, PositiveDuration], _known_keys(TARGETS, "target")] = Field(
        default_factory=dict,
        description=f"Durations in the calendar's hours, of {', '.join(f'`{name}`' for name in TARGETS)}."
        " Empty gives only the calendar.",
    )
    at_risk: Share | None = Field(
        default=None, description="Share of a target's time from which it is at risk; where absent, `sla.at_risk`."
    )

    def domain(self, calendars: Mapping[str, Calendar], at_risk: float) -> Policy:
        """The same for the domain, with the share that holds where the policy has none of its own."""
        return Policy(
            name=self.name,
            calendar=calendars[self.calendar],
            when=dict(self.when),
            targets={target: duration_ms(duration) for target, duration in self.targets.items()},
            at_risk_share=at_risk if self.at_risk is None else self.at_risk,
        )


class PolicyTables(Section):
    """The tables ``[[policies]]`` in their order; kept by name, so that a wrong one is called by it."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, PolicyTable] = Field(init=False)

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, told: Any) -> Any:
        told = json.loads(told) if isinstance(told, str) else told
        if isinstance(told, Mapping):
            return {key: {"name": key} | value if isinstance(value, dict) else value for key, value in told.items()}
        if not isinstance(told, list | tuple):
            return told
        by_name: dict[str, Any] = {}
        for number, table in enumerate(told, start=1):
            name = table.get("name") if isinstance(table, dict) else getattr(table, "name", None)
            # What has no name is called by its number, and refused for that.
            key = name if isinstance(name, str) and name else str(number)
            if key in by_name:
                _refused([((key, "name"), name, "several policies have this name; expected another for each")])
            by_name[key] = table
        return by_name

    @model_serializer
    def _listed(self) -> list[PolicyTable]:
        return list(self.__pydantic_extra__.values())

    def check_calendars(self, calendars: Calendars) -> None:
        """Refuse a policy whose calendar is not there."""
        known = {ALWAYS.name: None, **(calendars.model_extra or {})}
        expected = f"there is no such calendar; expected one of {', '.join(known)}"
        _refused(
            (("policies", name, "calendar"), table.calendar, expected)
            for name, table in self.__pydantic_extra__.items()
            if table.calendar not in known
        )

    def domain(self, calendars: Calendars, at_risk: float) -> Policies:
        """The policies with their calendars, for the domain."""
        known = calendars.domain()
        return Policies([table.domain(known, at_risk) for table in self.__pydantic_extra__.values()])


class Sla(Section):
    """What holds for all service-level targets."""

    at_risk: Share = Field(
        default=DEFAULT_AT_RISK_SHARE,
        description="Share of a target's time from which it is at risk, between 0 and 1, where the policy has none.",
    )
