"""Looking at dead letters and sending them again, on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from confluent_kafka.admin import AdminClient

from deskpulse.dlq.before import refused_before
from deskpulse.dlq.letters import Wanted
from deskpulse.dlq.replay import Choice, replay
from deskpulse.dlq.rows import Rows
from schemas.events import MESSAGES, SURVEYS, TICKETS
from schemas.outputs import FACTS, TicketFacts
from sinks.clickhouse import ClickHouseSink, ClickHouseTarget, connect
from sinks.migrations import migrate
from streams.commit import CommitError
from streams.partitioner import partition_of
from tests.cli.conftest import PARTITIONS, Deskpulse, Ran, Tail
from tests.clickhouse.records import Record
from tests.dlq.conftest import HOUR_MS, Letters, event

Tails = Callable[[str], Tail]
Command = Callable[..., Ran]

PERSON = "mary@example.com"
FUTURE = "future: `at` is 90 s too far ahead"
MISMATCH = "key_mismatch: the key is not the record's `ticket_id`"


def test_letters_are_counted_by_reason_and_origin_and_the_newest_are_named(letters: Letters, dlq: Command) -> None:
    for minute in range(3):
        letters.refuse(event(priority=None), minute=minute)
    newest = letters.refuse(event(), reason=FUTURE, origin="support.messages[2]@40", minute=9, partition=2)
    told = dlq("list", *letters.hour, "--limit", 2).document
    assert (told["letters"], told["replayed"], told["accepted_now"]) == (4, 0, 1)
    first, second = told["kinds"]
    assert (first["reason"], first["origin_topic"], first["letters"]) == ("bad_record", TICKETS, 3)
    assert first["problem"] == "ticket.created: `priority` is missing; expected one of high, low, normal, urgent"
    assert (second["reason"], second["origin_topic"], second["accepted_now"]) == ("future", MESSAGES, 1)
    assert [one["letter"] for one in told["newest"]] == [newest, letters.ids[2]]
    assert told["newest"][0]["origin"] == "support.messages[2]@40"


def test_the_listing_can_be_narrowed_by_reason_topic_and_time(letters: Letters, dlq: Command) -> None:
    letters.refuse(event(), minute=1)
    letters.refuse(event(), reason=FUTURE, minute=10)
    letters.refuse(event(), reason=FUTURE, origin="support.surveys[0]@1", minute=20, partition=0)

    def found(*options: str) -> list[str]:
        chosen = (*letters.hour, *options) if "--since" not in options else options
        return [one["letter"] for one in dlq("list", *chosen).document["newest"]]

    assert found() == letters.ids[::-1]
    assert found("--reason", "future") == letters.ids[:0:-1]
    assert found("--topic", "support.surveys") == letters.ids[2:]
    assert found("--since", letters.at(5), "--until", letters.at(20)) == letters.ids[1:2]


def test_no_listing_shows_what_a_record_holds(letters: Letters, deskpulse: Deskpulse) -> None:
    letters.refuse(
        event(customer_id=PERSON, priority=PERSON),
        PERSON.encode(),
        reason=f'bad_record: ticket.created: `priority` is "{PERSON}"; expected one of high, low, normal, urgent',
        headers=(("user", PERSON.encode()),),
    )
    letters.refuse(PERSON.encode(), reason=f'bad_record: the record is "{PERSON}"; expected one JSON object')
    letters.refuse(b"{}", reason=f"bad_record: `{PERSON}` is NaN; expected finite numbers")
    letters.refuse(b"{}", reason=f"clickhouse_refused: table events: '{PERSON}'", origin="support.facts[0]@1")
    letters.refuse(event(), PERSON.encode(), reason=MISMATCH)
    letters.write(PERSON.encode(), PERSON.encode(), [("reason", PERSON.encode())])
    for arguments in (("list", *letters.hour, "--limit", 100), ("show", *letters.ids)):
        for answer in ("text", "json"):
            ran = deskpulse("dlq", *arguments, "--format", answer)
            assert ran.code == 0
            assert "mary" not in ran.out + ran.err
            assert "C-SECRET" not in ran.out + ran.err


def test_a_letter_is_shown_with_its_reason_its_fields_and_todays_judgement(letters: Letters, dlq: Command) -> None:
    wrong = 'ticket.created: `priority` is "later"; expected one of high, low, normal, urgent'
    one = letters.refuse(event(priority="later", note="call me"), reason=f"bad_record: {wrong}")
    two = letters.refuse(event(), reason=FUTURE)
    first, second = dlq("show", one, two).document
    assert first["told"] == "ticket.created: `priority` is wrong; expected one of high, low, normal, urgent"
    assert first["origin"] == "support.tickets[1]@7"
    assert first["key"] == "T1"
    assert first["value"]["channel"] == "email"
    assert first["value"]["customer_id"] == first["value"]["priority"] == "•••"
    assert "call me" not in json.dumps(first)
    assert (first["masked"], first["today"]["accepted"], first["today"]["reason"]) == (True, False, "bad_record")
    assert second["today"] == {"accepted": True, "topic": TICKETS, "reason": "", "told": ""}


def test_raw_shows_a_letter_as_it_is_and_says_so(letters: Letters, dlq: Command, deskpulse: Deskpulse) -> None:
    value = event(customer_id=PERSON)
    one = letters.refuse(value, headers=(("trace", b"\xff1"), ("reason", b"mine")))
    ran = dlq("show", one, "--raw")
    (told,) = ran.document
    assert told["value"] == value.decode()
    assert told["headers"] == [["trace", "\\xff1"], ["reason", "mine"]]
    assert told["masked"] is False
    assert "may hold personal data" in ran.err
    assert deskpulse("dlq", "show", one, "--value").out == f"{value.decode()}\n"


def test_a_letter_that_is_not_there_is_told(letters: Letters, deskpulse: Deskpulse) -> None:
    ran = deskpulse("dlq", "show", "1@999999")
    assert (ran.code, ran.out) == (1, "")
    assert "no such dead letter: 1@999999" in ran.err
    ran = deskpulse("dlq", "show", "17")
    assert ran.code == 2
    assert "expected PARTITION@OFFSET" in ran.err


def test_what_is_accepted_today_is_sent_as_it_was_and_the_rest_stays(
    letters: Letters, dlq: Command, tail: Tails
) -> None:
    tickets, surveys = tail(TICKETS), tail(SURVEYS)
    mended, wrong = event("T ü"), event(priority=None)
    own = (("trace", b"\xff1"), ("reason", b"mine"), ("empty", None))
    letters.refuse(mended, "T ü".encode(), reason=FUTURE, headers=own)
    letters.refuse(wrong)
    letters.refuse(event("T8"), b"T9", reason=MISMATCH)
    letters.refuse(b"{}", b"T1", origin="support.elsewhere[1]@3")
    survey = event("B", type="survey.sent", survey_id="s", kind="csat")
    letters.refuse(survey, None, reason="bad_record: not JSON: no", origin="file:old.jsonl")

    told = dlq("replay", *letters.hour).document
    assert (told["letters"], told["sent"], told["by_topic"]) == (5, 2, {SURVEYS: 1, TICKETS: 1})
    assert told["left"] == {"bad_record": 1, "key_mismatch": 1, "no_input": 1}
    (record,) = tickets.read(1)
    assert (record.key(), record.value(), record.headers()) == ("T ü".encode(), mended, list(own))
    assert record.timestamp()[1] == letters.hour_ms - HOUR_MS
    assert record.partition() == partition_of("T ü".encode(), PARTITIONS)
    (record,) = surveys.read(1)
    assert (record.key(), record.value()) == (b"B", survey)


def test_each_letter_is_sent_once_however_often_it_is_asked_for(letters: Letters, dlq: Command, tail: Tails) -> None:
    tickets = tail(TICKETS)
    values = [event("T1", number) for number in range(3)]
    ids = [letters.refuse(value, reason=FUTURE, partition=number) for number, value in enumerate(values)]
    assert dlq("replay", ids[1]).document["sent"] == 1
    assert dlq("replay", *letters.hour).document["sent"] == 2
    told = dlq("replay", *letters.hour).document
    assert (told["sent"], told["left"]) == (0, {"replayed": 3})
    assert dlq("replay", ids[0]).code == 1
    first, *rest = [record.value() or b"" for record in tickets.read(3)]
    assert (first, sorted(rest)) == (values[1], [values[0], values[2]])

    told = dlq("list", *letters.hour).document
    assert (told["letters"], told["replayed"], told["newest"]) == (3, 3, [])
    assert all(one["replayed_at"] for one in dlq("list", *letters.hour, "--all").document["newest"])
    assert dlq("replay", ids[0], "--again").document["sent"] == 1
    assert tickets.read(1)[0].value() == values[0]


def test_a_rehearsal_sends_nothing_a_limit_sends_the_oldest_and_no_consumer_group_is_left(
    letters: Letters, dlq: Command, tail: Tails, kafka: str
) -> None:
    tickets = tail(TICKETS)
    values = [event("T1", number) for number in range(4)]
    for value in values:
        letters.refuse(value, reason=FUTURE)
    told = dlq("replay", *letters.hour, "--dry-run").document
    assert (told["dry_run"], told["sent"], told["transactions"]) == (True, 4, 0)
    assert dlq("replay", *letters.hour, "--limit", 3).document["sent"] == 3
    assert dlq("replay", *letters.hour, "--limit", 3).document["sent"] == 1
    assert [record.value() for record in tickets.read(4)] == values
    admin = AdminClient({"bootstrap.servers": kafka})  # Its requests end with it.
    groups = admin.list_consumer_groups().result(20).valid
    assert [group.group_id for group in groups if "dlq" in group.group_id] == []


def test_force_sends_what_would_be_refused_again(letters: Letters, dlq: Command, tail: Tails) -> None:
    messages = tail(MESSAGES)
    letters.refuse(b"{nonsense", None, origin="support.messages[0]@1")
    letters.write(b"foreign", None, [])
    told = dlq("replay", *letters.hour, "--force").document
    assert (told["sent"], told["left"]) == (1, {"no_input": 1})
    (record,) = messages.read(1)
    assert (record.key(), record.value()) == (None, b"{nonsense")


def no_sink() -> ClickHouseSink:
    raise AssertionError("nothing is for ClickHouse")


@pytest.mark.filterwarnings("ignore:Producer abort_transaction failed during close")
def test_of_two_who_replay_at_once_one_is_fenced_and_nothing_is_sent_twice(
    letters: Letters, kafka: str, dlq: Command, tail: Tails
) -> None:
    tickets = tail(TICKETS)
    value = event("T1", 77)
    letters.refuse(value, reason=FUTURE)
    client = {"bootstrap.servers": kafka}
    choice = Choice(Wanted(since_ms=letters.hour_ms, until_ms=letters.hour_ms + HOUR_MS))
    second: list[int] = []

    def meanwhile(*_: int) -> None:
        if not second:
            with ThreadPoolExecutor(1) as thread:
                second.append(
                    thread.submit(replay, client, "deskpulse", 1, choice, Rows(no_sink)).result().sent.total()
                )

    with pytest.raises(CommitError, match="fenced"):
        replay(client, "deskpulse", 1, choice, Rows(no_sink), meanwhile)
    assert second == [1]
    assert dlq("replay", *letters.hour).document["sent"] == 0
    letters.refuse(event("T1", 78), reason=FUTURE)
    assert dlq("replay", *letters.hour).document["sent"] == 1
    assert [record.value() for record in tickets.read(2)] == [value, event("T1", 78)]


def test_a_worker_that_starts_knows_what_was_refused_just_before(letters: Letters, kafka: str) -> None:
    start = 1_000_000
    for offset in (start - 51, start - 50, start - 1, start):
        letters.refuse(event(), reason=FUTURE, origin=f"support.tickets[1]@{offset}")
    letters.refuse(event(), reason=MISMATCH, origin=f"support.tickets[1]@{start - 2}")
    letters.refuse(event(), reason=MISMATCH, origin=f"support.messages[1]@{start - 2}")
    letters.refuse(event(), origin="file:a.jsonl")
    client = {"bootstrap.servers": kafka}
    starts = {(TICKETS, 1): start, (TICKETS, 2): 20, (MESSAGES, 1): 0, (MESSAGES, 2): 0}
    assert refused_before(client, starts, 100) == {TICKETS: (70, {"future": 2, "key_mismatch": 1}), MESSAGES: (0, {})}


def test_rows_go_into_their_tables_with_the_place_that_they_had(
    letters: Letters, dlq: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = ClickHouseTarget(path=tmp_path / "clickhouse")
    client = connect(target)
    migrate(client, target.database)
    sink = ClickHouseSink(client, target.database)
    newer = TicketFacts(ticket_id="T1", as_of_ms=letters.hour_ms, status="solved")
    sink.insert(FACTS, 1, [Record(msgspec.json.encode(newer), b"T1", 50)])
    client.close()
    old, other = (TicketFacts(ticket_id=name, as_of_ms=letters.hour_ms, status="open") for name in ("T1", "T2"))
    refused = "clickhouse_refused: table ticket_facts: ARGUMENT_OUT_OF_BOUND (code 69)"
    letters.refuse(msgspec.json.encode(old), b"T1", reason=refused, origin="support.facts[1]@40")
    letters.refuse(msgspec.json.encode(other), b"T2", reason=refused, origin="support.facts[1]@41")
    letters.refuse(b"{}", b"T3", reason="unreadable_output: no", origin="support.facts[1]@42")
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PATH", str(tmp_path / "clickhouse"))

    told = dlq("replay", *letters.hour).document
    assert (told["by_topic"], told["left"]) == ({"ClickHouse": 2}, {"unreadable_output": 1})
    assert dlq("replay", *letters.hour).document["left"] == {"replayed": 2, "unreadable_output": 1}
    client = connect(target)
    rows = client.query("SELECT ticket_id, status, _offset FROM deskpulse.ticket_facts FINAL ORDER BY 1").result_rows
    client.close()
    assert rows == [("T1", "solved", 50), ("T2", "open", 41)]
