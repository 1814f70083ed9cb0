"""Brings a database up to date: numbered migrations, generated columns and views, retention."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from datetime import timedelta
from importlib.resources import files
from typing import Final

from clickhouse_connect.driver.binding import quote_identifier
from clickhouse_connect.driver.client import Client

from sinks.clickhouse import has_database
from sinks.tables import TABLES, Table
from sinks.views import VIEWS

_FILE_NAME: Final = re.compile(r"(\d{4})_(\w+)\.sql")
_LOG: Final = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version UInt32, name String, sha256 String, applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
) ENGINE = ReplacingMergeTree(applied_at) ORDER BY version
"""


class MigrationRefusedError(RuntimeError):
    """The database and this program do not fit; says where and what would be right."""


@dataclass(frozen=True)
class Retention:
    """How long the rows of each table are kept; None for ever. Whole days count, a part of one as one."""

    events: timedelta | None = None
    facts: timedelta | None = None
    minute_cells: timedelta | None = None
    hour_cells: timedelta | None = None
    sla_events: timedelta | None = None

    def __post_init__(self) -> None:
        # The windows up to a day read minutes, the longer ones hours; a pane that is gone would be missing silently.
        for name, least in (("minute_cells", timedelta(days=1)), ("hour_cells", timedelta(days=30))):
            kept: timedelta | None = getattr(self, name)
            if kept is not None and kept <= least:
                raise ValueError(f"retention of {name} is {kept}; expected more than {least}, the longest window there")
        for field in fields(self):
            kept = getattr(self, field.name)
            if kept is not None and kept <= timedelta(0):
                raise ValueError(f"retention of {field.name} is {kept}; expected more than nothing")


_RETENTION_OF: Final = {
    "events": "events",
    "ticket_facts": "facts",
    "cells_minute": "minute_cells",
    "cells_hour": "hour_cells",
    "sla_events": "sla_events",
}


@dataclass(frozen=True)
class Migration:
    """One numbered file of ``deploy/clickhouse``; its statements may run twice."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The file's sum, by which a change is noticed."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self) -> list[str]:
        """The statements; each ends with a ``;`` at the end of a line."""
        return statements(self.sql)


def statements(sql: str) -> list[str]:
    """Split SQL at each ``;`` that ends a line, without comment lines."""
    code = "\n".join(line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return [statement.strip() for statement in re.split(r";[ \t]*(?:\n|$)", code) if statement.strip()]


def shipped() -> list[Migration]:
    """The migrations that this program brings, in order."""
    found = []
    for file in files("deploy").joinpath("clickhouse").iterdir():
        matched = _FILE_NAME.fullmatch(file.name)
        if matched:
            found.append(Migration(int(matched[1]), matched[2], file.read_text(encoding="utf-8")))
    return sorted(found, key=lambda migration: migration.version)


def migrate(
    client: Client, database: str, retention: Retention | None = None, migrations: list[Migration] | None = None
) -> list[str]:
    """Make ``database`` what this program needs, and return what was done, a line each: empty when all was right.

    Makes the database, applies the migrations that are missing (``migrations``, else those shipped), adds missing
    columns, makes the views anew and sets the retention (None for a value: for ever). Safe to run again, also after
    a crash. Afterwards ``client`` uses ``database``.

    Raises :class:`MigrationRefusedError` when an applied migration has changed, the database is newer than this
    program or a column has another type; ClickHouse's own errors otherwise.
    """
    if not has_database(client, database):
        client.command(f"CREATE DATABASE IF NOT EXISTS {quote_identifier(database)}")
    client.database = database
    done = _apply(client, database, shipped() if migrations is None else migrations)
    for table in TABLES.values():
        done += _add_columns(client, database, table)
    done += _make_views(client, database)
    for table in TABLES.values():
        done += _retain(client, database, table, getattr(retention or Retention(), _RETENTION_OF[table.name]))
    return done


def _apply(client: Client, database: str, migrations: list[Migration]) -> list[str]:
    # Asked first: who may not make tables may work with those that are there.
    if not _has_table(client, database, "schema_migrations"):
        client.command(_LOG)
    rows = client.query("SELECT version, name, sha256 FROM schema_migrations FINAL ORDER BY version").result_rows
    applied = {int(version): (str(name), str(sha256)) for version, name, sha256 in rows}
    known = {migration.version for migration in migrations}
    for version, (name, _) in applied.items():
        if version not in known:
            raise MigrationRefusedError(
                f"database {database} has migration {version:04}_{name}, which this program does not know; "
                "use the release of deskpulse that made it, or a newer one"
            )
    done = []
    for migration in migrations:
        name, sha256 = applied.get(migration.version, ("", ""))
        if sha256 == migration.sha256:
            continue
        file = f"{migration.version:04}_{migration.name}.sql"
        if sha256:
            raise MigrationRefusedError(
                f"{file} has changed since it was applied to database {database} as {migration.version:04}_{name} "
                f"(sha256 then {sha256[:12]}, now {migration.sha256[:12]}); restore the file and write a new migration"
            )
        for statement in migration.statements():
            client.command(statement)
        client.insert(
            "schema_migrations",
            [[migration.version, migration.name, migration.sha256]],
            column_names=["version", "name", "sha256"],
            database=database,
        )
        done.append(f"applied {file}")
    return done


def _has_table(client: Client, database: str, name: str) -> bool:
    rows = client.query(
        "SELECT 1 FROM system.tables WHERE database = {database:String} AND name = {name:String}",
        parameters={"database": database, "name": name},
    ).result_rows
    return bool(rows)


def _plain(column_type: str) -> str:
    return "".join(column_type.split())


def _add_columns(client: Client, database: str, table: Table) -> list[str]:
    rows = client.query(
        "SELECT name, type FROM system.columns WHERE database = {database:String} AND table = {table:String}",
        parameters={"database": database, "table": table.name},
    ).result_rows
    there = {str(name): str(column_type) for name, column_type in rows}
    missing = []
    for column in (*table.identity, *table.columns, *table.provenance):
        if column.name not in there:
            missing.append(column)
        elif _plain(there[column.name]) != _plain(column.type):
            raise MigrationRefusedError(
                f"{database}.{table.name}.{column.name} is {there[column.name]}, expected {column.type}; "
                "write a migration that changes it"
            )
    if not missing:
        return []
    added = ", ".join(f"ADD COLUMN IF NOT EXISTS {column.name} {column.type}" for column in missing)
    client.command(f"ALTER TABLE {table.name} {added}")
    names = ", ".join(column.name for column in missing)
    return [f"added {names if len(missing) <= 5 else f'{len(missing)} columns'} to {table.name}"]


def _make_views(client: Client, database: str) -> list[str]:
    rows = client.query(
        "SELECT name, comment FROM system.tables WHERE database = {database:String} AND engine = 'View'",
        parameters={"database": database},
    ).result_rows
    there = {str(name): str(comment) for name, comment in rows}
    done = []
    for name, sql in VIEWS.items():
        # The sum stands in the view's comment: ClickHouse writes the SQL its own way, so that can't be compared.
        mark = f"sha256 {hashlib.sha256(sql.encode()).hexdigest()}"
        if there.get(name) != mark:
            client.command(f"{sql}\nCOMMENT '{mark}'")
            done.append(f"made view {name}")
    return done


def _retain(client: Client, database: str, table: Table, kept: timedelta | None) -> list[str]:
    engine = client.query(
        "SELECT engine_full FROM system.tables WHERE database = {database:String} AND name = {table:String}",
        parameters={"database": database, "table": table.name},
    ).result_rows[0][0]
    now = re.search(r" TTL (.*?)(?: SETTINGS |$)", str(engine))
    if kept is None:
        if now is None:
            return []
        client.command(f"ALTER TABLE {table.name} REMOVE TTL")
        return [f"{table.name} is kept for ever"]
    days = -(-kept // timedelta(days=1))
    ttl = f"toDateTime({table.expires_by}) + toIntervalDay({days})"
    if now is not None and now[1] == ttl:
        return []
    client.command(f"ALTER TABLE {table.name} MODIFY TTL {ttl}")
    return [f"{table.name} is kept for {days} days"]
