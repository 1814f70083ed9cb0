"""Which period is to be computed anew, and which periods are closed: no worker can change them any more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

from deskpulse.durations import format_duration
from deskpulse.verify.differences import instant
from schemas.events import EPOCH, LATEST, at_ms

HOUR_MS: Final = 3_600_000
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")
_EXPECTED: Final = "expected a day like 2026-06-01 (UTC) or a whole hour like 2026-06-01T10:00Z"


class PeriodError(ValueError):
    """A period that can't be computed anew; says why, and which would be right."""


class Period(NamedTuple):
    """From ``since_ms`` to before ``until_ms``, whole hours in milliseconds since 1970."""

    since_ms: int
    until_ms: int

    def overlaps(self, first_ms: int, last_ms: int) -> bool:
        """Whether what lasted from ``first_ms`` to ``last_ms``, both included, has a part in it."""
        return first_ms < self.until_ms and last_ms >= self.since_ms

    def __str__(self) -> str:
        return f"{instant(self.since_ms)} to before {instant(self.until_ms)}"


def period(since: str, until: str) -> Period:
    """The period of two days, both included, or of two instants, of which the second is not. UTC.

    Raises :class:`PeriodError`.
    """
    found = Period(_ms("--from", since, timedelta()), _ms("--to", until, timedelta(days=1)))
    if found.since_ms >= found.until_ms:
        raise PeriodError(f"--from {since} does not come before --to {until}; a day given to --to is included")
    return found


def _ms(option: str, text: str, of_day: timedelta) -> int:
    try:
        if _DAY.fullmatch(text):
            at = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC) + of_day
        else:
            at = datetime.fromisoformat(text)
        if at.tzinfo is None or not EPOCH <= at < LATEST:
            raise ValueError
    except ValueError:
        raise PeriodError(f"{option} is {text!r}; {_EXPECTED}") from None
    if at_ms(at) % HOUR_MS:
        raise PeriodError(f"{option} {text} is no whole hour; cells of an hour are replaced whole: {_EXPECTED}")
    return at_ms(at)


def closed_until(times: Mapping[int, int], horizon_ms: int | None) -> int | None:
    """The end of what is closed: workers publish no cell of a pane before it. None where nothing is closed.

    ``times`` are the watermarks of the partitions. A worker keeps the panes of the horizon and one more
    (``streams.partition``), and leaves out whatever counts before them.
    """
    if horizon_ms is None or not times:
        return None
    return (min(times.values()) // HOUR_MS - -(-horizon_ms // HOUR_MS)) * HOUR_MS


def check_closed(asked: Period, times: Mapping[int, int], horizon_ms: int | None) -> None:
    """Raise :class:`PeriodError` where ``asked`` is not closed yet."""
    if horizon_ms is None:
        raise PeriodError(
            "worker.horizon is unlimited: tickets never leave, no event comes too late and no period is ever closed; "
            "the workers keep all figures up to date themselves"
        )
    closed = closed_until(times, horizon_ms)
    if closed is None:
        raise PeriodError("there are no cells in ClickHouse, so nothing is closed; is this the right database?")
    if asked.until_ms > closed:
        slowest = min(times, key=times.__getitem__)
        raise PeriodError(
            f"{asked} is not closed: workers still change what happened within the horizon "
            f"({format_duration(timedelta(milliseconds=horizon_ms))} before the time of partition {slowest}, "
            f"{instant(times[slowest])}); what ends at {instant(closed)} or before can be computed anew"
            + (f", so --to {instant(closed)}" if closed > asked.since_ms else "")
        )
