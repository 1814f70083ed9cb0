"""ClickHouse's side: which tickets name the customer, deleting their rows, counting what is left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from deskpulse.forget.person import Person

_TABLES: Final = """\
SELECT table, groupArray(name) FROM system.columns
WHERE database = {database:String} AND table IN (
    SELECT name FROM system.tables WHERE database = {database:String} AND engine LIKE '%MergeTree'
)
GROUP BY table HAVING has(groupArray(name), 'ticket_id') ORDER BY table"""
_NAMED: Final = """\
multiSearchAny(value, {quoted:Array(String)}) OR JSONExtractString(value, 'customer_id') IN {ids:Array(String)}
OR JSONExtractString(value, 'author_id') IN {ids:Array(String)}"""
_BYTES_AT_ONCE: Final = 100_000
"""Ids in one statement: parameters go with a request's address, which has a limit."""


class Tables:
    """The tables of one database that tell of tickets, whatever they are called: those that a backfill has put aside,
    too. Raises ClickHouse's errors."""

    def __init__(self, client: Client, database: str, person: Person) -> None:
        self._client = client
        self._person = person
        found = client.query(_TABLES, parameters={"database": database}).result_rows
        self._columns = {str(table): {str(name) for name in names} for table, names in found}

    def find(self) -> set[str]:
        """The tickets whose facts or events name the customer, in any version of their rows."""
        return {ticket_id for table in self._columns for ticket_id in self._named_in(table)}

    def _named_in(self, table: str) -> Iterator[str]:
        columns = self._columns[table]
        ids = sorted(self._person.ids)
        name = quote_identifier(table)
        if "customer_id" in columns:
            query = f"SELECT DISTINCT ticket_id FROM {name} WHERE customer_id IN {{ids:Array(String)}}"  # noqa: S608
            yield from (row[0] for row in self._client.query(query, parameters={"ids": ids}).result_rows)
        if "value" in columns:
            quoted = [msgspec.json.encode(one).decode() for one in ids]
            query = f"SELECT ticket_id, value FROM {name} WHERE {_NAMED}"  # noqa: S608
            rows = self._client.query(query, parameters={"ids": ids, "quoted": quoted}).result_rows
            yield from (ticket_id for ticket_id, value in rows if self._person.in_event(value.encode()))

    def delete(self, tickets: Sequence[str]) -> dict[str, int]:
        """Delete all rows of tickets but the stubs of their erasures, and wait until they are gone; how many of each
        table. The tables by which tickets are found come last, so that what is broken off can be done again."""
        deleted: dict[str, int] = {}
        for table in sorted(self._columns, key=lambda one: ("value" in self._columns[one], one)):
            deleted[table] = self._count_in(table, tickets)
            if deleted[table]:
                for some in _parts(tickets):
                    statement = (
                        f"ALTER TABLE {quote_identifier(table)} DELETE WHERE {self._of_tickets(table)} "
                        "SETTINGS mutations_sync = 2"
                    )
                    self._client.command(statement, parameters={"tickets": some})
        return deleted

    def count(self, tickets: Sequence[str]) -> dict[str, int]:
        """How many rows that should not be there each table has of tickets; only tables that have any."""
        counts = {table: self._count_in(table, tickets) for table in self._columns}
        return {table: rows for table, rows in counts.items() if rows}

    def _count_in(self, table: str, tickets: Sequence[str]) -> int:
        query = f"SELECT count() FROM {quote_identifier(table)} WHERE {self._of_tickets(table)}"  # noqa: S608
        return sum(int(self._one(query, {"tickets": some})) for some in _parts(tickets))

    def _of_tickets(self, table: str) -> str:
        columns = self._columns[table]
        stub = "false"
        if "value" in columns:
            stub = "type = 'ticket.deleted' AND JSONExtractBool(value, 'erase')"
        elif "deleted" in columns:
            stub = "deleted"
        return f"ticket_id IN {{tickets:Array(String)}} AND NOT ({stub})"

    def _one(self, query: str, parameters: dict[str, Any]) -> Any:
        return self._client.query(query, parameters=parameters).result_rows[0][0]


def _parts(tickets: Iterable[str]) -> Iterator[list[str]]:
    part: list[str] = []
    size = 0
    for ticket_id in tickets:
        part.append(ticket_id)
        size += 3 * len(ticket_id.encode())
        if size > _BYTES_AT_ONCE:
            yield part
            part, size = [], 0
    if part:
        yield part
