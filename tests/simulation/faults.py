"""What goes wrong in a seed, and how often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from confluent_kafka import KafkaError, KafkaException

from tests.simulation.steps import Step


@dataclass(frozen=True)
class Faults:
    """Shares are of the steps that a process comes to (0-1); weights are against some 100 of all that happens."""

    disorder_share: float = 0.2
    """Of the records: they come at any time."""
    duplicate_share: float = 0.1
    bad_share: float = 0.0
    crash_share: float = 0.0
    error_share: float = 0.0
    stall_share: float = 0.0
    skewed: bool = False
    """The workers' clocks differ."""
    doubled_share: float = 0.0
    """Of the inserts."""
    markers: float | None = None
    """The weight of the arrival of a transaction's marker; None: they come at once."""
    crash: float = 0.0
    stop: float = 0.0
    expel: float = 0.0
    replace: float = 0.0
    outage: float = 0.0
    jump: float = 0.0
    step_back: float = 0.0
    reconfigure: float = 0.0
    on_disk: bool = False
    """The processor's state lies on a disk as well."""
    transaction_records: int = 10_000
    """So many records end a transaction between two partitions: with 1 each has one of its own."""


ZOMBIES: Final = Faults(bad_share=0.1, stall_share=0.15, markers=1.0, expel=1.0, replace=0.3)
"""Workers that are thought to be gone, and go on."""


def draw(random: Random) -> Faults:
    """The faults of a seed: not all of them at once, or none would have the time to show."""
    return Faults(
        disorder_share=random.choice((0.0, 0.2, 1.0)),
        duplicate_share=random.choice((0.0, 0.1, 0.5)),
        bad_share=random.choice((0.0, 0.04, 0.1)),
        crash_share=random.choice((0.0, 0.01, 0.03, 0.08)),
        error_share=random.choice((0.0, 0.005, 0.02)),
        stall_share=random.choice((0.0, 0.03, 0.1)),
        skewed=random.random() < 0.3,
        doubled_share=random.choice((0.0, 0.2)),
        markers=random.choice((None, 1.0, 2.0, 6.0)),
        crash=random.choice((0.0, 0.2, 0.5)),
        stop=random.choice((0.0, 0.2, 0.6)),
        expel=random.choice((0.0, 0.3, 1.0)),
        replace=random.choice((0.0, 0.2, 0.5)),
        outage=random.choice((0.0, 0.5, 1.5)),
        jump=random.choice((0.0, 0.3, 1.0)),
        step_back=random.choice((0.0, 0.3, 1.0)),
        reconfigure=random.choice((0.0, 0.0, 0.3)),
        on_disk=random.random() < 0.5,
        transaction_records=random.choice((1, 10_000)),
    )


def _kafka(code: int, *, retriable: bool = False, abortable: bool = False) -> Callable[[], Exception]:
    return lambda: KafkaException(KafkaError(code, "simulated", retriable=retriable, txn_requires_abort=abortable))


_AGAIN: Final = _kafka(KafkaError.COORDINATOR_NOT_AVAILABLE, retriable=True)
"""The call is made again."""
_FROM_THE_START: Final = _kafka(KafkaError._TIMED_OUT, abortable=True)
"""The transaction is aborted, and begun again with the same cut."""
_FOR_GOOD: Final = _kafka(KafkaError._TIMED_OUT)
"""Nobody knows what became of it: the worker ends."""

ERRORS: Final[dict[Step, Sequence[Callable[[], Exception]]]] = {
    Step.STARTING: (_AGAIN, _FOR_GOOD),
    Step.BEGUN: (_kafka(KafkaError._STATE),),
    Step.ENQUEUED: (_AGAIN, _FROM_THE_START, _FOR_GOOD),
    Step.OFFSETS: (_AGAIN, _FROM_THE_START, _FOR_GOOD),
    Step.COMMIT_LOST: (_AGAIN, _FROM_THE_START, _FOR_GOOD),
    # librdkafka calls nothing abortable that may be committed.
    Step.ANSWER_LOST: (_AGAIN, _FOR_GOOD),
    Step.INSERTING: (lambda: ConnectionResetError("Connection reset by peer"),),
    Step.INSERTED: (lambda: TimeoutError("timed out"),),
}
"""What a request may answer to a process that lives on."""
