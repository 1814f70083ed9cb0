"""ClickHouse goes away in every way and comes back: the tables are as if it never had, and nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Coroutine, Iterator
from dataclasses import replace
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from schemas.events import TICKETS
from schemas.outputs import CELLS, FACTS
from sinks import agent as agent_module
from sinks.attempts import FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, growing_wait_seconds
from sinks.clickhouse import ClickHouseSink, ClickHouseTarget, connect
from sinks.migrations import migrate
from tests.clickhouse.conftest import docker_is_missing, real_server
from tests.clickhouse.records import HOUR_MS, NOW_MS, Record, of_cells, of_facts, random_cells
from tests.clickhouse.sink_in_hand import Batch, Sink
from tests.clickhouse.stand_in_process import StandInProcess
from tests.clickhouse.test_sink import event, of_ticket

TABLES = ("ticket_facts", "cells_hour", "events")
_numbers = itertools.count()


@pytest.fixture
def server(standing_in: StandInProcess) -> Iterator[StandInProcess]:
    yield standing_in
    standing_in.heal()


@pytest.fixture(autouse=True)
def _flushes_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "_FLUSH_SECONDS", 0.05)


def target_of(server: StandInProcess, timeout_seconds: float = 1.0) -> ClickHouseTarget:
    return server.target(f"outage_{next(_numbers)}", timeout_seconds=timeout_seconds)


def batches() -> list[Batch]:
    """Facts, cells and events, whose rows replace each other."""
    dice = random.Random(5)
    facts = of_facts(*(of_ticket(str(n % 40), solves=n) for n in range(90)))
    cells = of_cells(random_cells(dice, 60, "hour", 30 * HOUR_MS, HOUR_MS))
    events = [Record(event(n), b"t", n, NOW_MS) for n in range(50)]
    return [
        Batch(topic, partition, records[start : start + 20])
        for topic, partition, records in ((FACTS, 0, facts), (CELLS, 1, cells), (TICKETS, 0, events))
        for start in range(0, len(records), 20)
    ]


def contents(client: Client, database: str) -> dict[str, list[Any]]:
    """All rows, each as often as a reader sees it, without the time of writing."""
    found = {}
    for table in TABLES:
        rows = client.query(f"SELECT * EXCEPT (_inserted_at) FROM {database}.{table} FINAL ORDER BY ALL").result_rows
        found[table] = [tuple(map(str, row)) for row in rows]
    return found


def written_at_once(server: StandInProcess, given: list[Batch]) -> dict[str, list[Any]]:
    """What the tables hold when nothing goes wrong."""
    target = target_of(server)
    with connect(target) as client:
        migrate(client, target.database)
        ClickHouseSink(client, target.database).insert_all([(*batch.tp, batch) for batch in given])
        return contents(client, target.database)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_whatever_goes_wrong_the_tables_are_as_if_nothing_had(server: StandInProcess) -> None:
    given = batches()
    expected = written_at_once(server, given)
    faults: list[dict[str, Any]] = [
        {"kind": "refuse"},
        {"kind": "error", "status": 500},
        {"kind": "error", "code": 252},
        {"kind": "error", "code": 516},
        {"kind": "cut", "only": "^INSERT"},
        {"kind": "lose", "only": "^INSERT"},
        {"kind": "lose", "only": "^INSERT INTO .*cells_hour", "code": 159},
        {"kind": "stall", "only": "^INSERT"},
    ]
    target = target_of(server)

    async def work() -> None:
        async with Sink(target) as sink:
            for number, fault in enumerate(faults):
                # The records again from their first, as after a crash, and one fault after the other.
                some = given[: 3 + number % (len(given) - 2)]
                sink.committed.offsets.clear()
                await asyncio.to_thread(server.fail, **fault)
                giving = sink.give(*some)
                # The first fault may have failed twice before anything was given.
                await sink.until(
                    lambda giving=giving: giving.done() and sink.agent.attempts.failures >= 2,  # type: ignore[misc]
                    f"it fails twice with {fault}",
                )
                told = sink.agent.told()
                assert told["sink_failing_seconds"] > 0
                assert told["sink_lag"] >= sum(map(len, some))
                assert not sink.committed.offsets
                await asyncio.to_thread(server.heal)
                await sink.until_committed(*some)
                assert (sink.agent.attempts.failures, sink.agent.told()["sink_failing_seconds"]) == (0, 0)
            sink.give(*given)
            sink.committed.offsets.clear()
            await sink.until_committed(*given)
            assert sink.committed.dead_letters == []
            assert sink.agent.lag() == 0

    run(work())
    with connect(target) as client:
        assert contents(client, target.database) == expected
        doubled = client.query("SELECT count() > uniqExact(_offset) FROM ticket_facts").result_rows[0][0]
        assert doubled, "the records were not inserted twice, so this has shown nothing"


def test_a_sink_begins_without_clickhouse_and_makes_its_tables_when_that_comes(server: StandInProcess) -> None:
    target = target_of(server)
    given = batches()

    async def work() -> None:
        await asyncio.to_thread(server.fail, "refuse")
        async with Sink(target) as sink:
            sink.give(*given)
            await sink.until(lambda: sink.agent.attempts.failures >= 3, "it has tried")
            assert "check address, user, password" in sink.agent.not_connected()[0]
            assert list(sink.agent.not_ready()) == []
            await asyncio.to_thread(server.heal)
            await sink.until_committed(*given)
            assert list(sink.agent.not_connected()) == []

    run(work())


def test_no_more_is_taken_than_a_bound_while_clickhouse_is_away(
    server: StandInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_module, "_MOST_ROWS", 100)
    target = target_of(server)
    given = [
        Batch(FACTS, 0, of_facts(*(of_ticket(str(n)) for n in range(first, first + 30)), first_offset=first))
        for first in range(0, 600, 30)
    ]

    async def work() -> None:
        async with Sink(target) as sink:
            await sink.until(lambda: not sink.agent.not_connected(), "connected")
            await asyncio.to_thread(server.fail, "error", code=241, only="^INSERT")
            giving = sink.give(*given)
            await sink.until(lambda: sink.agent.attempts.failures >= 5, "it has tried")
            assert sink.agent.lag() == 120
            assert not giving.done()
            assert sink.agent.told()["sink_oldest_age_seconds"] > 0
            await asyncio.to_thread(server.heal)
            await sink.until_committed(*given)
            await giving

    run(work())


def test_bytes_are_bounded_too(server: StandInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_module, "_MOST_BYTES", 10_000)
    large = [Batch(TICKETS, 0, [Record(event(n, extra="x" * 4_000), b"t", n)]) for n in range(9)]

    async def work() -> None:
        await asyncio.to_thread(server.fail, "refuse")
        async with Sink(target_of(server)) as sink:
            giving = sink.give(*large)
            await sink.until(lambda: sink.agent.attempts.failures >= 2, "it has tried")
            assert sink.agent.lag() == 3
            await asyncio.to_thread(server.heal)
            await sink.until_committed(*large)
            await giving

    run(work())


def test_partitions_are_given_back_in_time_while_an_insert_hangs(server: StandInProcess) -> None:
    target = target_of(server, timeout_seconds=30)
    first, second = batches()[:2]

    async def work() -> None:
        async with Sink(target) as sink:
            await sink.until(lambda: not sink.agent.not_connected(), "connected")
            stalls = await asyncio.to_thread(lambda: server.counted().get("stall", 0))
            await asyncio.to_thread(server.fail, "stall", only="^INSERT", times=1)
            sink.give(first)
            await asyncio.to_thread(server.await_faults, "stall", stalls + 1)
            began = time.monotonic()
            await sink.agent.revoked({first.tp}, 1.0)
            assert time.monotonic() - began < 1.0
            assert sink.agent.lag() == 0
            assert sink.committed.commits == 0
            # What comes then does not wait for the thread that hangs, and what hung is not committed.
            sink.give(second)
            await sink.until_committed(second)

    run(work())
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "sink")


def test_what_comes_while_an_insert_is_under_way_is_in_the_next_one(server: StandInProcess) -> None:
    target = target_of(server)
    given = batches()
    begun, may_end = threading.Event(), threading.Event()

    async def work() -> None:
        sink = Sink(target, lambda: slow(sink.connected()))

        def slow(client: Client) -> Client:
            insert = client.insert

            def inserted(*args: Any, **kwargs: Any) -> Any:
                begun.set()
                may_end.wait(20)
                return insert(*args, **kwargs)

            client.insert = inserted  # type: ignore[method-assign]
            return client

        async with sink:
            sink.give(given[0])
            await asyncio.to_thread(begun.wait, 20)
            await sink.give(*given[1:])
            may_end.set()
            await sink.until_committed(*given)
            assert sink.committed.commits == 2

    run(work())
    with connect(target) as client:
        assert contents(client, target.database) == written_at_once(server, given)


def test_a_rebalance_in_an_outage_drops_what_is_in_hand_and_the_next_owner_inserts_it(server: StandInProcess) -> None:
    target = target_of(server)
    given = batches()

    async def work() -> None:
        async with Sink(target) as sink:
            await sink.until(lambda: not sink.agent.not_connected(), "connected")
            await asyncio.to_thread(server.fail, "refuse")
            sink.give(*given)
            await sink.until(lambda: sink.agent.attempts.failures >= 2, "it has tried")
            await sink.agent.lost({batch.tp for batch in given})
            await asyncio.to_thread(server.heal)
            async with Sink(target) as next_owner:
                next_owner.give(*given)
                await next_owner.until_committed(*given)
            assert sink.committed.commits == 0

    run(work())


def test_bad_records_go_to_the_dead_letters_with_the_offsets_and_the_others_into_their_tables(
    server: StandInProcess,
) -> None:
    target = target_of(server)
    records = of_facts(*(of_ticket(str(n)) for n in range(50)))
    records[13] = of_facts(of_ticket("13", solves=2**80), first_offset=13)[0]
    records[31] = Record(b"[]", b"31", 31)
    given = Batch(FACTS, 2, records)

    async def work() -> None:
        async with Sink(target) as sink:
            sink.give(given)
            await sink.until_committed(given)
            assert sink.committed.commits == 1
            assert sorted(letter.value or b"" for letter in sink.committed.dead_letters) == sorted(
                [records[13].value(), b"[]"]
            )
            assert sink.agent.dead_letters == {"clickhouse_refused": 1, "unreadable_output": 1}

    run(work())
    with connect(target) as client:
        assert client.query("SELECT count() FROM ticket_facts FINAL").result_rows == [(48,)]


@pytest.mark.skipif(bool(docker_is_missing()), reason=docker_is_missing())
def test_a_real_server_that_stands_still_is_waited_for() -> None:
    given = batches()

    async def work(container: Any, target: ClickHouseTarget) -> None:
        async with Sink(target) as sink:
            await sink.until(lambda: not sink.agent.not_connected(), "connected")
            await asyncio.to_thread(container.get_wrapped_container().pause)
            sink.give(*given)
            await sink.until(lambda: sink.agent.attempts.failures >= 2, "it has tried")
            assert not sink.committed.offsets
            await asyncio.to_thread(container.get_wrapped_container().unpause)
            await sink.until_committed(*given)

    with real_server() as (container, target):
        run(work(container, replace(target, database="paused", timeout_seconds=1.0)))


def test_waits_grow_to_a_bound_and_differ() -> None:
    def waits(attempt: int) -> list[float]:
        class State:
            attempt_number = attempt

        return [growing_wait_seconds(State()) for _ in range(200)]  # type: ignore[arg-type]

    for attempt, longest in ((1, FIRST_WAIT_SECONDS), (3, 4 * FIRST_WAIT_SECONDS), (10**6, LONGEST_WAIT_SECONDS)):
        found = waits(attempt)
        assert longest / 2 <= min(found) < max(found) <= longest
        assert max(found) - min(found) > longest / 4
