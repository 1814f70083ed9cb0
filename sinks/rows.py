"""Turns Kafka records into columns of the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import astuple, fields

from schemas import events
from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.outputs import ATTRIBUTES, CELLS, FACTS, SLA_EVENTS, Cell, NextReply, SlaEvent, TicketFacts
from sinks.tables import MEASURE_COLUMNS, TABLES, Table
from streams import buckets, measures
from streams.pseudonyms import Pseudonyms

Columns: TypeAlias = list[Sequence[Any]]
"""The values for each name of ``Table.insert_columns``."""
_NONE: Final[dict[Any, Any]] = {}
"""The empty map of all rows that have none; a map of its own for each would be most of the work."""


class Message(Protocol):
    """What is read of a Kafka record; ``confluent_kafka.Message`` fits."""

    def value(self) -> bytes | None:
        """The record's value."""
        ...

    def key(self) -> bytes | None:
        """The record's key."""
        ...

    def offset(self) -> int:
        """Its offset in its partition."""
        ...

    def timestamp(self) -> tuple[int, int]:
        """Kind of timestamp, and the timestamp in milliseconds since 1970."""
        ...


class UnknownTopicError(ValueError):
    """A topic that has no table."""


class BadOutputError(ValueError):
    """A record of an output topic that can't be read: written by another program or another version."""

    def __init__(self, topic: str, partition: int, offset: int, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{topic} partition {partition} offset {offset}: {reason}")


class NewerOutputError(BadOutputError):
    """A record that a newer worker wrote: there is nothing wrong with it, and a newer sink can read it."""


def blocks(
    topic: str, partition: int, messages: Sequence[Message], pseudonyms: Pseudonyms | None = None
) -> list[tuple[Table, Columns]]:
    """The tables that messages of one partition go to, with their columns; all of a table have equal length.

    ``pseudonyms``: replaces persons' ids in the archive, and leaves out every field that the contract does not know.

    Raises :class:`UnknownTopicError` and :class:`BadOutputError`.
    """
    build = partial(_event_blocks, pseudonyms) if topic in events.INPUT_TOPICS else _BUILDERS.get(topic)
    if build is None:
        raise UnknownTopicError(f"topic {topic!r} has no table; expected one of {', '.join(SINK_TOPICS)}")
    return [(table, columns) for table, columns in build(topic, partition, messages) if columns[0]]


def _newest(messages: Iterable[Message]) -> list[Message]:
    """The last message of each key: the others would be replaced by it anyhow. Those without a value say nothing."""
    by_key: dict[bytes | int, Message] = {}
    for message in messages:
        if message.value() is not None:
            key = message.key()
            by_key[message.offset() if key is None else key] = message
    return list(by_key.values())


def _decoded(decoder: msgspec.json.Decoder[Any], topic: str, partition: int, messages: Sequence[Message]) -> list[Any]:
    rows = []
    decode = decoder.decode
    for message in messages:
        try:
            rows.append(decode(message.value() or b""))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadOutputError(topic, partition, message.offset(), str(error)) from None
    return rows


def _provenance(partition: int, messages: Sequence[Message]) -> dict[str, Sequence[Any]]:
    return {
        "_partition": [partition] * len(messages),
        "_offset": [message.offset() for message in messages],
        "_produced_at": [max(0, message.timestamp()[1]) for message in messages],
    }


def _in_order(table: Table, given: Mapping[str, Sequence[Any]]) -> Columns:
    return [given[name] for name in table.insert_columns[0]]


def _maps(values: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    return [value or _NONE for value in values]


def _tuples(values: Sequence[list[Struct] | None]) -> list[list[tuple[Any, ...]]]:
    return [[_whole(one) for one in value] if value else [] for value in values]


def _whole(one: Struct) -> tuple[Any, ...]:
    if isinstance(one, NextReply):
        business = one.seconds if one.business_seconds is None else one.business_seconds
        return one.started_at_ms, one.ended_at_ms, one.seconds, business, one.ended_by
    return astuple(one)


_BUSINESS: Final = "business_seconds"


class _OfStructs:
    """Builds the columns of a table whose columns are a struct's fields.

    A duration within opening hours that the record leaves out is the elapsed one: the row says so.
    """

    def __init__(self, struct: type[Struct], table: Table) -> None:
        self._table = table
        self._decoder = msgspec.json.Decoder(struct)
        self._names = [field.name.removesuffix("_ms") for field in fields(struct)]
        type_of = dict(zip(*table.insert_columns, strict=True))
        self._maps = [name for name in self._names if type_of[name].startswith("Map")]
        self._arrays = [name for name in self._names if type_of[name].startswith("Array")]
        self._elapsed = {name: name.replace(_BUSINESS, "seconds") for name in self._names if name.endswith(_BUSINESS)}

    def __call__(self, topic: str, partition: int, messages: Sequence[Message]) -> list[tuple[Table, Columns]]:
        rows = _decoded(self._decoder, topic, partition, messages)
        if not rows:
            return []
        given: dict[str, Sequence[Any]] = dict(zip(self._names, zip(*map(astuple, rows), strict=True), strict=True))
        for business, elapsed in self._elapsed.items():
            pairs = zip(given[business], given[elapsed], strict=True)
            given[business] = [seconds if within is None else within for within, seconds in pairs]
        given |= {name: _maps(given[name]) for name in self._maps}
        given |= {name: _tuples(given[name]) for name in self._arrays}
        return [(self._table, _in_order(self._table, given | _provenance(partition, messages)))]


_facts: Final = _OfStructs(TicketFacts, TABLES["ticket_facts"])


def _facts_blocks(topic: str, partition: int, messages: Sequence[Message]) -> list[tuple[Table, Columns]]:
    return _facts(topic, partition, _newest(messages))


_sla_events: Final = _OfStructs(SlaEvent, TABLES["sla_events"])


def _sla_blocks(topic: str, partition: int, messages: Sequence[Message]) -> list[tuple[Table, Columns]]:
    return _sla_events(topic, partition, [message for message in messages if message.value() is not None])


_CELL_TABLES: Final = {name: TABLES[f"cells_{name}"] for name in ("minute", "hour")}
_cell_decoder: Final = msgspec.json.Decoder(Cell)
_PLACE_OF: Final[dict[str, tuple[str, int | None]]] = (
    {name: (name, None) for name in measures.COUNTS}
    | {f"{name}_ms": (f"{name}_ms", None) for name in measures.DURATIONS}
    | {f"{name}_b{b}": (f"{name}_buckets", b) for name in measures.DURATIONS for b in range(buckets.COUNT)}
)
"""Measure to its column, and to its key there where the column is a map."""


def _cell_blocks(topic: str, partition: int, messages: Sequence[Message]) -> list[tuple[Table, Columns]]:
    newest = _newest(messages)
    by_resolution: dict[str, list[tuple[Message, Cell]]] = {name: [] for name in _CELL_TABLES}
    for message, cell in zip(newest, _decoded(_cell_decoder, topic, partition, newest), strict=True):
        found = by_resolution.get(cell.resolution)
        if found is None:
            known = " or ".join(_CELL_TABLES)
            raise BadOutputError(
                topic, partition, message.offset(), f"`resolution` {cell.resolution!r}; expected {known}"
            )
        found.append((message, cell))
    return [
        (_CELL_TABLES[resolution], _cell_columns(_CELL_TABLES[resolution], topic, partition, found))
        for resolution, found in by_resolution.items()
    ]


def _cell_columns(table: Table, topic: str, partition: int, found: list[tuple[Message, Cell]]) -> Columns:
    cells = [cell for _, cell in found]
    measured: dict[str, list[Any]] = {
        column.name: [_NONE if column.type.startswith("Map") else 0] * len(cells) for column in MEASURE_COLUMNS
    }
    for row, cell in enumerate(cells):
        try:
            for name, n in cell.measures.items():
                column, bucket = _PLACE_OF[name]
                if bucket is None:
                    measured[column][row] = n
                elif (held := measured[column])[row] is _NONE:
                    held[row] = {bucket: n}
                else:
                    held[row][bucket] = n
        except KeyError as unknown:
            reason = f"measure {unknown} is unknown; this sink is older than the worker that wrote it"
            raise NewerOutputError(topic, partition, found[row][0].offset(), reason) from None
    given: dict[str, Sequence[Any]] = {
        "pane_at": [cell.pane_at_ms for cell in cells],
        "as_of": [cell.as_of_ms for cell in cells],
    }
    for attribute in ATTRIBUTES:
        given[attribute] = [cell.dimensions.get(attribute, "") for cell in cells]
    return _in_order(table, given | measured | _provenance(partition, [message for message, _ in found]))


def _event_blocks(
    pseudonyms: Pseudonyms | None, topic: str, partition: int, messages: Sequence[Message]
) -> list[tuple[Table, Columns]]:
    table = TABLES["events"]
    accepted: list[Message] = []
    found: list[events.AnyEvent] = []
    for message in messages:
        try:
            event = events.decode(message.value())
        except (BadRecordError, UnknownTypeError):
            continue  # The first lies among the dead letters, the second is of another contract.
        accepted.append(message)
        found.append(event)
    given: dict[str, Sequence[Any]] = {
        "_topic": [topic] * len(found),
        "_key": [(message.key() or b"").decode(errors="replace") for message in accepted],
        "id": [event.id for event in found],
        "type": [event.__struct_config__.tag for event in found],
        "ticket_id": [event.ticket_id for event in found],
        "at": [events.at_ms(event.at) for event in found],
        "value": [(message.value() or b"").decode() for message in accepted]
        if pseudonyms is None
        else [msgspec.json.encode(pseudonyms.hide(event)).decode() for event in found],
    }
    return [(table, _in_order(table, given | _provenance(partition, accepted)))]


_BUILDERS: Final[dict[str, Callable[[str, int, Sequence[Message]], list[tuple[Table, Columns]]]]] = {
    FACTS: _facts_blocks,
    CELLS: _cell_blocks,
    SLA_EVENTS: _sla_blocks,
}
SINK_TOPICS: Final = (*_BUILDERS, *events.INPUT_TOPICS)
"""The topics that have a table."""
