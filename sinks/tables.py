"""The tables of ClickHouse: their columns follow from the contracts of ``schemas.outputs`` and ``streams.measures``.

The numbered migrations make each table with its identity and its provenance, which never change; every other column
is listed here and added where it is missing (``sinks.migrations``), so a new fact or measure needs no migration.
"""

from __future__ import annotations

import types
import typing
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import fields

from schemas.outputs import ATTRIBUTES, SlaEvent, TicketFacts
from streams import measures

INSTANT: Final = "DateTime64(3, 'UTC')"
WORD: Final = "LowCardinality(String)"
"""A string of a small set."""
_WORDS: Final = frozenset((*ATTRIBUTES, "status", "kind", "target", "policy", "withdraws"))
BUCKETS: Final = "Map(UInt16, Int64)"
"""Bucket of ``streams.buckets`` to how many durations it holds."""


@dataclass(frozen=True)
class Column:
    """One column; instants are inserted as whole milliseconds."""

    name: str
    type: str

    @property
    def zero(self) -> str:
        """The column's empty value, as SQL."""
        return f"CAST(map(), '{self.type}')" if self.type.startswith("Map") else "0"


@dataclass(frozen=True)
class Table:
    """One table. Rows of equal ``identity`` are one row: that of the highest ``_offset``."""

    name: str
    holds: str
    identity: tuple[Column, ...]
    provenance: tuple[Column, ...]
    columns: tuple[Column, ...]
    """Columns beside identity and provenance, added by ``migrate`` where they are missing."""
    expires_by: str
    """The instant from which the retention counts."""

    @cached_property
    def insert_columns(self) -> tuple[list[str], list[str]]:
        """Names and types of what an insert gives, in its order: identity, columns, provenance."""
        given = {column.name: column for column in (*self.identity, *self.columns, *self.provenance)}
        return list(given), [column.type for column in given.values()]


def column_type(annotation: Any, name: str) -> str:
    """The ClickHouse type of a struct's field. Raises ``TypeError`` for a type that has none yet."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        found = column_type(inner, name)
        # Maps and arrays can't be Nullable in ClickHouse, and empty says it as well.
        return found if typing.get_origin(inner) is not None else f"Nullable({found})"
    if origin is dict:
        return f"Map({WORD}, {column_type(arguments[1], '')})"
    if origin is list and issubclass(arguments[0], Struct):
        return f"Array(Tuple({', '.join(f'{c.name} {c.type}' for c in struct_columns(arguments[0]))}))"
    if annotation is int and name.endswith("_ms"):
        return INSTANT
    if annotation is str and name in _WORDS:
        return WORD
    plain = {int: "Int64", float: "Float64", bool: "Bool", str: "String"}.get(annotation)
    if plain is None:
        raise TypeError(f"field {name!r}: {annotation} has no column type; add one to sinks/tables.py")
    return plain


def struct_columns(struct: type[Struct]) -> tuple[Column, ...]:
    """One column per field of a struct; instants lose their ``_ms``."""
    hints = typing.get_type_hints(struct)
    return tuple(
        Column(field.name.removesuffix("_ms"), column_type(hints[field.name], field.name)) for field in fields(struct)
    )


def _of_record(*identity: str) -> tuple[Column, ...]:
    all_of_them = (
        Column("_partition", "Int32"),
        Column("_offset", "UInt64"),
        Column("_produced_at", INSTANT),
    )
    return tuple(column for column in all_of_them if column.name not in identity)


def _split(columns: tuple[Column, ...], identity: tuple[str, ...]) -> tuple[tuple[Column, ...], tuple[Column, ...]]:
    by_name = {column.name: column for column in columns}
    return (
        tuple(by_name[name] for name in identity),
        tuple(column for column in columns if column.name not in identity),
    )


COUNT_COLUMNS: Final = tuple(Column(name, "Int64") for name in measures.COUNTS)
SUM_COLUMNS: Final = tuple(Column(f"{name}_ms", "Int64") for name in measures.DURATIONS)
BUCKET_COLUMNS: Final = tuple(Column(f"{name}_buckets", BUCKETS) for name in measures.DURATIONS)
MEASURE_COLUMNS: Final = (*COUNT_COLUMNS, *SUM_COLUMNS, *BUCKET_COLUMNS)


def _cells(resolution: str) -> Table:
    return Table(
        name=f"cells_{resolution}",
        holds=f"what was counted in each {resolution}, by all dimensions; each Kafka partition keeps cells of its own",
        identity=(
            Column("pane_at", INSTANT),
            *(Column(name, WORD) for name in ATTRIBUTES),
            Column("_partition", "Int32"),
        ),
        provenance=_of_record("_partition"),
        columns=(Column("as_of", INSTANT), *MEASURE_COLUMNS),
        expires_by="pane_at",
    )


_FACTS_IDENTITY, _FACTS_COLUMNS = _split(struct_columns(TicketFacts), ("ticket_id",))
_SLA_IDENTITY, _SLA_COLUMNS = _split(
    struct_columns(SlaEvent), ("ticket_id", "target", "started_at", "instance", "kind", "withdraws")
)

TABLES: Final[dict[str, Table]] = {
    table.name: table
    for table in (
        Table(
            name="ticket_facts",
            holds="the facts of each ticket, as of its last event",
            identity=_FACTS_IDENTITY,
            provenance=_of_record(),
            columns=_FACTS_COLUMNS,
            # Not `as_of`: an older row must not outlive a newer one, and only the record's time grows with the offset.
            expires_by="_produced_at",
        ),
        _cells("minute"),
        _cells("hour"),
        Table(
            name="sla_events",
            holds="what happened to the service-level targets of tickets, and what of it was withdrawn",
            identity=_SLA_IDENTITY,
            provenance=_of_record(),
            columns=_SLA_COLUMNS,
            # Not `at`: what was withdrawn must not outlive its retraction, nor an older row a newer one.
            expires_by="_produced_at",
        ),
        Table(
            name="events",
            holds="every accepted record of the input topics, whole, duplicates included",
            identity=(Column("_topic", WORD), Column("_partition", "Int32"), Column("_offset", "UInt64")),
            provenance=_of_record("_partition", "_offset"),
            columns=(
                Column("_key", "String"),
                Column("id", "String"),
                Column("type", WORD),
                Column("ticket_id", "String"),
                Column("at", INSTANT),
                Column("value", "String"),
            ),
            expires_by="_produced_at",
        ),
    )
}


def columns_sql() -> str:
    """The generated columns as SQL, for people to read: ``deploy/clickhouse/columns.sql``."""
    parts = [
        "-- Generated by `deskpulse generate` from sinks/tables.py: what `deskpulse migrate` adds where missing.\n"
    ]
    for table in TABLES.values():
        lines = [f"    ADD COLUMN IF NOT EXISTS {column.name} {column.type}" for column in table.columns]
        parts.append(f"-- {table.name}: {table.holds}.\nALTER TABLE {table.name}\n" + ",\n".join(lines) + ";\n")
    return "\n".join(parts)
