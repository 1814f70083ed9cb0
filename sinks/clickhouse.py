"""Writes deskpulse's records into ClickHouse: over HTTP, or into an engine inside the process (``chdb``).

Writing is idempotent by construction: every table is a ``ReplacingMergeTree`` ordered by the row's identity, whose
version is the offset of the record. Whatever comes again, in whatever batches, replaces itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from sinks.refusals import of_the_data, told
from sinks.rows import Message, blocks
from sinks.tables import Table
from streams.pseudonyms import Pseudonyms

_SETTINGS: Final = {
    # The archive has a partition for each month, and a batch of old records may hold more than 100 of them.
    "max_partitions_per_insert_block": 0,
    # A server that is stuck would go on to say so: without it, nothing within the timeout is a fault.
    "send_progress_in_http_headers": 0,
}
_CONNECT_SECONDS: Final = 10.0
"""At most, of the timeout, for the connection itself."""
_DATABASE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class UnreachableError(ConnectionError):
    """ClickHouse could not be opened; says where and what to check."""


class InsertFailedError(RuntimeError):
    """ClickHouse did not take a block; says which table, partition and offsets. Nothing is lost: insert it again."""

    def __init__(self, table: str, origins: Sequence[str], reason: str, of_the_data: bool = False) -> None:
        self.table = table
        self.reason = reason
        self.of_the_data = of_the_data
        """It speaks of values: the same rows will be refused again, in these or in other batches."""
        self.origins = tuple(origins)
        """Topic, partition, first and last offset of each batch."""
        super().__init__(f"table {table}, from {'; '.join(origins)}: {reason}")


@dataclass(frozen=True)
class ClickHouseTarget:
    """Where the tables are: a server, or a folder of this machine when ``path`` is given (one process at a time)."""

    host: str = "127.0.0.1"
    port: int = 8123
    secure: bool = False
    username: str = "default"
    password: str = field(default="", repr=False)
    database: str = "deskpulse"
    path: Path | None = None
    verify: bool = True
    """Whether the server's certificate is checked; this and what follows is for ``secure``."""
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_seconds: float = 30.0
    """A server that is silent for so long has failed."""

    def __post_init__(self) -> None:
        if not _DATABASE.fullmatch(self.database):
            raise ValueError(
                f"database {self.database!r} is no name of a database; expected letters, digits and _, like deskpulse"
            )

    def __str__(self) -> str:
        if self.path is not None:
            return f"ClickHouse in {self.path}"
        return f"ClickHouse at {'https' if self.secure else 'http'}://{self.host}:{self.port} as {self.username}"


def connect(target: ClickHouseTarget) -> Client:
    """Open a client on ``target``; close it with ``close()``. It may be used by one thread after another.

    Statements without a database's name mean ``target.database`` once that exists (``sinks.migrations.migrate`` makes
    it). Raises :class:`UnreachableError` when the server does not answer or refuses, or the folder can't be opened.
    """
    options: dict[str, Any]
    if target.path is not None:
        options = {"interface": "chdb", "path": str(target.path)}
    else:
        options = {
            "interface": "https" if target.secure else "http",
            "host": target.host,
            "port": target.port,
            "username": target.username,
            "password": target.password,
            # A session would refuse the second of two statements at a time.
            "autogenerate_session_id": False,
            **_tls(target),
            "connect_timeout": ceil(min(_CONNECT_SECONDS, target.timeout_seconds)),
            "send_receive_timeout": ceil(target.timeout_seconds),
        }
    try:
        client = clickhouse_connect.get_client(**options)
    except ImportError as error:
        raise UnreachableError(
            f"{target}: {error}; install the extra for it: pip install 'deskpulse[local]'"
        ) from error
    except (Error, OSError) as error:
        advice = "another process may hold the folder" if target.path else "check address, user, password and `secure`"
        raise UnreachableError(f"{target}: {told(error)}; {advice}") from error
    if has_database(client, target.database):
        client.database = target.database
    return client


def _tls(target: ClickHouseTarget) -> dict[str, Any]:
    if not target.secure:
        return {}
    files = {
        "ca_cert": target.ca_file,
        "client_cert": target.certificate_file,
        "client_cert_key": target.key_file,
    }
    # With a certificate alone the server takes its name for the user; with a password as well, it asks for both.
    mode = {"tls_mode": "strict"} if target.certificate_file and target.password else {}
    return {"verify": target.verify, **mode, **{name: str(path) for name, path in files.items() if path is not None}}


def has_database(client: Client, database: str) -> bool:
    """Whether there is a database of this name (that the user may see)."""
    found = client.query(
        "SELECT count() FROM system.databases WHERE name = {name:String}", parameters={"name": database}
    )
    return bool(found.result_rows[0][0])


class ClickHouseSink:
    """Inserts records of the output topics and of the inputs into their tables. Synchronous: run it in a thread."""

    def __init__(self, client: Client, database: str, pseudonyms: Pseudonyms | None = None) -> None:
        """``pseudonyms``: replaces persons' ids in the archive."""
        self.took_rows: set[str] = set()
        """The tables that have taken rows."""
        self._pseudonyms = pseudonyms
        self._client = client
        self._database = database

    def insert(self, topic: str, partition: int, messages: Sequence[Message]) -> int:
        """Insert one batch of one partition, see :meth:`insert_all`."""
        return self.insert_all([(topic, partition, messages)])

    def insert_all(self, batches: Iterable[tuple[str, int, Sequence[Message]]], only: str | None = None) -> int:
        """Insert batches (topic, partition, messages), one block a table, and return how many rows that made.

        Rows can be fewer than messages: what a later message of the batch replaces, records without a value, and
        inputs that are no known event make none. ClickHouse has the rows when this returns; commit after it. ``only``:
        the table whose rows are inserted, where the others' are not to be.

        Raises :class:`sinks.rows.UnknownTopicError` for a topic without a table, :class:`sinks.rows.BadOutputError`
        for a record of an output topic that can't be read, and :class:`InsertFailedError` when ClickHouse did not take
        the rows.
        """
        whole: dict[str, tuple[Table, list[list[Any]], list[str]]] = {}
        for topic, partition, messages in batches:
            if not messages:
                continue
            origin = f"{topic}[{partition}] offsets {messages[0].offset()} to {messages[-1].offset()}"
            for table, columns in blocks(topic, partition, messages, self._pseudonyms):
                if only is not None and table.name != only:
                    continue
                _, collected, origins = whole.setdefault(table.name, (table, [[] for _ in columns], []))
                for kept, more in zip(collected, columns, strict=True):
                    kept.extend(more)
                origins.append(origin)
        rows = 0
        for table, collected, origins in whole.values():
            names, types = table.insert_columns
            try:
                self._client.insert(
                    table.name,
                    collected,
                    column_names=names,
                    column_type_names=types,
                    database=self._database,
                    column_oriented=True,
                    settings=_SETTINGS,
                )
            except Exception as error:
                raise InsertFailedError(table.name, origins, told(error), of_the_data(error)) from error
            else:
                rows += len(collected[0])
                self.took_rows.add(table.name)
            finally:
                # The client's context of an insert refers to itself and keeps the columns. It waits for the cyclic
                # collector, which hardly ever runs in a worker, and must not keep all that was inserted until then.
                for column in collected:
                    column.clear()
        return rows

    def try_without_rows(self, table: Table) -> None:
        """Insert nothing, into all columns of a table; :class:`InsertFailedError` when not even that is taken."""
        columns = ", ".join(table.insert_columns[0])
        nothing = f"INSERT INTO {table.name} ({columns}) SELECT {columns} FROM {table.name} WHERE false"  # noqa: S608
        try:
            self._client.command(nothing)
        except Exception as error:
            raise InsertFailedError(table.name, (), told(error)) from error
