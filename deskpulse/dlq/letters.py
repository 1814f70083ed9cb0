"""One dead letter: a record that was refused, whole, with why and where it came from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from confluent_kafka import Message

from schemas.outputs import DEAD_LETTER_HEADERS
from streams.dead_letters import BAD_RECORD, problem

FILE: Final = "file:"
"""The origin of a bad line of ``deskpulse publish`` begins with this; what follows is the file's name."""
FOREIGN: Final = "foreign"
"""The code of a record in the topic that deskpulse did not write."""
_CODED: Final = re.compile(r"([a-z][a-z_]{0,39}): (.*)", re.DOTALL)
_ID: Final = re.compile(r"(\d{1,9})@(\d{1,18})")


class LetterId(NamedTuple):
    """Where a letter lies in the topic of dead letters."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}@{self.offset}"


def parse_id(text: str) -> LetterId:
    """The id that is written ``PARTITION@OFFSET``; ValueError says what would be right."""
    found = _ID.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no dead letter; expected PARTITION@OFFSET, like 3@17 (`deskpulse dlq list`)")
    return LetterId(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it lies there. Times are milliseconds since 1970 UTC."""

    id: LetterId
    refused_at_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    """Those of the record itself."""
    code: str
    """Why it was refused, like ``bad_record``."""
    reason: str
    """The same in full; what the record held may be in it."""
    origin_topic: str
    """The topic that it was read from, or ``file:`` and a file's name."""
    origin_partition: int
    """-1 for a line of a file."""
    origin_offset: int
    """Of a line of a file: its number, from 1."""
    origin_timestamp_ms: int
    """The record's own timestamp."""

    @property
    def problem(self) -> str:
        """What was wrong, in words of the contract alone."""
        return problem(self.code, self.reason)

    @property
    def is_of_file(self) -> bool:
        """Whether it was a line of a file that ``deskpulse publish`` read."""
        return self.origin_topic.startswith(FILE)


def letter_of(message: Message) -> Letter:
    """The letter in a record of the topic; of a record that deskpulse did not write the code is :data:`FOREIGN`."""
    pairs: list[tuple[str, bytes | None]] = [*(message.headers() or ())]
    told = pairs[: len(DEAD_LETTER_HEADERS)]
    where: Any = LetterId(message.partition() or 0, message.offset() or 0)
    whole = where, message.timestamp()[1], message.key(), message.value()
    try:
        if tuple(name for name, _ in told) != DEAD_LETTER_HEADERS:
            raise ValueError("other headers than a dead letter's")
        reason, topic, *numbers = ((value or b"").decode("utf-8", "replace") for _, value in told)
        partition, offset, timestamp_ms = map(int, numbers)
    except ValueError:
        return Letter(*whole, tuple(pairs), FOREIGN, "", "", -1, -1, -1)
    coded = _CODED.fullmatch(reason)
    code, reason = (coded[1], coded[2]) if coded else (BAD_RECORD, reason)
    own = tuple(pairs[len(DEAD_LETTER_HEADERS) :])
    return Letter(*whole, own, code, reason, topic, partition, offset, timestamp_ms)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters: those for which everything holds that is given. Times are milliseconds since 1970 UTC."""

    code: str = ""
    topic: str = ""
    """Where they came from."""
    since_ms: int = 0
    """Refused at or after this."""
    until_ms: int = 2**63 - 1
    """Refused before this."""
    ids: frozenset[LetterId] = frozenset()
    """Only these; empty for all."""

    def has(self, letter: Letter) -> bool:
        """Whether this letter is among them."""
        return (
            (not self.ids or letter.id in self.ids)
            and (not self.code or letter.code == self.code)
            and (not self.topic or letter.origin_topic == self.topic)
            and self.since_ms <= letter.refused_at_ms < self.until_ms
        )
