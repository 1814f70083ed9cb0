"""What a failure means: whether a new life of the worker, restored from Kafka, can do better than this one.

State that a transaction failed for is never kept: the worker drops all of it. Whether it then begins again by itself,
or ends and says what has to be changed first, is decided here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaError

from streams.clients import UnansweredError, kafka_error

FENCED: Final = frozenset(
    {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.FENCED_INSTANCE_ID}
)
"""The coordinator knows a newer user of the transactional id, or has ended the transaction at its time-out."""
EXPELLED: Final = frozenset(
    {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS}
)
"""The group has given the partitions to others since the cut was made."""
REFUSED: Final = frozenset(
    {
        KafkaError._INVALID_ARG,
        KafkaError._AUTHENTICATION,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
        KafkaError.ILLEGAL_SASL_STATE,
        KafkaError.SECURITY_DISABLED,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
        KafkaError.INVALID_CONFIG,
        KafkaError.INVALID_PARTITIONS,
        KafkaError.INVALID_REPLICATION_FACTOR,
        KafkaError.INVALID_TRANSACTION_TIMEOUT,
        KafkaError.INVALID_SESSION_TIMEOUT,
        KafkaError.INVALID_GROUP_ID,
        KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    }
)
"""The brokers would say the same again: the settings, the topics or the rights have to be changed first."""


class MendableError(Exception):
    """What a worker that drops its state and restores it from Kafka can get over."""


class CommitError(MendableError):
    """A cut was not committed, and nothing of it will be seen; the state that it was made of has to be dropped."""


class CommitFencedError(CommitError):
    """Somebody else uses this worker's transactional id, or its transaction timed out; the brokers say both alike."""


class CommitRefusedError(CommitError):
    """The brokers refuse a record, or the worker, for good."""


class CommitExpelledError(CommitError):
    """The group gave the partitions to others after the cut was made.

    The transaction is aborted and the committer can go on, so to a worker that has dropped their state meanwhile this
    is the end of an old story.
    """


def commit_error(what: str, causes: Sequence[tuple[str, Exception]]) -> CommitError:
    """The error of a commit, of the kind that its causes make it; each has what it is about, or an empty text."""
    answers = [told for told in (kafka_error(cause) for _, cause in causes) if told is not None]
    codes = {told.code() for told in answers}
    reasons = [": ".join(filter(None, (about, _text(cause)))) for about, cause in causes]
    text = f"{what}: {'; '.join(reasons)}"
    if codes & FENCED:
        return CommitFencedError(text)
    if codes & REFUSED or not (answers or isinstance(causes[-1][1], CommitError)):
        return CommitRefusedError(text)
    return CommitExpelledError(text) if codes & EXPELLED else CommitError(text)


def can_be_mended(error: BaseException) -> bool:
    """Whether a new life can get over ``error``; one that it can't, like an agent's own error, has to end the worker.

    Where the brokers refused something for good anywhere in the chain of causes, it would be refused again.
    """
    links = _chain(error)
    answers = [told for told in map(kafka_error, links) if told is not None]
    unanswered = [link for link in links if isinstance(link, UnansweredError)]
    if isinstance(error, CommitRefusedError) or any(told.code() in REFUSED for told in answers):
        return False
    # A TimeoutError is what the deadline of a rebalance ends with.
    return (
        bool(answers)
        or any(not link.final for link in unanswered)
        or (not unanswered and isinstance(error, MendableError | TimeoutError))
    )


def _text(error: Exception) -> str:
    told = kafka_error(error)
    return str(error) if told is None else told.str()


def _chain(error: BaseException | None) -> list[BaseException]:
    links: list[BaseException] = []
    while error is not None and error not in links:
        links.append(error)
        error = error.__cause__
    return links
