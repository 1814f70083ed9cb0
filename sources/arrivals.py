"""When tickets come in: the rhythm of days and weeks, and the bursts of incidents on top of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

from sources import desk

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
_MEAN_HOUR: Final = sum(desk.HOURS_WEIGHT) / 24
_MEAN_DAY: Final = sum(desk.DAYS_WEIGHT) / 7


def weekday(at_ms: int) -> int:
    """0 is Monday; 1970 began on a Thursday."""
    return (at_ms // DAY_MS + 3) % 7


@dataclass(frozen=True)
class Incident:
    """Something is down: for a while more tickets come, of one category."""

    start_at_ms: int
    end_at_ms: int
    strength: float
    """How many times the usual number of tickets comes in addition."""
    category: str


class Arrival(NamedTuple):
    """A ticket comes in."""

    at_ms: int
    incident: Incident | None
    """The incident that it is about."""


class Rhythm:
    """How many tickets come at a time, relative to the mean of a week without incidents."""

    def __init__(self, seed: int, *, weekly: bool, incidents: bool) -> None:
        self._seed = seed
        self.pace: Callable[[int], float] = lambda at_ms: 1.0
        """A factor over time."""
        self._weekly = weekly
        self._incidents = incidents
        self._by_day: dict[int, list[Incident]] = {}

    def usual(self, at_ms: int) -> float:
        """The rhythm alone; 1 on average, times the pace."""
        if not self._weekly:
            return self.pace(at_ms)
        hour = at_ms % DAY_MS // HOUR_MS
        share = at_ms % HOUR_MS / HOUR_MS
        weight = desk.HOURS_WEIGHT[hour] * (1 - share) + desk.HOURS_WEIGHT[(hour + 1) % 24] * share
        return self.pace(at_ms) * weight / _MEAN_HOUR * desk.DAYS_WEIGHT[weekday(at_ms)] / _MEAN_DAY

    def incident(self, at_ms: int) -> Incident | None:
        """What is down at a time."""
        if not self._incidents:
            return None
        day = at_ms // DAY_MS
        for incident in (*self._of_day(day - 1), *self._of_day(day)):
            if incident.start_at_ms <= at_ms < incident.end_at_ms:
                return incident
        return None

    def _of_day(self, day: int) -> list[Incident]:
        if day not in self._by_day:
            rng = Random(f"{self._seed} incidents {day}")  # noqa: S311 - not a secret, but the same each time
            found = []
            at = day * DAY_MS + rng.expovariate(desk.INCIDENTS_PER_WEEK / 7) * DAY_MS
            while at < (day + 1) * DAY_MS:
                start = int(at)
                end = start + int(rng.uniform(12, 75) * MINUTE_MS)
                found.append(Incident(start, end, rng.uniform(1.5, 5.0), rng.choice(desk.INCIDENT_CATEGORIES)))
                at += rng.expovariate(desk.INCIDENTS_PER_WEEK / 7) * DAY_MS
            self._by_day[day] = found
        return self._by_day[day]


def arrivals(
    rng: Random,
    rhythm: Rhythm,
    start_at_ms: int,
    end_at_ms: int | None,
    *,
    per_second: float | None,
    number: int | None,
) -> Iterator[Arrival]:
    """Arrivals in order: exactly ``number`` of them up to ``end_at_ms``, or ``per_second`` on average of the rhythm.

    With ``number`` an end is needed; without both ends it goes on for ever.
    """
    steps = _operational_steps(rng, rhythm, start_at_ms, end_at_ms, per_second, number)
    at = start_at_ms
    passed = 0.0
    for target in steps:
        while True:
            weight, incident = _weight(rhythm, at)
            upto = (at // MINUTE_MS + 1) * MINUTE_MS
            if passed + weight * (upto - at) >= target:
                break
            passed += weight * (upto - at)
            at = upto
            if end_at_ms is not None and at >= end_at_ms and number is None:
                return
        due = int(at + (target - passed) / weight)
        if end_at_ms is not None and due >= end_at_ms:
            if number is None:
                return
            due = end_at_ms - 1
        about = incident is not None and rng.random() * weight >= rhythm.usual(at)
        yield Arrival(due, incident if about else None)


def _weight(rhythm: Rhythm, at_ms: int) -> tuple[float, Incident | None]:
    """Constant within a minute, so that a minute passes in one step."""
    minute = at_ms - at_ms % MINUTE_MS
    incident = rhythm.incident(minute)
    return rhythm.usual(minute) + (incident.strength if incident else 0.0), incident


def _operational_steps(
    rng: Random, rhythm: Rhythm, start_at_ms: int, end_at_ms: int | None, per_second: float | None, number: int | None
) -> Iterator[float]:
    """Arrivals in weighted milliseconds since the start: a Poisson process, or sorted uniform ones if numbered."""
    if number is None:
        if per_second is None:
            raise ValueError("arrivals need a number or a rate")
        passed = 0.0
        while True:
            passed += rng.expovariate(per_second / 1000)
            yield passed
    if end_at_ms is None:
        raise ValueError("a number of arrivals needs an end")
    whole = 0.0
    at = start_at_ms
    while at < end_at_ms:
        upto = min((at // MINUTE_MS + 1) * MINUTE_MS, end_at_ms)
        whole += _weight(rhythm, at)[0] * (upto - at)
        at = upto
    # The least of n uniform numbers above x is 1 - (1 - x) * u ** (1 / n): sorted ones without keeping them.
    above = 1.0
    for left in range(number, 0, -1):
        above *= rng.random() ** (1 / left)
        yield whole * (1 - above)
