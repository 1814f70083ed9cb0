"""The fresh tables into which a backfill writes, and how they are moved into those that are read.

A fresh table has the structure of the one it is for. When all rows are in it, ``ATTACH PARTITION … FROM`` puts its
parts into the other table in one step: a reader sees none of them or all. Nothing is taken out, so what a sink inserts
meanwhile stays. That the new rows hold is decided like everywhere: a row of a higher ``_offset`` replaces the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from clickhouse_connect.driver.client import Client

from deskpulse.recompute.archive import FILES
from deskpulse.recompute.ticket_rows import Message
from schemas.events import TICKETS as TICKETS_TOPIC
from sinks.rows import Columns, blocks

_PREFIX: Final = "backfill_"
TICKETS: Final = f"{_PREFIX}tickets"
"""The tickets that are looked at."""
MOVED: Final = ("cells_minute", "cells_hour", "sla_events", "ticket_facts")
"""In this order; each in one step."""


class AtWorkError(RuntimeError):
    """Another backfill is at work, or was cut off; says what to do."""


class Fresh:
    """The tables of one backfill."""

    def __init__(self, client: Client, database: str, now_ms: int) -> None:
        self.rows = dict.fromkeys(MOVED, 0)
        """How many rows each holds."""
        self._client = client
        self._database = database
        self._now_ms = now_ms

    def choose(self, ticket_ids: Sequence[str]) -> None:
        """Have some tickets looked at."""
        if ticket_ids:
            self._client.insert(TICKETS, [ticket_ids], ["ticket_id"], database=self._database, column_oriented=True)

    def put(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        """Write rows: those that the sink would make of records of ``topic``, whose offsets are their versions."""
        for table, columns in blocks(topic, partition, messages):
            names, types = table.insert_columns
            count = len(columns[0])
            self._insert(
                f"{_PREFIX}{table.name}",
                [*columns, [self._now_ms] * count],
                [*names, "_backfilled_at"],
                [*types, "Nullable(DateTime64(3, 'UTC'))"],
            )
            self.rows[table.name] += count

    def archive(self, partition: int, messages: Sequence[Message]) -> None:
        """Add events to the archive, as those of files."""
        for table, columns in blocks(TICKETS_TOPIC, partition, messages):
            names, types = table.insert_columns
            columns[names.index("_topic")] = [FILES] * len(columns[0])
            self._insert(table.name, columns, names, types)

    def _insert(self, table: str, columns: Columns, names: list[str], types: list[str]) -> None:
        self._client.insert(
            table,
            columns,
            column_names=names,
            column_type_names=types,
            database=self._database,
            column_oriented=True,
        )

    def move(self) -> None:
        """Move all rows into the tables that are read. After a failure on the way a repetition moves the rest."""
        for table in MOVED:
            if self.rows[table]:
                self._client.command(f"ALTER TABLE {table} ATTACH PARTITION tuple() FROM {_PREFIX}{table}")


@contextmanager
def fresh(client: Client, database: str, now_ms: int, *, discard: bool) -> Iterator[Fresh]:
    """Make the tables, and drop them afterwards. One backfill at a time has them: they are its lock.

    ``now_ms`` is what the rows are marked with. ``discard``: what a backfill left that was cut off is dropped first.
    Raises :class:`AtWorkError`.
    """
    left = client.query(
        "SELECT name, metadata_modification_time FROM system.tables "
        "WHERE database = {database:String} AND startsWith(name, {prefix:String})",
        parameters={"database": database, "prefix": _PREFIX},
    ).result_rows
    if left and not discard:
        raise AtWorkError(
            f"{database}.{left[0][0]} is there since {left[0][1]}: another backfill is at work, or was cut off; "
            "in the second case begin again with --discard"
        )
    for name, _ in left:
        client.command(f"DROP TABLE IF EXISTS {name} SYNC")
    made: list[str] = []
    try:
        client.command(f"CREATE TABLE {TICKETS} (ticket_id String) ENGINE = MergeTree ORDER BY ticket_id")
        made.append(TICKETS)
        for table in MOVED:
            client.command(f"CREATE TABLE {_PREFIX}{table} AS {table}")
            made.append(f"{_PREFIX}{table}")
        yield Fresh(client, database, now_ms)
    finally:
        for name in made:
            client.command(f"DROP TABLE IF EXISTS {name} SYNC")
