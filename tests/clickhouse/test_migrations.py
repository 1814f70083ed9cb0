from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client

import deploy
from sinks.clickhouse import ClickHouseTarget, UnreachableError, connect
from sinks.migrations import Migration, MigrationRefusedError, Retention, migrate, shipped
from sinks.tables import TABLES, columns_sql
from sinks.views import VIEWS, views_sql
from tests.clickhouse.conftest import docker_is_missing

SQL = Path(deploy.__file__).parent / "clickhouse"


def test_the_committed_sql_is_what_is_generated() -> None:
    assert (SQL / "views.sql").read_text() == views_sql()
    assert (SQL / "columns.sql").read_text() == columns_sql()


def test_the_suite_also_ran_over_http() -> None:
    if docker_is_missing():
        pytest.skip(docker_is_missing())


def test_a_password_is_not_shown() -> None:
    target = ClickHouseTarget(password="hunter2")
    assert "hunter2" not in f"{target!r} {target}"


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:9 as somebody"):
        connect(ClickHouseTarget(host="127.0.0.1", port=9, username="somebody"))


def test_migrating_makes_everything_and_a_second_time_nothing(empty: tuple[Client, str]) -> None:
    client, name = empty
    done = migrate(client, name)
    assert [line for line in done if line.startswith("applied")] == [
        f"applied {migration.version:04}_{migration.name}.sql" for migration in shipped()
    ]
    there = {row[0] for row in client.query("SHOW TABLES").result_rows}
    assert there == {*TABLES, *VIEWS, "schema_migrations"}
    assert migrate(client, name) == []


def test_every_table_is_ordered_by_its_identity_and_replaced_by_offset(database: tuple[Client, str]) -> None:
    client, name = database
    found = client.query(
        f"SELECT name, sorting_key, engine_full FROM system.tables WHERE database = '{name}' AND engine LIKE 'Repl%'"
    ).result_rows
    assert {table: key for table, key, _ in found if table != "schema_migrations"} == {
        table.name: ", ".join(column.name for column in table.identity) for table in TABLES.values()
    }
    assert all("ReplacingMergeTree(_offset)" in engine for table, _, engine in found if table in TABLES)


def test_an_applied_migration_that_has_changed_is_refused(database: tuple[Client, str]) -> None:
    client, name = database
    first, *others = shipped()
    with pytest.raises(MigrationRefusedError, match=r"0001_facts\.sql has changed .* restore the file"):
        migrate(client, name, migrations=[replace(first, sql=first.sql + "SELECT 1;\n"), *others])


def test_a_database_newer_than_the_program_is_refused(database: tuple[Client, str]) -> None:
    client, name = database
    later = Migration(9999, "later", "CREATE TABLE IF NOT EXISTS later (a Int8) ENGINE = Memory; -- of tomorrow\n")
    migrate(client, name, migrations=[*shipped(), later])
    with pytest.raises(MigrationRefusedError, match="has migration 9999_later, which this program does not know"):
        migrate(client, name)


def test_a_new_measure_is_a_new_column_and_another_type_is_refused(database: tuple[Client, str]) -> None:
    client, name = database
    client.command("ALTER TABLE cells_hour DROP COLUMN solves")
    assert migrate(client, name) == ["added solves to cells_hour"]
    client.command("ALTER TABLE cells_hour MODIFY COLUMN solves String")
    with pytest.raises(MigrationRefusedError, match=r"cells_hour\.solves is String, expected Int64"):
        migrate(client, name)


def test_a_database_of_the_first_migrations_gets_the_table_of_sla_instances(empty: tuple[Client, str]) -> None:
    client, name = empty
    former = [migration for migration in shipped() if migration.version < 6]
    client.command(f"CREATE DATABASE {name}")
    client.database = name
    for migration in former:
        for statement in migration.statements():
            client.command(statement)
    migrate(client, name)
    key = f"SELECT sorting_key FROM system.tables WHERE database = '{name}' AND name = 'sla_events'"
    assert client.query(key).result_rows == [("ticket_id, target, started_at, instance, kind, withdraws",)]


def test_a_view_that_is_not_as_generated_is_made_anew(database: tuple[Client, str]) -> None:
    client, name = database
    client.command("CREATE OR REPLACE VIEW tickets AS SELECT 1 AS nonsense")
    assert migrate(client, name) == ["made view tickets"]
    assert client.query("SELECT count(created_at) FROM tickets").result_rows == [(0,)]


def test_retention_is_set_changed_and_lifted(database: tuple[Client, str]) -> None:
    client, name = database

    def ttls() -> dict[str, str]:
        found = client.query(f"SELECT name, engine_full FROM system.tables WHERE database = '{name}'").result_rows
        matched = {table: re.search(r"TTL (.*?) SETTINGS", engine) for table, engine in found}
        return {table: ttl[1] for table, ttl in matched.items() if ttl}

    assert ttls() == {}
    day = timedelta(days=1)
    kept = Retention(events=400 * day, facts=9 * day, minute_cells=1.5 * day, hour_cells=800 * day, sla_events=5 * day)
    assert len(migrate(client, name, kept)) == 5
    assert ttls() == {
        "events": "toDateTime(_produced_at) + toIntervalDay(400)",
        "ticket_facts": "toDateTime(_produced_at) + toIntervalDay(9)",
        "cells_minute": "toDateTime(pane_at) + toIntervalDay(2)",
        "cells_hour": "toDateTime(pane_at) + toIntervalDay(800)",
        "sla_events": "toDateTime(_produced_at) + toIntervalDay(5)",
    }
    assert migrate(client, name, kept) == []
    assert migrate(client, name, replace(kept, events=30 * day)) == ["events is kept for 30 days"]
    assert migrate(client, name, replace(kept, events=None)) == ["events is kept for ever"]
    assert "events" not in ttls()


def test_a_retention_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="retention of minute_cells is 12:00:00; expected more than 1 day"):
        Retention(minute_cells=timedelta(hours=12))
