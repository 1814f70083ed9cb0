"""What happens to the system and when: a plan that follows from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final, NamedTuple

KILL: Final = "kill"
"""SIGKILL of a worker, which is started again at once."""
FREEZE: Final = "freeze"
"""SIGSTOP of a worker for so long that the group takes it for gone, then SIGCONT: a zombie."""
BROKER: Final = "broker"
"""The broker stops in order and starts again."""
BROKER_KILL: Final = "broker_kill"
"""The broker is killed and starts again."""
CLICKHOUSE: Final = "clickhouse"
"""ClickHouse is away for a while."""


class Fault(NamedTuple):
    """One thing that happens."""

    at_seconds: float
    """After the traffic began."""
    kind: str
    which: int = 0
    """The worker's number, or that of the way in which ClickHouse is away."""
    lasts_seconds: float = 0.0


@dataclass(frozen=True)
class Dose:
    """How much of each."""

    kills: int = 24
    brokers: int = 4
    outages: int = 4
    outage_seconds: float = 12.0
    freezes: int = 3
    freeze_seconds: float = 6.0


def plan(seed: int, seconds: float, workers: int, dose: Dose) -> list[Fault]:
    """The faults of a run in their order: each kind spread over the run, anywhere within its share of it.

    Every fifth kill takes all workers at once.
    """
    rng = Random(f"{seed} faults")
    faults: list[Fault] = []
    for number, at in enumerate(_spread(rng, dose.kills, seconds)):
        which = range(workers) if number % 5 == 4 else (rng.randrange(workers),)
        faults += [Fault(at, KILL, one) for one in which]
    for number, at in enumerate(_spread(rng, dose.brokers, seconds)):
        faults.append(Fault(at, (BROKER, BROKER_KILL)[number % 2]))
    for number, at in enumerate(_spread(rng, dose.outages, seconds)):
        faults.append(Fault(at, CLICKHOUSE, number, dose.outage_seconds * rng.uniform(0.5, 1.5)))
    for at in _spread(rng, dose.freezes, seconds):
        faults.append(Fault(at, FREEZE, rng.randrange(workers), dose.freeze_seconds * rng.uniform(1.0, 1.5)))
    return sorted(faults)


def _spread(rng: Random, number: int, seconds: float) -> list[float]:
    share = seconds / max(1, number)
    return [round((n + rng.uniform(0.1, 0.9)) * share, 2) for n in range(number)]
