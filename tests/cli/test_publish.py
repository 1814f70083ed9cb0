from __future__ import annotations

import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ConfigSource,
    ResourceType,
)

from schemas.events import MESSAGES, SURVEYS, TICKETS
from schemas.outputs import DEAD_LETTERS
from sources import publisher
from streams.partitioner import partition_of
from tests.cli.conftest import PARTITIONS, Deskpulse, Tail

CREATED = (
    '{"id":"1","type":"ticket.created","ticket_id":"T ü","at":"2026-06-01T10:00:00Z",'
    '"customer_id":"c","channel":"chat","priority":"high", "own": [1, 2]}'
)
WRITTEN = (
    '{"type":"message.sent","id":"2","ticket_id":"T ü","at":"2026-06-01T10:00:05+02:00",'
    '"author":"agent","author_id":"a","visibility":"public"}'
)
ASKED = '{"id":"3","type":"survey.sent","ticket_id":"B","at":"2026-06-01T11:00:00Z","survey_id":"s","kind":"csat"}'
WRONG = '{"id":"4","type":"survey.sent","ticket_id":"B","at":"2026-06-01T11:00:00Z","survey_id":"s","kind":"love"}'
UNKNOWN = '{"id":"5","type":"call.ended","ticket_id":"B","at":"2026-06-01T11:00:00Z"}'

Tails = Callable[[str], Tail]


def test_each_event_reaches_the_topic_of_its_type_as_it_is(deskpulse: Deskpulse, tail: Tails) -> None:
    tickets, messages, surveys = tail(TICKETS), tail(MESSAGES), tail(SURVEYS)
    Path("events.jsonl").write_text(f"{CREATED}\n\n{WRITTEN}\r\n{ASKED}")
    ran = deskpulse("publish", "events.jsonl", "--format", "json")
    assert ran.code == 0
    assert ran.document["published"] == 3
    assert ran.document["by_topic"] == {TICKETS: 1, MESSAGES: 1, SURVEYS: 1}
    assert ran.document["bad"] == ran.document["skipped"] == 0
    for topic, line, key in ((tickets, CREATED, "T ü"), (messages, WRITTEN, "T ü"), (surveys, ASKED, "B")):
        (record,) = topic.read(1)
        assert record.value() == line.encode()
        assert record.key() == key.encode()
        assert record.partition() == partition_of(key.encode(), PARTITIONS)


def test_bad_lines_are_told_by_number_and_go_whole_to_the_dead_letters(deskpulse: Deskpulse, tail: Tails) -> None:
    dead, tickets = tail(DEAD_LETTERS), tail(TICKETS)
    Path("some.jsonl").write_bytes(b"\n".join([CREATED.encode(), b"{nonsense \xff", WRONG.encode(), UNKNOWN.encode()]))
    ran = deskpulse("publish", "some.jsonl", "--format", "json")
    assert ran.code == 0
    assert (ran.document["published"], ran.document["bad"], ran.document["skipped"]) == (1, 2, 1)
    assert ran.document["skipped_types"] == {"call.ended": 1}
    assert [bad["line"] for bad in ran.document["bad_lines"]] == [2, 3]
    assert "some.jsonl:2: not JSON" in ran.err
    assert 'some.jsonl:3: survey.sent: `kind` is "love"' in ran.err
    tickets.read(1)
    by_line = {dict(record.headers() or [])["origin_offset"]: record for record in dead.read(2)}
    assert by_line[b"2"].value() == b"{nonsense \xff"
    assert by_line[b"3"].value() == WRONG.encode()
    headers = dict(by_line[b"3"].headers() or [])
    assert headers["origin_topic"] == b"file:some.jsonl"
    assert headers["origin_partition"] == b"-1"
    assert b'`kind` is "love"; expected one of' in (headers["reason"] or b"")
    assert deskpulse("publish", "some.jsonl", "--strict").code == 1


def test_only_the_first_bad_lines_are_shown(deskpulse: Deskpulse, kafka: str) -> None:
    Path("bad.jsonl").write_text("x\n" * 7)
    ran = deskpulse("publish", "bad.jsonl", "--show-bad", 2)
    assert ran.err.splitlines()[2:] == ["… and 5 more bad lines"]
    assert "7 bad lines went to the dead letters" in ran.out


def test_packed_files_and_standard_input_are_read_too(
    deskpulse: Deskpulse, tail: Tails, monkeypatch: pytest.MonkeyPatch
) -> None:
    messages = tail(MESSAGES)
    Path("a.jsonl.gz").write_bytes(gzip.compress(f"{WRITTEN}\n".encode()))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{WRITTEN}\n{WRITTEN}\n".encode())))
    ran = deskpulse("publish", "a.jsonl.gz", "-", "--format", "json")
    assert ran.document["published"] == 3
    messages.read(3)


@contextmanager
def small_records_only(broker: str, topic: str) -> Iterator[None]:
    admin = AdminClient({"bootstrap.servers": broker})

    def alter(operation: AlterConfigOpType) -> None:
        entry = ConfigEntry(
            "max.message.bytes", "300", ConfigSource.DYNAMIC_TOPIC_CONFIG, incremental_operation=operation
        )
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for done in admin.incremental_alter_configs([resource]).values():
            done.result()

    alter(AlterConfigOpType.SET)
    try:
        yield
    finally:
        alter(AlterConfigOpType.DELETE)


def test_a_record_that_the_broker_refuses_is_not_lost_silently(deskpulse: Deskpulse, kafka: str) -> None:
    long = json.dumps(json.loads(ASKED) | {"own": [f"{k * 7919:x}" for k in range(1000)]})
    Path("long.jsonl").write_text(long)
    with small_records_only(kafka, SURVEYS):
        ran = deskpulse("publish", "long.jsonl", "--format", "json")
    assert ran.code == 1
    assert ran.out == ""
    assert "1 records were not delivered: support.surveys: Broker: Message size too large" in ran.err


def test_a_broker_that_is_not_there_is_told_in_one_line(deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "CONNECT_SECONDS", 0.5)
    monkeypatch.setenv("DESKPULSE_KAFKA__BOOTSTRAP", "127.0.0.1:1")
    Path("events.jsonl").write_text(CREATED)
    ran = deskpulse("publish", "events.jsonl")
    assert ran.code == 1
    assert ran.err.startswith("Kafka: no broker answered within")
    assert "Connection refused" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_missing_topics_are_told_with_the_command_that_makes_them(desk_broker: str) -> None:
    with pytest.raises(publisher.PublishError, match=r"missing: not-there; `deskpulse topics create`"):
        publisher.Publisher({"bootstrap.servers": desk_broker}).connect(("not-there",))


def test_a_file_that_is_not_there_is_told(deskpulse: Deskpulse, kafka: str) -> None:
    ran = deskpulse("publish", "nowhere.jsonl")
    assert ran.code == 1
    assert ran.err.startswith("nowhere.jsonl: No such file or directory")
