"""Finds the rows that ClickHouse refuses for what is in them, so that all others get in.

What it refuses is halved until the bad row is alone. It is called bad only beside others that were taken: where a table
takes nothing, or hardly anything, the fault is the table's (or this program's), and then everything waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, NamedTuple, TypeAlias

from schemas.outputs import DEAD_LETTERS
from sinks.clickhouse import ClickHouseSink, InsertFailedError
from sinks.rows import BadOutputError, Message, NewerOutputError, UnknownTopicError, blocks
from sinks.tables import TABLES
from streams.commit import Annotated
from streams.dead_letters import why_and_where

REFUSED: Final = "clickhouse_refused"
UNREADABLE: Final = "unreadable_output"
RefusalCode: TypeAlias = Literal["clickhouse_refused", "unreadable_output"]

_MOST_PARTS: Final = 128
"""Parts of a batch that may be refused at once, while less than half of the rows are in: more are no few bad rows."""

BatchOf: TypeAlias = tuple[str, int, Sequence[Message]]
"""Topic, partition and messages."""


class _Place(NamedTuple):
    topic: str
    partition: int
    message: Message


@dataclass(frozen=True)
class Refused:
    """A record that can't get into its table."""

    topic: str
    partition: int
    message: Message
    code: RefusalCode
    reason: str
    """Without values of the record, but for the names of fields."""

    def __str__(self) -> str:
        return f"{self.code}: {self.topic}[{self.partition}] offset {self.message.offset()}: {self.reason}"

    def dead_letter(self) -> Annotated:
        """The whole record, for the dead letters, with why it is there and where it was."""
        told = why_and_where(self.topic, self.partition, self.message, self.code, self.reason)
        return Annotated(DEAD_LETTERS, self.partition, self.message.key(), self.message.value(), told)


class Writer:
    """Writes records and says which can't be written. Synchronous: run it in a thread."""

    def __init__(self, sink: ClickHouseSink) -> None:
        self._sink = sink

    def write(self, batches: Sequence[BatchOf]) -> list[Refused]:
        """Insert all rows that ClickHouse takes; the records whose rows it can't take are returned.

        Raises :class:`sinks.clickhouse.InsertFailedError` when ClickHouse is away, or refuses so much that the rows
        can't be what is wrong, and :class:`sinks.rows.NewerOutputError`. All of it may then be written again.
        """
        try:
            self._sink.insert_all(batches)
        except NewerOutputError:
            raise
        except (BadOutputError, UnknownTopicError):
            pass
        except InsertFailedError as failed:
            if not failed.of_the_data:
                raise
        else:
            return []
        readable, refused = _sorted_out(batches)
        doubtful: InsertFailedError | None = None
        for table in TABLES:
            try:
                refused += self._written(table, readable)
            except InsertFailedError as failed:
                if not failed.of_the_data:
                    raise
                doubtful = failed
        if doubtful is not None:
            raise doubtful
        return refused

    def _written(self, table: str, batches: Sequence[BatchOf]) -> list[Refused]:
        try:
            self._sink.insert_all(batches, only=table)
        except InsertFailedError as failed:
            if not failed.of_the_data:
                raise
            return self._isolated(table, [place for place in _places(batches) if _has_row(table, place)], failed)
        return []

    def _isolated(self, table: str, places: Sequence[_Place], failed: InsertFailedError) -> list[Refused]:
        took_rows_before = table in self._sink.took_rows
        rows = 0
        alone: list[Refused] = []
        parts = [places]
        while parts:
            smaller: list[Sequence[_Place]] = []
            for part in parts:
                try:
                    rows += self._sink.insert_all(_batches(part), only=table)
                except InsertFailedError as error:
                    if not error.of_the_data:
                        raise
                    if len(part) == 1:
                        alone.append(Refused(*part[0], REFUSED, f"table {table}: {error.reason}"))
                    else:
                        middle = len(part) // 2
                        smaller += [part[:middle], part[middle:]]
            parts = smaller
            if len(parts) > _MOST_PARTS and 2 * rows < len(places):
                break
        if parts or len(alone) > rows:
            if parts or len(places) > 1 or not took_rows_before:
                raise InsertFailedError(
                    table,
                    failed.origins,
                    f"{failed.reason}, for most of {len(places)} records; so it is not taken for a fault of these "
                    "records. Look at the table's constraints and columns",
                    of_the_data=True,
                )
            # One row that came alone: the table took others before, and it is well. The next one has to wait for a row
            # that is taken.
            self._sink.try_without_rows(TABLES[table])
            self._sink.took_rows.discard(table)
        return alone


def _sorted_out(batches: Iterable[BatchOf]) -> tuple[list[BatchOf], list[Refused]]:
    """What can be read, and what can't."""
    readable: list[BatchOf] = []
    unreadable: list[Refused] = []
    for topic, partition, messages in batches:
        if _why_unreadable(topic, partition, messages) is None:
            readable.append((topic, partition, messages))
            continue
        kept = []
        for message in messages:
            reason = _why_unreadable(topic, partition, [message])
            if reason is None:
                kept.append(message)
            else:
                unreadable.append(Refused(topic, partition, message, UNREADABLE, reason))
        readable.append((topic, partition, kept))
    return readable, unreadable


def _why_unreadable(topic: str, partition: int, messages: Sequence[Message]) -> str | None:
    try:
        blocks(topic, partition, messages)
    except NewerOutputError:
        raise
    except BadOutputError as error:
        return error.reason
    except UnknownTopicError as error:
        return str(error)
    return None


def _places(batches: Iterable[BatchOf]) -> list[_Place]:
    return [_Place(topic, partition, message) for topic, partition, messages in batches for message in messages]


def _has_row(table: str, place: _Place) -> bool:
    return any(one.name == table for one, _ in blocks(place.topic, place.partition, [place.message]))


def _batches(places: Iterable[_Place]) -> Iterator[BatchOf]:
    for (topic, partition), of_one in groupby(places, key=lambda place: (place.topic, place.partition)):
        yield topic, partition, [place.message for place in of_one]
