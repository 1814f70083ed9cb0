from __future__ import annotations

import asyncio
import gc
import json
import random
import tracemalloc
import weakref
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.client import Client

from schemas.events import MESSAGES, TICKETS
from schemas.outputs import CELLS, FACTS, LATE, SLA_EVENTS, NextReply, SlaEvent, SurveyAnswer, TicketFacts
from sinks.clickhouse import ClickHouseSink, ClickHouseTarget, InsertFailedError
from sinks.rows import BadOutputError, UnknownTopicError
from tests.clickhouse.records import NOW_MS, Record, batches, of_facts, rows
from tests.clickhouse.sink_in_hand import Batch, Sink

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


def of_ticket(ticket_id: str, **facts: Any) -> TicketFacts:
    usual: dict[str, Any] = {"as_of_ms": NOW_MS, "created_at_ms": NOW_MS - 3_600_000}
    return TicketFacts(ticket_id=ticket_id, **usual | facts)


def instant(value: Any) -> datetime:
    assert isinstance(value, datetime)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def test_facts_come_out_as_they_went_in(database: tuple[Client, str]) -> None:
    client, name = database
    answer = SurveyAnswer("s1", "csat", 4.0, 1.0, 5.0, NOW_MS - 7)
    full = of_ticket(
        "it's \\ 1",
        status="solved",
        channel="chat",
        first_reply_seconds=61.5,
        first_reply_at_ms=NOW_MS - 1,
        fcr=False,
        solves=2,
        status_seconds={"new": 1.5, "open": 2.0},
        surveys_sent={"csat": 2},
        answers=[answer],
    )
    ClickHouseSink(client, name).insert(FACTS, 0, of_facts(full, TicketFacts(ticket_id="bare", as_of_ms=NOW_MS)))
    bare, found = rows(client, "SELECT * FROM tickets ORDER BY ticket_id")
    assert found["ticket_id"] == "it's \\ 1"
    assert found["first_reply_seconds"] == 61.5
    assert instant(found["first_reply_at"]) == NOW - timedelta(milliseconds=1)
    assert (found["fcr"], found["fcr_final"], found["solves"], found["channel"]) == (False, None, 2, "chat")
    assert (found["status_seconds"], found["surveys_sent"]) == ({"new": 1.5, "open": 2.0}, {"csat": 2})
    (answered,) = found["answers"]
    assert (answered["survey_id"], answered["score"]) == ("s1", 4.0)
    assert instant(answered["answered_at"]) == NOW - timedelta(milliseconds=7)
    assert (bare["created_at"], bare["first_reply_seconds"], bare["status"], bare["answers"]) == (None, None, "", [])


def test_next_replies_come_out_with_what_is_not_known_yet(database: tuple[Client, str]) -> None:
    client, name = database
    replies = [
        NextReply(NOW_MS - 9_000, NOW_MS - 4_000, 5.0, 2.0, "reply"),
        NextReply(NOW_MS - 3_000, NOW_MS - 1_000, 2.0, None, "solve"),
        NextReply(NOW_MS - 500),
    ]
    ticket = of_ticket("a", status="open", next_replies=replies, unanswered=True, policy="urgent", handled_by="both")
    ClickHouseSink(client, name).insert(FACTS, 0, of_facts(ticket))
    (found,) = rows(client, "SELECT next_replies, unanswered, policy, handled_by FROM tickets")
    assert [
        (wait["seconds"], wait["business_seconds"], wait["ended_by"], wait["ended_at"] and instant(wait["ended_at"]))
        for wait in found["next_replies"]
    ] == [
        (5.0, 2.0, "reply", NOW - timedelta(seconds=4)),
        (2.0, 2.0, "solve", NOW - timedelta(seconds=1)),
        (None, None, None, None),
    ]
    assert (found["unanswered"], found["policy"], found["handled_by"]) == (True, "urgent", "both")


def test_a_duration_within_opening_hours_that_is_left_out_is_the_elapsed_one(database: tuple[Client, str]) -> None:
    client, name = database
    ticket = of_ticket(
        "a",
        first_touch_seconds=10.0,
        first_reply_seconds=60.0,
        first_reply_business_seconds=0.0,
        status_seconds={"new": 60.0},
        requester_wait_seconds=60.0,
        requester_wait_business_seconds=20.0,
        agent_work_seconds=60.0,
    )
    partly = of_ticket("b", status_seconds={"new": 5.0}, status_business_seconds={"new": 1.0})
    closed = of_ticket("c", status_seconds={"new": 5.0}, status_business_seconds={})
    ClickHouseSink(client, name).insert(FACTS, 0, of_facts(ticket, partly, closed))
    first, second, third = rows(client, "SELECT * FROM tickets ORDER BY ticket_id")
    assert first["first_touch_business_seconds"] == 10.0
    assert first["first_reply_business_seconds"] == 0.0
    assert first["status_business_seconds"] == {"new": 60.0}
    assert (first["requester_wait_business_seconds"], first["agent_work_business_seconds"]) == (20.0, 60.0)
    assert (first["full_resolution_seconds"], first["full_resolution_business_seconds"]) == (None, None)
    assert (second["status_business_seconds"], third["status_business_seconds"]) == ({"new": 1.0}, {})


def test_the_newest_facts_hold_however_often_older_ones_come(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    dice = random.Random(3)
    records = of_facts(*(of_ticket(str(n % 5), solves=n, created_at_ms=NOW_MS - n * 10**10) for n in range(40)))
    for _ in range(3):
        for batch in batches(dice, records):
            sink.insert(FACTS, 0, batch)
    sink.insert(FACTS, 0, records[:20])
    found = client.query("SELECT ticket_id, solves FROM tickets ORDER BY ticket_id").result_rows
    assert found == [(str(n), 35 + n) for n in range(5)]


def test_a_deleted_ticket_leaves_every_view(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    sink.insert(FACTS, 0, of_facts(of_ticket("spam", status="open"), of_ticket("kept", status="open")))
    sink.insert(FACTS, 0, of_facts(TicketFacts(ticket_id="spam", as_of_ms=NOW_MS, deleted=True), first_offset=2))
    assert client.query("SELECT ticket_id FROM tickets").result_rows == [("kept",)]
    assert client.query("SELECT tickets FROM backlog_by(dimension = 'all', at = now())").result_rows == [(1,)]


def test_the_clocks_of_open_tickets_go_on(database: tuple[Client, str]) -> None:
    client, name = database
    facts: dict[str, Any] = {
        "as_of_ms": NOW_MS - 60_000,
        "status_seconds": {"new": 10.0, "open": 5.0},
        "requester_wait_seconds": 15.0,
        "agent_work_seconds": 15.0,
    }
    ClickHouseSink(client, name).insert(
        FACTS,
        0,
        of_facts(
            of_ticket("open", status="open", **facts),
            of_ticket("pending", status="pending", **facts),
            of_ticket("on_hold", status="on_hold", **facts),
            of_ticket("solved", status="solved", **facts),
            of_ticket("merged", status="open", merged_into="open", **facts),
        ),
    )
    found = rows(client, "SELECT * FROM tickets_at(at = NOW)")
    by_id = {row["ticket_id"]: row for row in found}
    assert by_id["open"]["status_seconds"] == {"new": 10.0, "open": 65.0}
    assert by_id["pending"]["status_seconds"] == {"new": 10.0, "open": 5.0, "pending": 60.0}
    assert by_id["solved"]["status_seconds"] == by_id["merged"]["status_seconds"] == facts["status_seconds"]
    assert {ticket: (row["requester_wait_seconds"], row["agent_work_seconds"]) for ticket, row in by_id.items()} == {
        "open": (75.0, 75.0),
        "pending": (15.0, 15.0),
        "on_hold": (75.0, 15.0),
        "solved": (15.0, 15.0),
        "merged": (15.0, 15.0),
    }
    assert {ticket: row["age_seconds"] for ticket, row in by_id.items()} == {
        "open": 3600.0,
        "pending": 3600.0,
        "on_hold": 3600.0,
        "solved": None,
        "merged": None,
    }


def test_the_backlog_by_status_and_age(database: tuple[Client, str]) -> None:
    client, name = database
    tickets = [
        of_ticket(
            str(n),
            status=("new", "open", "pending", "on_hold", "solved")[n % 5],
            team="ab"[n % 2],
            created_at_ms=NOW_MS - 1000 * n,
            unanswered=n % 5 < 3,
        )
        for n in range(50)
    ]
    ClickHouseSink(client, name).insert(FACTS, 0, of_facts(*tickets))
    (everything,) = rows(client, "SELECT * FROM backlog_by(dimension = 'all', at = NOW)")
    assert everything == {
        "value": "",
        "new_tickets": 10,
        "open_tickets": 10,
        "pending_tickets": 10,
        "on_hold_tickets": 10,
        "tickets": 40,
        "unanswered_tickets": 30,
        "oldest_age_seconds": 48.0,
        "p50_age_seconds": 23.0,
        "p90_age_seconds": 43.0,
    }
    by_team = rows(client, "SELECT value, tickets FROM backlog_by(dimension = 'team', at = NOW)")
    assert by_team == [{"value": "a", "tickets": 20}, {"value": "b", "tickets": 20}]


def event(number: int, **fields: Any) -> bytes:
    return json.dumps(
        {
            "id": f"e{number}",
            "type": "message.sent",
            "ticket_id": "t",
            "at": "2026-06-01T02:00:00.0015+02:00",
            "author": "agent",
            "author_id": "é",
            "visibility": "public",
        }
        | fields,
        ensure_ascii=False,
    ).encode()


def test_the_archive_keeps_every_accepted_record_whole_and_once_per_offset(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    values = [event(1), event(1), event(2, extra="a\tb'\\"), b"no json", event(3, type="other"), None, event(4)]
    records = [Record(value, b"t", offset, NOW_MS) for offset, value in enumerate(values)]
    assert sink.insert(MESSAGES, 5, records) == 4
    assert sink.insert(MESSAGES, 5, records[1:]) == 3
    found = rows(client, "SELECT * FROM archive ORDER BY _offset")
    assert [(row["_offset"], row["id"], row["value"].encode()) for row in found] == [
        (offset, json.loads(values[offset] or b"")["id"], values[offset]) for offset in (0, 1, 2, 6)
    ]
    first = found[0]
    assert (first["_topic"], first["_partition"], first["_key"], first["type"]) == (MESSAGES, 5, "t", "message.sent")
    assert instant(first["at"]) == datetime(2026, 6, 1, 0, 0, 0, 1000, UTC)
    assert instant(first["_produced_at"]) == NOW


def test_an_archive_over_many_years_goes_in_at_once(database: tuple[Client, str]) -> None:
    client, name = database
    month_ms = 31 * 86_400_000
    records = [Record(event(n), b"t", n, NOW_MS - n * month_ms) for n in range(150)]
    assert ClickHouseSink(client, name).insert(TICKETS, 0, records) == 150
    assert rows(client, "SELECT count() AS n FROM archive") == [{"n": 150}]


def happening(kind: str, withdraws: str = "", **fields: Any) -> bytes:
    usual: dict[str, Any] = {
        "ticket_id": "1", "target": "first_reply", "policy": "p", "at_ms": NOW_MS, "started_at_ms": NOW_MS - 9,
    }  # fmt: skip
    return msgspec.json.encode(SlaEvent(kind=kind, withdraws=withdraws, **usual | fields))


def holding(client: Client, *columns: str) -> list[tuple[Any, ...]]:
    """What the log shows, in order of publication."""
    found = client.query(f"SELECT {', '.join(columns)} FROM sla_log ORDER BY _offset").result_rows
    return [tuple(row) for row in found]


def test_a_happening_of_a_target_is_one_row_also_when_published_again(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    published = [
        happening("at_risk"),
        happening("breached", due_at_ms=NOW_MS),
        happening("breached", instance=2),
        happening("met", target="resolution"),
    ]
    records = [Record(value, b"1", offset) for offset, value in enumerate(published * 2)]
    assert sink.insert(SLA_EVENTS, 0, records) == 8
    sink.insert(SLA_EVENTS, 0, records[:3])
    assert holding(client, "target", "instance", "kind", "_offset") == [
        ("first_reply", 1, "at_risk", 4),
        ("first_reply", 1, "breached", 5),
        ("first_reply", 2, "breached", 6),
        ("resolution", 1, "met", 7),
    ]


def test_of_one_instance_and_kind_the_newest_holds_whatever_its_policy_and_time(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    sink.insert(SLA_EVENTS, 0, [Record(happening("met", policy="old", due_at_ms=NOW_MS), b"1", 3)])
    sink.insert(SLA_EVENTS, 0, [Record(happening("met", policy="new", at_ms=NOW_MS - 1), b"1", 4)])
    (only,) = rows(client, "SELECT * FROM sla_log")
    assert (only["kind"], only["policy"], only["due_at"]) == ("met", "new", None)
    assert instant(only["at"]) == NOW - timedelta(milliseconds=1)


def test_what_was_withdrawn_is_gone_and_holds_again_when_raised_again(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    published = [
        happening("at_risk"),
        happening("breached"),
        happening("breached", instance=2),
        happening("retracted", withdraws="breached"),
        happening("retracted", withdraws="at_risk"),
        happening("met"),
        happening("breached"),
    ]
    expected = [
        {"at_risk 1"},
        {"at_risk 1", "breached 1"},
        {"at_risk 1", "breached 1", "breached 2"},
        {"at_risk 1", "breached 2"},
        {"breached 2"},
        {"breached 2", "met 1"},
        {"breached 2", "met 1", "breached 1"},
    ]
    for offset, value in enumerate(published):
        sink.insert(SLA_EVENTS, 0, [Record(value, b"1", offset)])
        assert {f"{kind} {instance}" for kind, instance in holding(client, "kind", "instance")} == expected[offset]
    everything = [Record(value, b"1", offset) for offset, value in enumerate(published)]
    for batch in batches(random.Random(5), everything[:6]):
        sink.insert(SLA_EVENTS, 0, batch)
    client.command("OPTIMIZE TABLE sla_events FINAL")
    assert {f"{kind} {instance}" for kind, instance in holding(client, "kind", "instance")} == expected[-1]


def test_tombstones_and_empty_batches_make_no_rows(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    assert sink.insert(FACTS, 0, []) == 0
    for topic in (FACTS, CELLS, SLA_EVENTS, MESSAGES):
        assert sink.insert(topic, 0, [Record(None, b"k", 0)]) == 0


def test_an_insert_that_fails_says_which_table_partition_and_offsets(database: tuple[Client, str]) -> None:
    client, name = database
    client.command("DROP TABLE ticket_facts")
    records = of_facts(of_ticket("a"), of_ticket("b"), first_offset=41)
    with pytest.raises(
        InsertFailedError, match=rf"table ticket_facts, from {FACTS}\[2\] offsets 41 to 42: .*UNKNOWN_TABLE"
    ):
        ClickHouseSink(client, name).insert(FACTS, 2, records)


def test_what_cannot_be_read_is_named_by_its_place(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    cell = {"resolution": "minute", "pane_at_ms": 0, "as_of_ms": 0, "dimensions": {}, "measures": {"votes": 1}}
    for topic, value, what in (
        (FACTS, b"{}", "missing required field `ticket_id`"),
        (CELLS, json.dumps(cell).encode(), "measure 'votes' is unknown"),
        (CELLS, json.dumps(cell | {"resolution": "day"}).encode(), "`resolution` 'day'; expected minute or hour"),
    ):
        with pytest.raises(BadOutputError, match=rf"{topic} partition 1 offset 17: .*{what}"):
            sink.insert(topic, 1, [Record(value, b"k", 17)])
    with pytest.raises(UnknownTopicError, match=r"support\.late.* has no table; expected one of support\.facts"):
        sink.insert(LATE, 0, [Record(b"{}", b"k", 0)])


def test_what_is_inserted_is_let_go_without_the_cyclic_collector(database: tuple[Client, str]) -> None:
    client, name = database
    sink = ClickHouseSink(client, name)
    megabyte = 1 << 20

    def insert(number: int) -> None:
        sink.insert(MESSAGES, 0, [Record(event(number, brand="x" * megabyte), b"t", number, NOW_MS)])

    insert(0)
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for number in range(1, 11):
            insert(number)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        gc.enable()
    # Threads of other tests may hold something, too; what is not let go is all ten.
    assert held < 5 * megabyte


def test_what_is_committed_is_let_go_before_the_next_comes(engine: ClickHouseTarget) -> None:
    async def work() -> None:
        async with Sink(replace(engine, database="let_go")) as sink:
            batch = Batch(FACTS, 0, of_facts(of_ticket("a")))
            it = weakref.ref(batch)
            sink.give(batch)
            await sink.until_committed(batch)
            del batch
            await sink.until(lambda: it() is None, "nobody holds it")

    asyncio.run(work())
