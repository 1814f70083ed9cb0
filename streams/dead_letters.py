"""Records that count nowhere: what is wrong with one by today's code, and how many there may be before a worker stops.

A few bad records are diverted to the dead letters and the desk goes on. Where many are bad, something else is wrong: a
producer's release, a wrong topic, an old worker. Diverting them would empty the figures without anybody being asked, so
the worker stops instead, before it commits them: once the cause is mended they are read as if nothing had been.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final, NamedTuple, Protocol

from schemas.bad_records import BadRecordError, UnknownTypeError, without_values
from schemas.events import TYPE_OF_NAME, AnyEvent, decode_at
from schemas.outputs import DEAD_LETTER_HEADERS

BAD_RECORD: Final = "bad_record"
KEY_MISMATCH: Final = "key_mismatch"
FUTURE: Final = "future"
HISTORY_FULL: Final = "history_full"
UNKNOWN_TYPE: Final = "unknown_type"
"""No letter has this code: such records are skipped. One that was something else before may be skipped today."""

_PROBLEMS: Final = {
    KEY_MISMATCH: "the key is not the record's `ticket_id`",
    FUTURE: "`at` is too far ahead of the clock",
    HISTORY_FULL: "the ticket has too many distinct people, surveys and attributes",
    UNKNOWN_TYPE: "a type that deskpulse does not know",
    "clickhouse_refused": "ClickHouse refuses the row",
    "unreadable_output": "the sink can't read the record",
}


class Record(Protocol):
    """A Kafka record as it is read."""

    def value(self) -> bytes | None: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def offset(self) -> int | None: ...  # noqa: D102


class Dated(Record, Protocol):
    """One with a time."""

    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102


def why_and_where(topic: str, partition: int, record: Dated, code: str, reason: str) -> list[tuple[str, bytes]]:
    """The headers of a refused record (``DEAD_LETTER_HEADERS``): why it was refused, and where it was."""
    told = (f"{code}: {reason}", topic, str(partition), str(record.offset()), str(record.timestamp()[1]))
    return [(name, text.encode()) for name, text in zip(DEAD_LETTER_HEADERS, told, strict=True)]


class Judgement(NamedTuple):
    """What today's code says of a record, without the state of its ticket."""

    event: AnyEvent | None = None
    """The event that it is, where it is one."""
    code: str = ""
    """Why it would not be, like :data:`BAD_RECORD`; empty where it would."""
    reason: str = ""
    """In full, with the value that is wrong: personal data may be in it."""


def judge(key: bytes | None, value: bytes | None, latest_ms: int | None = None) -> Judgement:
    """Whether a worker would accept this record: as ``Partition.apply`` decides, before it looks at the ticket.

    ``latest_ms``: an event later than that can't be true.
    """
    try:
        event, at = decode_at(value)
    except BadRecordError as error:
        return Judgement(code=BAD_RECORD, reason=str(error))
    except UnknownTypeError as error:
        return Judgement(code=UNKNOWN_TYPE, reason=f"`type` is {error}")
    if key != event.ticket_id.encode():
        return Judgement(event, KEY_MISMATCH, _PROBLEMS[KEY_MISMATCH])
    if latest_ms is not None and at > latest_ms:
        return Judgement(event, FUTURE, f"`at` is {(at - latest_ms) // 1000} s too far ahead")
    return Judgement(event)


def problem(code: str, reason: str) -> str:
    """What is wrong, in words of the contract alone: nothing that the record holds is in it."""
    return without_values(reason, TYPE_OF_NAME) if code == BAD_RECORD else _PROBLEMS.get(code, "")


class TooManyDeadLettersError(Exception):
    """So many records are refused that the worker must not go on: it would divert what somebody should look at first.

    Nothing of the batch that went beyond the limit is committed. To start again without a change would end the same.
    """

    exit_code: ClassVar[int] = 65
    """Of the process (``EX_DATAERR``), for who starts workers anew: not this one, not before somebody has looked."""


class _Seen(NamedTuple):
    records: int
    refused: Mapping[str, int]


class _Window:
    """The last records of one topic, in whole batches: the fewest that are as many as wanted, or all."""

    def __init__(self) -> None:
        self.batches: deque[_Seen] = deque()
        self.records = 0
        self.refused: Counter[str] = Counter()

    def add(self, seen: _Seen, most: int) -> None:
        self.batches.append(seen)
        self.records += seen.records
        self.refused.update(seen.refused)
        while self.records - self.batches[0].records >= most:
            oldest = self.batches.popleft()
            self.records -= oldest.records
            self.refused.subtract(oldest.refused)

    @property
    def share(self) -> float:
        return self.refused.total() / self.records if self.records else 0.0


class DeadLetterLimit:
    """Counts the refused among the last records of each topic, and says when they are too many."""

    def __init__(self, share: float, window_records: int) -> None:
        """``share``: 0 to 1, more than this is too many; of at least ``window_records`` records of a topic."""
        self._share = share
        self._window_records = window_records
        self._windows: dict[str, _Window] = {}

    def start(self, topic: str, records: int, refused: Mapping[str, int]) -> None:
        """Begin with what went before: of the last ``records`` of a topic so many were refused, by code."""
        self._windows[topic] = _Window()
        self._windows[topic].add(_Seen(records, refused), self._window_records)

    def saw(self, topic: str, batch: Sequence[Record], before: Mapping[str, int], after: Mapping[str, int]) -> None:
        """Take in a batch of ``topic``, and how many dead letters there were by code before it and after it.

        Raises :class:`TooManyDeadLettersError` where the share is above the limit; the batch must not be committed.
        """
        refused = {code: number - before.get(code, 0) for code, number in after.items() if number != before.get(code)}
        window = self._windows.setdefault(topic, _Window())
        window.add(_Seen(len(batch), refused), self._window_records)
        if refused and window.records >= self._window_records and window.share > self._share:
            raise TooManyDeadLettersError(self._told(topic, window, batch))

    def shares(self) -> dict[str, float]:
        """Topic to the share of refused records among its last ones, 0 to 1; nothing before the window is full."""
        return {
            topic: window.share for topic, window in self._windows.items() if window.records >= self._window_records
        }

    def _told(self, topic: str, window: _Window, batch: Sequence[Record]) -> str:
        (code, number), *_ = window.refused.most_common(1)
        return (
            f"{topic}: {window.refused.total():,} of the last {window.records:,} records are refused "
            f"({window.share:.1%}), {number:,} of them as {code}{_example(code, batch)}; worker.dead_letter_limit "
            f"allows {self._share:.1%}. The worker stops and does not commit the last {len(batch):,} records: they "
            "will be read again. Where deskpulse is wrong, mend it, and they count. Where their producer is, mend it, "
            "and raise worker.dead_letter_limit (1: no limit) to have them diverted (docs/dead-letters.md)"
        )


def _example(code: str, batch: Sequence[Record]) -> str:
    """The most frequent problem of the batch, and where the first record is that has it."""
    offsets: dict[str, list[int | None]] = {}
    for record in batch:
        judged = judge(record.key(), record.value())
        if judged.code == code:
            offsets.setdefault(problem(code, judged.reason), []).append(record.offset())
    if not offsets:
        return ""
    found, places = max(offsets.items(), key=lambda one: len(one[1]))
    return f" (the record at offset {places[0]}: {found})"
