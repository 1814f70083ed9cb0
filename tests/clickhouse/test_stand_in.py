"""The stand-in answers like a server, and goes wrong as it is told."""

from __future__ import annotations

import itertools
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, Error, OperationalError

from sinks.clickhouse import ClickHouseTarget, UnreachableError, connect
from tests.clickhouse.stand_in_process import StandInProcess

_numbers = itertools.count()


def client_of(target: ClickHouseTarget, **options: object) -> Client:
    return clickhouse_connect.get_client(
        host=target.host,
        port=target.port,
        username=target.username,
        password=target.password,
        autogenerate_session_id=False,
        **options,
    )


@pytest.fixture
def table(standing_in: StandInProcess) -> Iterator[str]:
    name = f"told.table_{next(_numbers)}"
    with client_of(standing_in.target()) as client:
        client.command("CREATE DATABASE IF NOT EXISTS told")
        client.command(f"CREATE TABLE {name} (n UInt64, word LowCardinality(String)) ENGINE = MergeTree ORDER BY n")
    yield name
    standing_in.heal()


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_rows_come_out_as_they_went_in_however_they_are_packed(
    standing_in: StandInProcess, table: str, compress: bool | str
) -> None:
    rows = [(n, f"word {n % 7} é") for n in range(30_000)]
    with client_of(standing_in.target(), compress=compress) as client:
        assert client.insert(table, rows, column_names=["n", "word"]).written_rows == 30_000
        assert client.query(f"SELECT n, word FROM {table} ORDER BY n").result_rows == rows


def test_statements_settings_parameters_and_errors_are_those_of_a_server(
    standing_in: StandInProcess, table: str
) -> None:
    database, _, name = table.partition(".")
    with client_of(standing_in.target(), database=database) as client:
        assert client.ping()
        client.insert(name, [(1, "a")], column_names=["n", "word"])
        found = client.query(f"SELECT n FROM {name} WHERE word = {{word:String}}", parameters={"word": "a"})
        assert found.result_rows == [(1,)]
        long = "x" * 20_000
        assert client.query("SELECT length({long:String})", parameters={"long": long}).result_rows == [(20_000,)]
        assert client.query("SELECT getSetting('max_threads')", settings={"max_threads": 3}).result_rows == [(3,)]
        assert client.command("SELECT count() FROM system.one WHERE dummy") == 0
        for sql, code, error in (
            ("SELECT nothing", 47, "UNKNOWN_IDENTIFIER"),
            ("SELECT * FROM nowhere", 60, "UNKNOWN_TABLE"),
            ("SELEC 1", 62, "SYNTAX_ERROR"),
            ("SELECT throwIf(1)", 395, "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
        ):
            with pytest.raises(DatabaseError) as refused:
                client.query(sql)
            assert (refused.value.code, refused.value.name) == (code, error)
    with pytest.raises(UnreachableError, match="Authentication failed"):
        connect(ClickHouseTarget(port=standing_in.port, username="deskpulse", password="wrong"))
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://127.0.0.1:{standing_in.port}/?query=SELECT+1")


def test_it_goes_wrong_as_told_and_right_again(standing_in: StandInProcess, table: str) -> None:
    with client_of(standing_in.target(), send_receive_timeout=1, connect_timeout=1) as client:
        for number, (fault, code, done) in enumerate(
            (
                ({"kind": "refuse"}, None, False),
                ({"kind": "error", "status": 502}, None, False),
                ({"kind": "error", "code": 252}, 252, False),
                ({"kind": "stall"}, None, False),
                ({"kind": "cut"}, None, True),
                ({"kind": "lose"}, None, True),
                ({"kind": "lose", "code": 159}, 159, True),
            )
        ):
            standing_in.fail(**fault, only="^INSERT")
            began = time.monotonic()
            with pytest.raises(Error) as wrong:
                client.insert(table, [(number, "a")], column_names=["n", "word"])
            assert wrong.value.code == code
            assert time.monotonic() - began < 3
            standing_in.heal()
            assert (client.query(f"SELECT count() FROM {table} WHERE n = {number}").result_rows > [(0,)]) == done


def test_a_fault_can_be_of_some_statements_and_for_a_number_of_times(standing_in: StandInProcess, table: str) -> None:
    with client_of(standing_in.target()) as client:
        standing_in.fail("error", code=241, times=2, only="^INSERT INTO told")
        assert client.query("SELECT 1").result_rows == [(1,)]
        for _ in range(2):
            with pytest.raises(DatabaseError, match="MEMORY_LIMIT_EXCEEDED"):
                client.insert(table, [(1, "a")], column_names=["n", "word"])
        client.insert(table, [(1, "a")], column_names=["n", "word"])
        standing_in.fail("stall", only="^SELECT 2")
        assert client.query("SELECT 1").result_rows == [(1,)]
        counted = standing_in.counted()
        assert counted["error"] >= 2
        assert counted["inserted"] >= 1


def test_an_answer_that_is_lost_once_is_sent_again_by_the_client_itself(
    standing_in: StandInProcess, table: str
) -> None:
    with client_of(standing_in.target()) as client:
        standing_in.fail("lose", times=1, only="^INSERT")
        client.insert(table, [(7, "twice")], column_names=["n", "word"])
        assert client.query(f"SELECT n FROM {table}").result_rows == [(7,), (7,)]
        standing_in.fail("refuse")
        with pytest.raises(OperationalError):
            client.query("SELECT 1")
