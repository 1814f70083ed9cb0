"""Rows that ClickHouse refuses for what is in them are found out; all others get in."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from schemas.outputs import CELLS, DEAD_LETTER_HEADERS, DEAD_LETTERS, FACTS, LATE, SLA_EVENTS, Cell, TicketFacts
from sinks import isolation
from sinks.clickhouse import ClickHouseSink, InsertFailedError
from sinks.isolation import Writer
from sinks.refusals import DATA_ERRORS, of_the_data, told
from sinks.rows import NewerOutputError
from tests.clickhouse.records import NOW_MS, Record, of_cells, of_facts

TOO_LARGE = 2**80
"""For any column."""


def facts_of(numbers: Sequence[int], bad: Sequence[int] = ()) -> list[Record]:
    """A record a ticket, by their offsets; the bad ones hold a number that no column takes."""
    return [
        record
        for number in numbers
        for record in of_facts(
            TicketFacts(ticket_id=f"t{number}", as_of_ms=NOW_MS, solves=TOO_LARGE if number in bad else 1),
            first_offset=number,
        )
    ]


def writer_of(database: tuple[Client, str]) -> Writer:
    return Writer(ClickHouseSink(*database))


def count(client: Client, table: str) -> int:
    return int(client.query(f"SELECT count() FROM {table} FINAL").result_rows[0][0])


def constrain(client: Client, condition: str) -> None:
    client.command(f"ALTER TABLE ticket_facts ADD CONSTRAINT told CHECK {condition}")


def test_bad_rows_are_alone_in_the_end_and_the_others_are_in(database: tuple[Client, str]) -> None:
    bad = [0, 3, 4, 5, 100, 149, 150, 250, 299]
    records = facts_of(range(300), bad)
    refused = writer_of(database).write([(FACTS, 0, records[:150]), (FACTS, 1, records[150:])])
    assert sorted(one.message.offset() for one in refused) == bad
    assert {(one.topic, one.partition) for one in refused} == {(FACTS, 0), (FACTS, 1)}
    assert count(database[0], "ticket_facts") == 300 - len(bad)


def test_a_row_that_the_servers_constraint_refuses_goes_whole_to_the_dead_letters(database: tuple[Client, str]) -> None:
    constrain(database[0], "customer_id != 'Jane Doe'")
    records = facts_of(range(9))
    records[4] = of_facts(TicketFacts(ticket_id="t4", as_of_ms=NOW_MS, customer_id="Jane Doe"), first_offset=4)[0]
    (refused,) = writer_of(database).write([(FACTS, 3, records)])
    letter = refused.dead_letter()
    assert (letter.topic, letter.partition, letter.key, letter.value) == (
        DEAD_LETTERS, 3, b"t4", records[4].value(),
    )  # fmt: skip
    assert tuple(name for name, _ in letter.headers) == DEAD_LETTER_HEADERS
    headers = {name: value.decode() for name, value in letter.headers}
    assert headers == {
        "reason": "clickhouse_refused: table ticket_facts: VIOLATED_CONSTRAINT (code 469)",
        "origin_topic": FACTS,
        "origin_partition": "3",
        "origin_offset": "4",
        "origin_timestamp_ms": str(NOW_MS),
    }
    assert "Jane" not in str(refused)
    assert count(database[0], "ticket_facts") == 8


def test_a_bad_cell_holds_up_neither_its_table_nor_the_others(database: tuple[Client, str]) -> None:
    cells = [
        Cell(resolution=resolution, pane_at_ms=n * 3_600_000, as_of_ms=NOW_MS, dimensions={}, measures={"created": 1})
        for resolution in ("minute", "hour")
        for n in range(20)
    ]
    cells[25] = replace_measures(cells[25], {"created": 2**80})
    refused = writer_of(database).write([(FACTS, 0, facts_of(range(5))), (CELLS, 0, of_cells(cells))])
    assert [one.message.offset() for one in refused] == [25]
    assert [count(database[0], table) for table in ("ticket_facts", "cells_minute", "cells_hour")] == [5, 20, 19]


def replace_measures(cell: Cell, measures: dict[str, int]) -> Cell:
    return msgspec.structs.replace(cell, measures=measures)


def test_outputs_that_cannot_be_read_are_told_apart(database: tuple[Client, str]) -> None:
    records = facts_of(range(10))
    records[2] = replace(records[2], the_value=b"{}")
    records[7] = replace(records[7], the_value=b"\xff")
    sla = [Record(b'{"ticket_id": 5}', b"t", 0)]
    late = [Record(b"{}", b"t", 0)]
    refused = writer_of(database).write([(FACTS, 0, records), (SLA_EVENTS, 2, sla), (LATE, 0, late)])
    assert [(one.topic, one.message.offset(), one.code) for one in refused] == [
        (FACTS, 2, "unreadable_output"),
        (FACTS, 7, "unreadable_output"),
        (SLA_EVENTS, 0, "unreadable_output"),
        (LATE, 0, "unreadable_output"),
    ]
    assert "missing required field `ticket_id`" in refused[0].reason
    assert "has no table" in refused[3].reason
    assert count(database[0], "ticket_facts") == 8


def test_what_a_newer_worker_has_written_waits_for_a_newer_sink(database: tuple[Client, str]) -> None:
    cell = {"resolution": "minute", "pane_at_ms": 0, "as_of_ms": 0, "dimensions": {}, "measures": {"votes": 1}}
    with pytest.raises(NewerOutputError, match="measure 'votes' is unknown; this sink is older"):
        writer_of(database).write(
            [(FACTS, 0, facts_of([1], [1])), (CELLS, 0, [Record(json.dumps(cell).encode(), b"k", 1)])]
        )


def test_where_a_table_refuses_everything_the_rows_are_not_what_is_bad(
    database: tuple[Client, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isolation, "_MOST_PARTS", 16)
    client, _ = database
    writer = writer_of(database)
    writer.write([(FACTS, 0, facts_of(range(100)))])
    constrain(client, "solves > 5")
    inserts = Inserts(client)
    for records in (facts_of(range(100, 102)), facts_of(range(200, 500))):
        with pytest.raises(InsertFailedError, match=r"VIOLATED_CONSTRAINT .* for most of \d+ records"):
            writer.write([(FACTS, 0, records)])
    assert inserts.number < 80
    assert count(client, "ticket_facts") == 100
    client.command("ALTER TABLE ticket_facts DROP CONSTRAINT told")
    assert writer.write([(FACTS, 0, facts_of(range(200, 500)))]) == []
    assert count(client, "ticket_facts") == 400


class Inserts:
    """Counts the inserts of a client from now on."""

    def __init__(self, client: Client) -> None:
        self.number = 0
        insert = client.insert

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.number += 1
            return insert(*args, **kwargs)

        client.insert = counted  # type: ignore[method-assign]


def test_one_bad_row_that_comes_alone_is_found_out_once_others_were_taken(database: tuple[Client, str]) -> None:
    writer = writer_of(database)
    with pytest.raises(InsertFailedError):
        writer.write([(FACTS, 0, facts_of([1], [1]))])
    assert writer.write([(FACTS, 0, facts_of([2]))]) == []
    assert len(writer.write([(FACTS, 0, facts_of([1], [1]))])) == 1
    with pytest.raises(InsertFailedError):
        writer.write([(FACTS, 0, facts_of([3], [3]))])
    assert [one.message.offset() for one in writer.write([(FACTS, 0, facts_of([3, 4], [3]))])] == [3]


def test_an_outage_while_bad_rows_are_looked_for_is_an_outage(database: tuple[Client, str]) -> None:
    client, _ = database
    records = facts_of(range(64), [9])
    for after in (1, 2, 5, 9):
        writer = writer_of(database)
        insert, calls = client.insert, 0

        def failing(*args: Any, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls > after:  # noqa: B023
                raise OperationalError("connection lost")
            return insert(*args, **kwargs)  # noqa: B023

        client.insert = failing  # type: ignore[method-assign]
        with pytest.raises(InsertFailedError, match="connection lost") as failed:
            writer.write([(FACTS, 0, records)])
        client.insert = insert  # type: ignore[method-assign]
        assert not failed.value.of_the_data
    assert len(writer_of(database).write([(FACTS, 0, records)])) == 1
    assert count(client, "ticket_facts") == 63


def test_random_bad_rows_among_random_batches_are_just_those_that_are_left_out(database: tuple[Client, str]) -> None:
    dice = random.Random(11)
    writer = writer_of(database)
    numbers, found, bad = 0, [], []
    while numbers < 600:
        size = dice.randint(30, 300)
        of_batch = dice.sample(range(numbers, numbers + size), dice.randint(0, 5))
        bad += of_batch
        refused = writer.write([(FACTS, 0, facts_of(range(numbers, numbers + size), of_batch))])
        found += [one.message.offset() for one in refused]
        numbers += size
    assert sorted(found) == sorted(bad) != []
    assert count(database[0], "ticket_facts") == numbers - len(bad)


def test_only_errors_of_values_are_taken_for_faults_of_the_data(database: tuple[Client, str]) -> None:
    client, _ = database
    for code, name in DATA_ERRORS.items():
        assert client.query(f"SELECT errorCodeToName({code})").result_rows == [(name,)]
        assert of_the_data(DatabaseError("told: 'Jane Doe'", code=code))
        assert told(DatabaseError("told: 'Jane Doe'", code=code)) == f"{name} (code {code})"
    for outage in (32, 33, 60, 81, 159, 164, 202, 209, 210, 225, 241, 242, 243, 252, 319, 394, 497, 516, 999, None):
        assert not of_the_data(DatabaseError("told", code=outage)), outage
    for error in (ConnectionRefusedError("no"), TimeoutError("slow"), OperationalError("cut"), RuntimeError("what")):
        assert not of_the_data(error)
        assert told(error) == str(error)
