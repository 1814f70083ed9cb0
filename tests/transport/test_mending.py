"""What a new life gets over, when it begins, and what every consumer reads."""

import re
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException

from deskpulse.lives import Record
from deskpulse.worker_name import NameTakenError
from streams.clients import UnansweredError
from streams.dead_letters import TooManyDeadLettersError
from streams.failures import CommitError, CommitFencedError, CommitRefusedError, can_be_mended, commit_error
from streams.restore import RestoreError
from streams.topics import TopicError
from streams.transport.positions import ReadError

ROOT = Path(__file__).parents[2]
AWAY = KafkaException(KafkaError(KafkaError._TIMED_OUT))
TOO_LARGE = KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))


def because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "mended"),
    [
        (CommitError("the transaction timed out"), True),
        (CommitFencedError("fenced"), True),
        (RestoreError("read to 5 of 7"), True),
        (TimeoutError("giving back took too long"), True),
        (AWAY, True),
        (because(TopicError("the brokers do not answer"), AWAY), True),
        (because(TopicError("the brokers do not answer"), UnansweredError("timed out")), True),
        (because(ReadError("reading a[1]"), AWAY), True),
        (CommitRefusedError("too large"), False),
        (TOO_LARGE, False),
        (because(RestoreError("could not be read"), TOO_LARGE), False),
        (ReadError("topic 'a' is not on the broker"), False),
        (TopicError("there is no topic"), False),
        (RuntimeError("a batch starts at 7"), False),
        (AssertionError("programming"), False),
        (NameTakenError("taken"), False),
        (TooManyDeadLettersError("too many"), False),
    ],
)
def test_a_new_life_is_begun_for_what_it_gets_over_and_for_nothing_else(error: Exception, mended: bool) -> None:
    assert can_be_mended(error) is mended


def test_the_kind_of_a_failed_commit_is_that_of_the_worst_of_its_causes() -> None:
    undelivered = [("a record of t[0]", TOO_LARGE)]
    assert type(commit_error("x", [("", AWAY)])) is CommitError
    assert type(commit_error("x", [*undelivered, ("", AWAY)])) is CommitRefusedError
    assert type(commit_error("x", [("", TypeError("a value must be bytes"))])) is CommitRefusedError
    fenced = KafkaException(KafkaError(KafkaError._FENCED, fatal=True))
    assert type(commit_error("x", [*undelivered, ("", fenced)])) is CommitFencedError


def test_waits_between_lives_grow_to_a_bound_and_begin_anew_after_a_minute_of_health() -> None:
    life, waits = Record(), []
    for _ in range(9):
        life = life.after(AWAY, healthy_seconds=5)
        waits.append(life.wait_seconds(chance=1))
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert life.wait_seconds(chance=0) == 15
    assert (life.number, life.failed) == (10, 9)
    assert life.after(AWAY, healthy_seconds=60) == Record(number=11, failed=1)


def test_a_worker_that_is_fenced_again_and_again_gives_up_where_it_can_not_see_its_group() -> None:
    life = Record().after(CommitFencedError("a"), 1).after(CommitFencedError("b"), 1)
    assert life.after(AWAY, 1).fenced == 0
    assert life.after(CommitFencedError("c"), 60).fenced == 1
    assert life.after(CommitFencedError("c"), 1, had_its_name_alone=True).fenced == 0
    with pytest.raises(NameTakenError, match="fenced 3 times in a row"):
        life.after(CommitFencedError("c"), 1)


def test_every_consumer_of_the_program_is_made_where_it_is_told_to_read_only_what_is_committed() -> None:
    made = re.compile(r"(?<!class )\b(?:Deserializing)?Consumer\(")
    found = {
        str(path.relative_to(ROOT))
        for folder in ("schemas", "streams", "sinks", "sources", "deskpulse")
        for path in (ROOT / folder).rglob("*.py")
        if made.search(path.read_text())
    }
    assert found == {"streams/clients.py"}
