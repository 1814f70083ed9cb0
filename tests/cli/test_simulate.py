from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from pathlib import Path

from schemas.events import INPUT_TOPICS, TICKETS, at_ms, decode
from tests.cli.conftest import Deskpulse, Tail


def test_the_same_seed_writes_the_same_bytes(deskpulse: Deskpulse) -> None:
    options = ("--tickets", 300, "--start", "2026-06-01", "--late", 0.1, "--duplicates", 0.1, "--format", "json")
    first = deskpulse("simulate", *options, "--seed", 4, "--to-file", "a.jsonl.gz")
    again = deskpulse("simulate", *options, "--seed", 4, "--to-file", "b.jsonl.gz")
    other = deskpulse("simulate", *options, "--seed", 5, "--to-file", "c.jsonl.gz")
    assert Path("a.jsonl.gz").read_bytes() == Path("b.jsonl.gz").read_bytes()
    assert Path("a.jsonl.gz").read_bytes() != Path("c.jsonl.gz").read_bytes()
    assert first.document["by_topic"] == again.document["by_topic"]
    lines = gzip.decompress(Path("a.jsonl.gz").read_bytes()).splitlines()
    assert len(lines) == first.document["events"] == sum(first.document["by_topic"].values())
    assert other.document["seed"] == 5


def test_standard_output_holds_events_and_nothing_else(deskpulse: Deskpulse) -> None:
    ran = deskpulse("simulate", "--tickets", 20, "--events", 50, "-o", "-")
    assert [decode(line.encode()).ticket_id for line in ran.out.splitlines()]
    assert len(ran.out.splitlines()) == 50
    assert "50 events" in ran.err


def test_a_live_desk_begins_with_a_past_and_goes_on_now(deskpulse: Deskpulse, tail: Callable[[str], Tail]) -> None:
    tails = [tail(topic) for topic in INPUT_TOPICS]
    began = time.time()
    # Without bursts, which multiply the rate in one run of 25.
    options = ("--live", "--rate", 200, "--warm", "60s", "--seconds", 1.5, "--no-incidents", "--format", "json")
    ran = deskpulse("simulate", *options)
    ended = time.time()
    assert ran.code == 0
    happened = [
        at_ms(decode(record.value()).at) / 1000
        for topic in tails
        if (number := ran.document["by_topic"].get(topic.topic, 0))
        for record in topic.read(number)
    ]
    assert len(happened) == ran.document["events"]
    assert min(happened) >= began - 61
    assert sum(at < began for at in happened) > 1000
    assert 30 < sum(at > began for at in happened) < 2 * 200 * (ended - began)
    assert max(happened) < ended


def test_a_past_goes_to_kafka_as_fast_as_possible(deskpulse: Deskpulse, tail: Callable[[str], Tail]) -> None:
    tickets = tail(TICKETS)
    ran = deskpulse("simulate", "--tickets", 500, "--days", 3, "--seed", 9, "--format", "json")
    assert ran.document["seconds"] < 20
    records = tickets.read(ran.document["by_topic"][TICKETS])
    assert all(decode(record.value()).ticket_id.encode() == record.key() for record in records)


def test_wrong_numbers_are_refused(deskpulse: Deskpulse) -> None:
    for options in (("--days", 0), ("--rate", -1), ("--tickets", 5, "--rate", 5), ("--late", 2), ("--warm", "5")):
        assert deskpulse("simulate", "-o", "x", *options).code == 2
    assert "expected a duration with its unit" in deskpulse("simulate", "--live", "--warm", "5").err
