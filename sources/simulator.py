"""A made-up support desk as a stream of records: pure, seeded, in the order in which they are delivered."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import exp
from operator import itemgetter
from random import Random
from typing import Final, TypeAlias

from xxhash import xxh3_64_hexdigest

from sources.arrivals import DAY_MS, HOUR_MS, MINUTE_MS, Arrival, Rhythm, arrivals
from sources.stories import Storyteller

Delivery: TypeAlias = tuple[int, str, bytes, bytes]
"""When the record reaches Kafka (ms since 1970), topic, key, value."""

EVENTS_PER_TICKET: Final = 8.3
"""On average, over whole stories and without duplicates; a test holds it to 5 %."""


@dataclass(frozen=True)
class SimulatorConfig:
    """What to simulate; ``tickets`` or ``events_per_second``, one of them."""

    start_at_ms: int
    seed: int = 1
    days: float | None = 1.0
    """The span in which tickets come in; None: without end (with ``events_per_second`` only)."""
    tickets: int | None = None
    """Exactly so many come in within ``days``."""
    events_per_second: float | None = None
    """So many events a second, averaged over a week without incidents."""
    reached_after_seconds: float | None = None
    """A desk that begins with nothing has less to do at first, since old tickets are missing. With this, tickets come
    in faster at first, so that the rate is reached this long after the start; without, after some days."""
    late: float = 0.0
    """Share of the records (0-1) that come minutes to hours after they happened."""
    duplicates: float = 0.0
    """Share of the records (0-1) that come twice."""
    rhythm: bool = True
    """Days and weeks have their rhythm; without, as many come at any time."""
    incidents: bool = True
    """Bursts of tickets about one thing."""
    complete: bool = False
    """Deliver also what happens after the span, until every story is over."""

    def __post_init__(self) -> None:
        if (self.tickets is None) == (self.events_per_second is None):
            raise ValueError("expected a number of tickets or a rate of events, one of them")
        if self.tickets is not None and (self.days is None or self.tickets < 0):
            raise ValueError("a number of tickets (0 or more) needs days to lie in")
        if self.events_per_second is not None and self.events_per_second <= 0:
            raise ValueError(f"{self.events_per_second:g} events a second; expected more than 0")
        if self.days is not None and self.days <= 0:
            raise ValueError(f"{self.days:g} days; expected more than 0")
        for name in ("late", "duplicates"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; expected a share from 0 to 1")

    @property
    def end_at_ms(self) -> int | None:
        """When the last ticket has come in."""
        return None if self.days is None else self.start_at_ms + int(self.days * DAY_MS)


def simulate(config: SimulatorConfig) -> Iterator[Delivery]:
    """All records in the order of their delivery; the same configuration gives the same bytes.

    No record is delivered before it happened. Without an end it goes on for ever; memory holds what is under way.
    """

    def dice(of: str) -> Random:
        return Random(f"{one_run} {of}")  # noqa: S311 - not a secret, but the same each time

    one_run = f"{config.seed} {config.start_at_ms}"
    per_ticket = EVENTS_PER_TICKET
    rhythm = Rhythm(config.seed, weekly=config.rhythm, incidents=config.incidents)
    if config.reached_after_seconds is not None:
        reached_ms = int(config.reached_after_seconds * 1000)
        events_within = _events_within(config)
        per_ticket = events_within(reached_ms)

        rhythm.pace = lambda at_ms: per_ticket / events_within(max(reached_ms, at_ms - config.start_at_ms))
    tickets = arrivals(
        dice("arrivals"),
        rhythm,
        config.start_at_ms,
        config.end_at_ms,
        per_second=None if config.events_per_second is None else config.events_per_second / per_ticket,
        number=config.tickets,
    )
    # Ids must differ between runs: the same id is the same event, always.
    prefix = xxh3_64_hexdigest(one_run.encode())[:7]
    teller = Storyteller(dice("stories"), prefix, closes_at_night=config.rhythm)
    carrier = _Carrier(dice("delivery"), config)
    for arrival in tickets:
        yield from carrier.due(arrival.at_ms // MINUTE_MS)
        key, told = teller.tell(arrival)
        for at, topic, value in told:
            carrier.take(at, topic, key, value)
    yield from carrier.rest(None if config.complete else config.end_at_ms)


def _events_within(config: SimulatorConfig) -> Callable[[int], float]:
    """How many events a ticket has on average in its first so many milliseconds, from a sample of stories."""
    sample = 2000
    teller = Storyteller(Random(1), "sample", closes_at_night=config.rhythm)  # noqa: S311
    stories = (teller.tell(Arrival(config.start_at_ms, None))[1] for _ in range(sample))
    ages = sorted(at - config.start_at_ms for story in stories for at, _, _ in story)
    return lambda age_ms: bisect_right(ages, age_ms) / sample


class _Carrier:
    """Brings records to Kafka: most at once, some late, some twice. Buckets of a minute put them in order."""

    def __init__(self, rng: Random, config: SimulatorConfig) -> None:
        self._rng = rng
        self._late = config.late
        self._duplicates = config.duplicates
        self._minutes: dict[int, list[Delivery]] = {}
        self._next = config.start_at_ms // MINUTE_MS

    def take(self, at: int, topic: str, key: bytes, value: bytes) -> None:
        random = self._rng.random
        delivered = at + 5 + int(random() * 200)
        if self._late and random() < self._late:
            delivered += min(int(1000 * 900 * exp(self._rng.gauss(0.0, 1.3))), 8 * HOUR_MS)
        self._minutes.setdefault(delivered // MINUTE_MS, []).append((delivered, topic, key, value))
        if self._duplicates and random() < self._duplicates:
            delivered += int(1000 * self._rng.expovariate(1 / 60))
            self._minutes.setdefault(delivered // MINUTE_MS, []).append((delivered, topic, key, value))

    def due(self, minute: int) -> Iterator[Delivery]:
        """What is delivered before ``minute``."""
        while self._next < minute:
            if bucket := self._minutes.pop(self._next, None):
                bucket.sort(key=itemgetter(0))
                yield from bucket
            self._next += 1

    def rest(self, end_at_ms: int | None) -> Iterator[Delivery]:
        for minute in sorted(self._minutes):
            for delivery in sorted(self._minutes[minute], key=itemgetter(0)):
                if end_at_ms is not None and delivery[0] >= end_at_ms:
                    return
                yield delivery
