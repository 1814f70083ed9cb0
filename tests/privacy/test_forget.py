"""A customer is forgotten: nothing in state, tables and logs names them, and the figures follow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from clickhouse_connect.driver.client import Client
from typer.testing import CliRunner

from deskpulse.cli import app
from deskpulse.local.kafka import free_port
from schemas.events import INPUT_TOPICS, TICKETS
from schemas.outputs import CELLS, CONTACTS, CUSTOMER_TICKETS, CUSTOMERS, DEAD_LETTERS, FACTS, HISTORIES, SLA_EVENTS
from sinks.clickhouse import connect
from sinks.tables import TABLES
from streams.pseudonyms import Pseudonyms
from tests.clickhouse.stand_in_process import StandInProcess, stand_in
from tests.privacy.desk import Desk, an_hour_ago, await_tickets, broker, ticket

KEY = "the key of the desk's customers"
BEGAN = an_hour_ago()
ERIKA, MAX, OTTO = "erika-4711", "max-4712", "otto-4713"


@dataclass
class Forgetting:
    """What the tests of this module share."""

    desk: Desk
    clickhouse: StandInProcess

    def forget(self, customer: str, *arguments: str) -> Result:
        """The customer's id comes by standard input."""
        command = ["forget", "-", "--config", str(self.desk.config), *arguments]
        return CliRunner().invoke(app, command, input=f"{customer}\n", catch_exceptions=True)

    def report(self, customer: str, *arguments: str) -> tuple[int, dict[str, Any]]:
        ran = self.forget(customer, "--format", "json", *arguments)
        assert ran.stdout, ran.stderr + repr(ran.exception)
        assert customer not in ran.stdout + ran.stderr
        return ran.exit_code, json.loads(ran.stdout)

    def client(self) -> Client:
        return connect(self.clickhouse.target())

    def rows_with(self, *texts: str) -> dict[str, int]:
        """How many rows of each table hold one of some texts, in any column and any version."""
        counts = {}
        with closing(self.client()) as client:
            for table in TABLES:
                query = f"SELECT countIf(multiSearchAny(toString(tuple(*)), {{texts:Array(String)}})) FROM {table}"
                counts[table] = client.query(query, parameters={"texts": list(texts)}).result_rows[0][0]
        return {table: rows for table, rows in counts.items() if rows}


@pytest.fixture(scope="module")
def forgetting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forgetting]:
    folder = tmp_path_factory.mktemp("forget")
    with broker() as kafka, stand_in(folder / "clickhouse") as clickhouse:
        settings = f'[clickhouse]\nport = {clickhouse.port}\n[privacy]\ncustomer_key = "{KEY}"\n'
        yield Forgetting(Desk(folder, kafka, settings), clickhouse)


def test_a_customer_is_forgotten_wherever_deskpulse_keeps_anything(forgetting: Forgetting) -> None:
    desk = forgetting.desk
    erika = Pseudonyms(KEY).of(ERIKA)
    refused = ticket("ticket-9", ERIKA, BEGAN)[0] | {"priority": "sometime"}
    desk.publish(
        [
            *ticket("ticket-1", ERIKA, BEGAN),
            *ticket("ticket-2", ERIKA, BEGAN + timedelta(minutes=25), solved=False),
            *ticket("ticket-3", MAX, BEGAN),
            *ticket("ticket-4", OTTO, BEGAN),
            refused,
        ]
    )
    with desk.worker() as worker:
        await_tickets(worker, 4)
        code, would = forgetting.report(ERIKA, "--dry-run")
        assert (code, would["tickets"]) == (0, {"ticket-1": "history", "ticket-2": "history"})

        code, found = forgetting.report(ERIKA)
        assert (code, found["ok"], found["published"], found["traces"], found["undone"]) == (0, True, 2, [], [])
        assert all(rows >= 2 for rows in found["deleted"].values()), found["deleted"]
        rests = {rest["where"]: rest for rest in found["rests"]}
        assert set(rests) == {
            *(*INPUT_TOPICS, FACTS, SLA_EVENTS, CUSTOMERS, CONTACTS, DEAD_LETTERS),
            f"{HISTORIES} and {CUSTOMER_TICKETS}",
        }
        assert all(rest["until"] for rest in rests.values())
        assert len(rests[DEAD_LETTERS]["places"]) == 1

        # The state that a worker restores from has no word of it; Max is known.
        for topic in (HISTORIES, CUSTOMER_TICKETS):
            newest = desk.newest(topic)
            assert not any(erika.encode() in key + value for key, value in newest.items())
            assert any(Pseudonyms(KEY).of(MAX).encode() in key + value for key, value in newest.items())
        # Of two tickets there is that they were erased, and nobody is named.
        stubs = {"ticket_facts": 2, "events": 2}
        assert forgetting.rows_with("ticket-1", "ticket-2") == stubs
        assert forgetting.rows_with(erika) == {}
        # The id itself never was anywhere but in what the desk sent.
        assert forgetting.rows_with(ERIKA, MAX) == {}
        for topic in (FACTS, CELLS, SLA_EVENTS, CUSTOMERS, CONTACTS, HISTORIES, CUSTOMER_TICKETS):
            assert not any(ERIKA.encode() in key + value for key, value in desk.records(topic)), topic
        assert ERIKA not in desk.written_by_workers()

        # What comes later brings nothing back but rows of the archive, which can go again.
        desk.publish([event | {"id": f"{event['id']}-again"} for event in ticket("ticket-1", ERIKA, BEGAN)])
        code, found = forgetting.report(ERIKA)
        assert (code, found["published"], found["traces"]) == (0, 0, [])
        assert forgetting.rows_with("ticket-1", "ticket-2") == stubs

        # Without ClickHouse the state is rid of a customer all the same, and the rest is told.
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("DESKPULSE_CLICKHOUSE__PORT", str(free_port()))
            code, found = forgetting.report(MAX)
        assert (code, found["published"]) == (1, 1)
        assert "forget again when it can be reached" in found["undone"][0]
        assert forgetting.rows_with(Pseudonyms(KEY).of(MAX))
        code, found = forgetting.report(MAX)
        assert (code, found["published"], found["traces"]) == (0, 0, [])
        assert forgetting.rows_with("ticket-3") == {"ticket_facts": 1, "events": 1}

        verify = ["verify", "--config", str(desk.config), "--url", worker.url]
        ran = CliRunner().invoke(app, verify)
        assert (ran.exit_code, "No difference." in ran.stdout) == (0, True), ran.stdout

    # Without a worker nothing is begun.
    before = desk.records(TICKETS)
    late = ticket("ticket-5", OTTO, BEGAN)
    desk.publish(late)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("deskpulse.forget.logs._NOBODY_SECONDS", 0.2)
        ran = forgetting.forget(OTTO)
    assert ran.exit_code == 1
    assert "no worker of group deskpulse runs" in str(ran.exception)
    assert len(desk.records(TICKETS)) == len(before) + sum(event["type"].startswith("ticket") for event in late)
