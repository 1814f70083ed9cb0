"""Facts and SLA events of ClickHouse, ticket by ticket, beside what they are to be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.verify.archive import Kept
from deskpulse.verify.differences import FACTS, SLA, Differences, instant
from deskpulse.verify.expected import Expected, Ticket
from deskpulse.verify.looks import Look
from schemas import outputs
from schemas.events import at_ms
from sinks.rows import blocks
from sinks.tables import TABLES, Column
from streams.published import encode

_TABLE: Final = TABLES["ticket_facts"]
_COLUMNS: Final = (*_TABLE.identity, *_TABLE.columns)
_TICKETS_AT_ONCE: Final = 5_000


class Compared(NamedTuple):
    """How much was compared."""

    facts: int
    sla_events: int
    moved: int
    """Tickets that the system worked on after the look: left out."""
    unknown: int
    """Tickets of which rows have left the tables: left out."""


def _selected(column: Column) -> str:
    return f"toUnixTimestamp64Milli({column.name})" if "DateTime64" in column.type[:20] else column.name


# The SQL is made of this program's own constants.
_FACTS: Final = f"""\
SELECT {", ".join(map(_selected, _COLUMNS))}, _partition, _offset FROM ticket_facts FINAL
WHERE ticket_id > {{after:String}} ORDER BY ticket_id LIMIT {{most:UInt64}}"""  # noqa: S608
_SLA: Final = """\
SELECT ticket_id, target, instance, kind, toUnixTimestamp64Milli(started_at), toUnixTimestamp64Milli(at)
FROM sla_log WHERE ticket_id > {after:String} AND ({open:Bool} OR ticket_id <= {upto:String})"""

Row = dict[str, Any]
SlaRows = dict[str, dict[tuple[str, int, int, str], int]]
"""Ticket to target, start, number of the instance and kind, to when it became so."""


class _Message(NamedTuple):
    """A record as the sink would read it."""

    held: bytes
    of: bytes

    def value(self) -> bytes:
        return self.held

    def key(self) -> bytes:
        return self.of

    def offset(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 0, 0


def compare(
    client: Client,
    tickets: Mapping[str, Kept],
    expected: Expected,
    look: Look,
    lossy: bool,
    differences: Differences,
    on_progress: Callable[[int, int], None],
) -> Compared:
    """Compare every ticket, and count each in ``expected``'s cells on the way.

    ``lossy``: rows have left the tables since, so a ticket of which there are fewer than there were is left out.
    """
    one = _Comparison(expected, look, lossy, differences)
    ids = sorted(tickets)
    place = 0
    for after, upto, rows in _chunks(client):
        end = place
        while end < len(ids) and (upto is None or ids[end] <= upto):
            end += 1
        one.chunk(ids[place:end], rows, _sla_rows(client, after, upto))
        place = end
        on_progress(place, len(ids))
    return Compared(one.facts, one.sla_events, one.moved, one.unknown)


def _chunks(client: Client) -> Iterator[tuple[str, str | None, dict[str, Row]]]:
    """Rows in order of ticket: those after a ticket, up to another; None after the last."""
    after = ""
    names = [column.name for column in _COLUMNS] + ["_partition", "_offset"]
    while True:
        found = client.query(_FACTS, parameters={"after": after, "most": _TICKETS_AT_ONCE}).result_rows
        rows = {row[0]: dict(zip(names, row, strict=True)) for row in found}
        upto = found[-1][0] if len(found) == _TICKETS_AT_ONCE else None
        yield after, upto, rows
        if upto is None:
            return
        after = upto


def _sla_rows(client: Client, after: str, upto: str | None) -> SlaRows:
    rows: SlaRows = {}
    parameters = {"after": after, "open": upto is None, "upto": upto or ""}
    for ticket_id, target, instance, kind, started_at, at in client.query(_SLA, parameters=parameters).result_rows:
        rows.setdefault(ticket_id, {})[target, started_at, instance, kind] = at
    return rows


class _Comparison:
    def __init__(self, expected: Expected, look: Look, lossy: bool, differences: Differences) -> None:
        self.facts = self.sla_events = self.moved = self.unknown = 0
        self._expected = expected
        self._look = look
        self._lossy = lossy
        self._differences = differences

    def chunk(self, ids: Sequence[str], rows: dict[str, Row], sla: SlaRows) -> None:
        found: dict[str, Ticket] = {}
        for ticket_id in ids:
            row = rows.get(ticket_id)
            found[ticket_id] = self._expected.ticket(ticket_id, None if row is None else row["as_of"])
        wanted = _as_rows(found)
        for ticket_id in sorted(found.keys() | rows.keys()):
            ticket, row = found.get(ticket_id), rows.get(ticket_id)
            if row is not None and self._has_moved(row):
                self.moved += 1
            elif self._lossy and (row is None or row["events"] > (ticket.record.events if ticket else 0)):
                self.unknown += 1
            else:
                self._facts_of(ticket_id, ticket, wanted.get(ticket_id), row)
                self._sla_of(ticket_id, ticket, sla.get(ticket_id, {}))
        for ticket_id in sorted(sla.keys() - found.keys() - rows.keys()):
            self._sla_of(ticket_id, None, sla[ticket_id])

    def _has_moved(self, row: Row) -> bool:
        end = self._look.end_of(outputs.FACTS, row["_partition"])
        return end is not None and bool(row["_offset"] >= end)

    def _facts_of(self, ticket_id: str, ticket: Ticket | None, wanted: Row | None, row: Row | None) -> None:
        where = f"ticket {ticket_id}"
        differ = self._differences.add
        self.facts += row is not None
        if ticket is None or wanted is None:
            differ(FACTS, where, "events", "none in the archive", row and row["events"])
        elif row is None:
            differ(FACTS, where, "events", wanted["events"], None)
        else:
            for name, value in wanted.items():
                if (there := _plain(row[name])) != value:
                    differ(FACTS, where, name, value, there)
            if ticket.overdue_ms is not None:
                differ(FACTS, where, "as_of", f"at least {instant(ticket.overdue_ms)}", instant(row["as_of"]))

    def _sla_of(self, ticket_id: str, ticket: Ticket | None, found: dict[tuple[str, int, int, str], int]) -> None:
        self.sla_events += len(found)
        events = [] if ticket is None else ticket.sla
        wanted = {(event.target, event.started_at_ms, event.instance, event.kind): event.at_ms for event in events}
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                target, started_at, number, kind = key
                name = f"{target} {kind}, instance {number} from {instant(started_at)}"
                told = [None if at is None else instant(at) for at in (wanted.get(key), found.get(key))]
                self._differences.add(SLA, f"ticket {ticket_id}", name, *told)


def _as_rows(tickets: Mapping[str, Ticket]) -> dict[str, Row]:
    """The rows that the sink would make of the tickets' facts."""
    messages = [_Message(encode(ticket.record), ticket_id.encode()) for ticket_id, ticket in tickets.items()]
    rows: dict[str, Row] = {ticket_id: {} for ticket_id in tickets}
    for table, columns in blocks(outputs.FACTS, 0, messages):
        given = dict(zip(table.insert_columns[0], columns, strict=True))
        for column in _COLUMNS:
            for row, value in zip(rows.values(), given[column.name], strict=True):
                row[column.name] = _plain(value)
    return rows


def _plain(value: Any) -> Any:
    """The same, however ClickHouse's client puts it: instants in milliseconds, tuples by place."""
    if isinstance(value, datetime):
        return at_ms(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, list):
        return [tuple(map(_plain, one.values() if isinstance(one, dict) else one)) for one in value]
    return value
