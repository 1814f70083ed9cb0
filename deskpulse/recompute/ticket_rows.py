"""The rows of tickets: as they lie in ClickHouse, and as the sink would make them of recomputed facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from schemas import outputs
from schemas.events import at_ms
from schemas.outputs import TicketFacts
from sinks.rows import blocks
from sinks.tables import TABLES, Column
from streams.published import encode

_TABLE: Final = TABLES["ticket_facts"]
_COLUMNS: Final = (*_TABLE.identity, *_TABLE.columns)
_TICKETS_AT_ONCE: Final = 5_000


def _selected(column: Column) -> str:
    return f"toUnixTimestamp64Milli({column.name})" if "DateTime64" in column.type[:20] else column.name


# The SQL is made of this program's own constants.
_FACTS: Final = f"""\
SELECT {", ".join(map(_selected, _COLUMNS))}, _partition, _offset, toUnixTimestamp64Milli(_backfilled_at)
FROM ticket_facts FINAL
WHERE ticket_id > {{after:String}} AND {{chosen}} ORDER BY ticket_id LIMIT {{most:UInt64}}"""  # noqa: S608
_SLA: Final = """\
SELECT ticket_id, target, instance, kind, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(at)
FROM sla_log WHERE ticket_id > {after:String} AND ({open:Bool} OR ticket_id <= {upto:String})"""

Row = dict[str, Any]
SlaKey = tuple[str, int, int, str]
"""Target, start, number of the instance and kind."""
SlaRows = dict[str, dict[SlaKey, int]]
"""Ticket to what holds of it, and when it became so."""


class Message(NamedTuple):
    """A record as the sink would read it."""

    held: bytes
    of: bytes
    at_offset: int = 0
    produced_ms: int = 0

    def value(self) -> bytes:
        """The record's value."""
        return self.held

    def key(self) -> bytes:
        """The record's key."""
        return self.of

    def offset(self) -> int:
        """Its place."""
        return self.at_offset

    def timestamp(self) -> tuple[int, int]:
        """When it was made."""
        return 0, self.produced_ms


class Chunk(NamedTuple):
    """The rows of the tickets that come after one and up to another, in their order."""

    upto: str | None
    """The last of them; None where no more follow."""
    rows: dict[str, Row]
    """By ticket: the columns, ``_partition``, ``_offset`` and ``_backfilled_at``; instants in milliseconds."""
    sla: SlaRows


def chunks(client: Client, only: str = "") -> Iterator[Chunk]:
    """All tickets' rows; of those alone that the table ``only`` names, where it is given."""
    after = ""
    names = [column.name for column in _COLUMNS] + ["_partition", "_offset", "_backfilled_at"]
    chosen = f"ticket_id IN {only}" if only else "true"
    while True:
        query = _FACTS.replace("{chosen}", chosen)
        found = client.query(query, parameters={"after": after, "most": _TICKETS_AT_ONCE}).result_rows
        rows = {row[0]: dict(zip(names, row, strict=True)) for row in found}
        upto = found[-1][0] if len(found) == _TICKETS_AT_ONCE else None
        yield Chunk(upto, rows, _sla_rows(client, after, upto, chosen))
        if upto is None:
            return
        after = upto


def _sla_rows(client: Client, after: str, upto: str | None, chosen: str) -> SlaRows:
    rows: SlaRows = {}
    parameters = {"after": after, "open": upto is None, "upto": upto or ""}
    query = f"{_SLA} AND {chosen}"
    for ticket_id, target, instance, kind, started_at, at in client.query(query, parameters=parameters).result_rows:
        rows.setdefault(ticket_id, {})[target, started_at, instance, kind] = at
    return rows


def as_rows(records: Mapping[str, TicketFacts]) -> dict[str, Row]:
    """The columns that the sink would make of the facts of tickets, by ticket, to be compared with :func:`plain`."""
    messages = [Message(encode(record), ticket_id.encode()) for ticket_id, record in records.items()]
    rows: dict[str, Row] = {ticket_id: {} for ticket_id in records}
    for table, columns in blocks(outputs.FACTS, 0, messages):
        given = dict(zip(table.insert_columns[0], columns, strict=True))
        for column in _COLUMNS:
            for row, value in zip(rows.values(), given[column.name], strict=True):
                row[column.name] = plain(value)
    return rows


def plain(value: Any) -> Any:
    """The same, however ClickHouse's client puts it: instants in milliseconds, tuples by place."""
    if isinstance(value, datetime):
        return at_ms(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, list):
        return [tuple(map(plain, one.values() if isinstance(one, dict) else one)) for one in value]
    return value
