from __future__ import annotations

import asyncio
import gzip
import io
import json
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import urlopen

import faust
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deskpulse.explain import archive
from deskpulse.explain.clocks import labels
from deskpulse.explain.document import document
from deskpulse.explain.explanation import explained
from deskpulse.explain.page import page
from deskpulse.explain.route import Tickets
from deskpulse.explain.timeline import lines
from deskpulse.explain.words import LocalTime
from deskpulse.settings import Settings, load
from deskpulse.web import register
from schemas.events import TOPIC_OF_TYPE
from schemas.outputs import TicketFacts
from sinks.clickhouse import ClickHouseSink, connect
from sinks.migrations import migrate
from streams.batch import batch
from streams.live import Health, LiveFigures
from tests import strategies
from tests.cli.conftest import Deskpulse
from tests.clickhouse.records import Record
from tests.page.worker import free_port

Line = dict[str, Any]

POLICIES = """\
[calendars.berlin]
zone = "Europe/Berlin"
hours = { mon-fri = ["09:00-17:00"] }

[[policies]]
name = "vip"
when = { tier = ["gold"] }
calendar = "always"
targets = { agent_work = "2h" }

[[policies]]
name = "all"
calendar = "berlin"
targets = { first_reply = "4h", agent_work = "8h" }
"""


def line(ticket: str, at: str, type: str, **fields: Any) -> Line:
    id = f"{ticket} {at} {type} {fields}"
    return {"id": id, "ticket_id": ticket, "at": f"2026-06-{at}Z", "type": type, **fields}


def created(ticket: str, at: str, customer: str = "c", **more: Any) -> Line:
    return line(ticket, at, "ticket.created", customer_id=customer, channel="email", priority="normal", **more)


def updated(ticket: str, at: str, **fields: Any) -> Line:
    return line(ticket, at, "ticket.updated", **fields)


def said(ticket: str, at: str, author: str) -> Line:
    return line(ticket, at, "message.sent", author=author, author_id=f"{author} 7", visibility="public")


def written(lines: Iterable[Line], name: str = "events.jsonl") -> str:
    Path(name).write_text("".join(json.dumps(one) + "\n" for one in lines))
    return name


REPEATED = [
    created("T1", "01T09:00:00", category="billing"),
    said("T1", "01T10:00:00", "agent"),
    updated("T1", "01T10:00:00", status="solved"),
    created("T2", "03T09:00:00", category="billing"),
    line("T2", "03T10:00:00", "survey.sent", survey_id="s", kind="csat"),
    line("T2", "03T11:00:00.250", "survey.answered", survey_id="s", kind="csat", score=4),
    created("T3", "04T09:00:00", customer="somebody else", category="billing"),
]


def test_one_ticket_of_a_file_is_told_with_what_the_others_say_of_it(deskpulse: Deskpulse) -> None:
    ran = deskpulse("explain", written(REPEATED), "--ticket", "T1", "--format", "json")
    (ticket,) = ran.document
    assert (ticket["no_reopen"], ticket["no_repeat"], ticket["fcr"]) == (True, False, False)
    assert ticket["as_of"] == "2026-06-04T09:00:00Z", "the last event of the whole file"
    assert ticket["first_reply_seconds"] == 3600
    assert type(ticket["first_reply_seconds"]) is int


def test_now_can_be_said(deskpulse: Deskpulse) -> None:
    told = deskpulse("explain", written(REPEATED), "--now", "2026-06-30T12:00:00.5+02:00", "--format", "json").document
    assert [one["ticket_id"] for one in told] == ["T1", "T2", "T3"]
    assert {one["as_of"] for one in told} == {"2026-06-30T10:00:00.500Z"}
    assert told[2]["status_seconds"] == {"new": 26 * 86_400 + 3600.5}
    assert [one["fcr_final"] for one in told] == [True, None, None]


def test_an_answer_is_told_with_what_it_counts_as(deskpulse: Deskpulse) -> None:
    (ticket,) = deskpulse("explain", written(REPEATED), "--ticket", "T2", "--format", "json").document
    assert ticket["surveys_sent"] == {"csat": 1}
    assert ticket["surveys"] == [
        {
            "survey_id": "s",
            "kind": "csat",
            "score": 4,
            "scale_min": 1,
            "scale_max": 5,
            "answered_at": "2026-06-03T11:00:00.250Z",
            "satisfied": True,
            "category": "satisfied",
        }
    ]


def test_every_key_is_always_there_and_what_is_unknown_is_null(deskpulse: Deskpulse) -> None:
    lines = [
        *REPEATED,
        said("no creation", "01T10:00:00", "agent"),
        created("deleted", "01T10:00:00"),
        line("deleted", "01T11:00:00", "ticket.deleted"),
        line("merged", "01T10:00:00", "ticket.merged", into="T1"),
        created("merged", "01T11:00:00"),
    ]
    told = {one["ticket_id"]: one for one in deskpulse("explain", written(lines), "--format", "json").document}
    assert len({tuple(one) for one in told.values()}) == 1
    names = {name.removesuffix("_ms") for name in TicketFacts.__struct_fields__} - {"answers"}
    assert told["T1"].keys() == names | {"surveys", "sla"}
    for ticket in ("no creation", "deleted", "merged"):
        assert told[ticket]["agent_replies"] is None
        assert told[ticket]["first_reply_business_seconds"] is None
        assert (told[ticket]["next_replies"], told[ticket]["status_seconds"], told[ticket]["sla"]) == ([], {}, [])
    assert told["deleted"]["deleted"] is True
    assert told["merged"]["merged_into"] == "T1"
    assert told["T1"]["team"] is None
    assert told["T3"]["solves"] == 0


STORY = [
    created("T1", "01T08:00:00"),
    updated("T1", "01T10:00:00", status="pending"),
    updated("T1", "02T13:00:00", status="open"),
    updated("T1", "02T14:00:00", tier="gold"),
    updated("T1", "02T15:00:00", status="solved"),
    updated("T1", "03T08:00:00", status="open"),
    said("T1", "03T08:30:00", "agent"),
    updated("T1", "03T09:00:00", status="closed", actor="agent 7"),
]


def test_the_text_says_why_each_clock_started_paused_changed_and_ended(deskpulse: Deskpulse) -> None:
    Path("deskpulse.toml").write_text(POLICIES)
    text = " ".join(deskpulse("explain", written(STORY)).out.split())
    in_order = [
        "T1 as of Wed 2026-06-03 09:00:00 UTC (UTC)",
        "Mon 2026-06-01 08:00:00 UTC created for customer c: channel email, priority normal, status new",
        "policy all holds: hours of calendar berlin (Europe/Berlin)",
        "first_reply starts (the creation): 4h by policy all, calendar berlin",
        "agent_work starts (the creation): 8h by policy all, calendar berlin",
        "status pending · agent_work pauses: its time does not run in pending",
        "first_reply is at risk: 80 % of its time is over",
        "first_reply is breached: nothing had ended it when it was due",
        "status open · agent_work goes on: its time runs in open",
        "tier gold · policy vip holds: hours of calendar always (UTC)",
        "agent_work is now 2h by policy vip, from its own start",
        "agent_work is breached: the 2h of policy vip were over when it came to hold",
        "status solved",
        "first_reply ends",
        "status open · the customer waits for a first reply, from the reopening",
        "public message by agent agent 7",
        "the wait for a first reply ends after 30m: the public message of an agent",
        "status closed, by agent 7 · agent_work ends",
        "late: the solve",
        "now: status closed",
        "target times why",
        "first_reply started Mon 2026-06-01 08:00:00 UTC nothing had ended it when it was due; ended 11h late by the",
        "breached due Mon 2026-06-01 12:00:00 UTC",
        "policy all ended Tue 2026-06-02 15:00:00 UTC",
        "fact value opening hours why",
        "first_reply 30m 30m the reopening, Wed 2026-06-03 08:00:00 UTC, to the message of agent agent 7",
    ]
    place = 0
    for told in in_order:
        assert told in text[place:], f"{told!r} is missing, or stands too early, in {text}"
        place = text.index(told, place)


def test_what_does_not_count_says_so(deskpulse: Deskpulse) -> None:
    lines = [
        said("T1", "01T08:00:00", "customer"),
        updated("T1", "01T08:30:00", status="open", team="a"),
        created("T1", "01T09:00:00"),
        created("T1", "01T09:30:00", customer="d"),
        line("T1", "01T10:00:00", "ticket.merged", into="T2"),
        said("T1", "01T11:00:00", "agent"),
    ]
    text = deskpulse("explain", written(lines)).out
    assert "public message by customer customer 7 (before the creation: not counted)" in text
    assert "status open, team a (before the creation: sets attributes, no status)" in text
    assert "(ignored: created already)" in text
    assert "public message by agent agent 7 (after the merge: not counted)" in text


def test_bad_lines_are_told_by_number_and_the_rest_is_explained(deskpulse: Deskpulse) -> None:
    name = written(REPEATED)
    Path(name).write_bytes(b'{"type": "nothing\x1b[31m"}\n\n' + Path(name).read_bytes() + b"no json\nno json\n")
    ran = deskpulse("explain", name, "--format", "json", "--show-bad", 1)
    assert ran.code == 0
    assert len(ran.document) == 3
    assert ran.err.splitlines()[0].startswith("events.jsonl:1: not JSON")
    assert ran.err.splitlines()[1:] == ["… and 2 more bad lines"]
    assert "\x1b" not in ran.err
    assert deskpulse("explain", name, "--strict").code == 1


def test_packed_files_and_standard_input_are_read_too(deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Path(written(REPEATED)).read_bytes()
    expected = deskpulse("explain", "events.jsonl", "--format", "json").document
    Path("events.jsonl.gz").write_bytes(gzip.compress(plain))
    assert deskpulse("explain", "events.jsonl.gz", "--format", "json").document == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(plain)))
    assert deskpulse("explain", "-", "--format", "json").document == expected


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (
            ["events.jsonl", "--ticket", "T9"],
            1,
            "events.jsonl: there is no event of ticket T9; there are 3 tickets: T1",
        ),
        (["empty.jsonl"], 1, "empty.jsonl: there is no event in it; expected one JSON object a line"),
        (["nowhere.jsonl"], 1, "nowhere.jsonl: No such file or directory"),
        ([], 2, "say which: a file of events, or --ticket ID"),
        (["events.jsonl", "--now", "2026-06-01T10:00:00"], 2, "expected RFC 3339 with an offset"),
        (["events.jsonl", "--config", "nowhere.toml"], 2, "nowhere.toml"),
    ],
)
def test_what_cannot_be_explained_is_told(deskpulse: Deskpulse, arguments: list[str], code: int, told: str) -> None:
    written(REPEATED)
    written([], "empty.jsonl")
    ran = deskpulse("explain", *arguments)
    assert ran.code == code
    assert told in " ".join(ran.err.replace("│", "").split())
    assert ran.out == ""


@given(st.data())
@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_happened_is_told_once_and_in_order(data: st.DataObject) -> None:
    events = data.draw(strategies.histories())
    config = data.draw(strategies.configs())
    for told in batch(events, data.draw(strategies.nows_ms(events)), config).values():
        json.dumps(document(told), allow_nan=False)
        assert page(explained(told, config)).endswith("</html>\n")
        rows = lines(told, config, LocalTime("UTC"))
        assert [row.at_ms for row in rows] == sorted(row.at_ms for row in rows)
        assert len(told.history) == [row.kind for row in rows].count("event")
        for label, one in zip(labels(told.facts.sla), told.facts.sla, strict=True):
            of_it = [row for row in rows if row.text.startswith(f"{label} ")]
            assert [row.kind for row in of_it].count("started") == 1, (label, rows)
            assert [row.at_ms for row in of_it if row.kind == "breached"] == [one.breached_at] * (
                one.breached_at is not None
            )
            assert [row.at_ms for row in of_it if row.kind == "at_risk"] == [one.at_risk_at] * one.at_risk_raised
            ends = [row.at_ms for row in of_it if row.kind in ("met", "stopped", "cancelled")]
            assert ends == [one.ended_at] * (one.ended_at is not None), (label, rows)


HOSTILE = "<b>&\x1b[31m/"


@pytest.fixture
def archived(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:
    """The settings of a system whose archive has some events, partly twice."""
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PATH", str(tmp_path / "clickhouse"))
    settings = load()
    client = connect(settings.clickhouse.target())
    migrate(client, settings.clickhouse.database)
    sink = ClickHouseSink(client, settings.clickhouse.database)
    lines = [*REPEATED, *REPEATED[:3], created(HOSTILE, "01T10:00:00", customer=HOSTILE)]
    for offset, one in enumerate(lines):
        record = Record(json.dumps(one).encode(), one["ticket_id"].encode(), offset)
        sink.insert(TOPIC_OF_TYPE[one["type"]], 0, [record])
    yield settings
    client.close()


def test_a_ticket_of_the_running_system_is_told_as_from_a_file(deskpulse: Deskpulse, archived: Settings) -> None:
    now = ("--now", "2026-06-20T00:00:00Z", "--format", "json")
    (told,) = deskpulse("explain", "--ticket", "T1", *now).document
    assert [told] == deskpulse("explain", written(REPEATED), "--ticket", "T1", *now).document
    assert told["no_repeat"] is False
    ran = deskpulse("explain", "--ticket", "T9")
    assert ran.code == 1
    assert "there is no event of ticket T9" in ran.err


def test_only_the_tickets_of_the_same_customer_are_read(archived: Settings) -> None:
    client = connect(archived.clickhouse.target())
    try:
        assert {event.ticket_id for event in archive.read_archive(client, "T1")} == {"T1", "T2"}
        with pytest.raises(archive.TooManyEventsError, match="more than 2 events on other tickets; `deskpulse explain"):
            archive.read_archive(client, "T1", most_events=2)
        assert len(archive.read_archive(client, "T1", most_events=3)) == 6
    finally:
        client.close()


def test_an_archive_that_is_not_there_is_told(deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PORT", "1")
    ran = deskpulse("explain", "--ticket", "T1")
    assert ran.code == 1
    assert "ClickHouse at http://127.0.0.1:1" in ran.err


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """A worker's web server; the address where it answers."""
    port = free_port()
    started, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        app = faust.App("explain", broker="memory://", web_bind="127.0.0.1", web_port=port, web_host="127.0.0.1")
        live = LiveFigures(now_ms=0, totals={}, backlog={}, ages={})
        tickets = Tickets(settings.clickhouse.target(), settings.domain())
        register(app, lambda: live, Health, tuple, settings.bands.by_figure(), tickets)
        await app.web.start()
        started.set()
        await asyncio.to_thread(ended.wait)
        await app.web.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(20)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        ended.set()
        thread.join(20)


def get(url: str) -> tuple[int, str]:
    try:
        with urlopen(url, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_a_worker_serves_the_timeline_as_a_page_and_as_json(deskpulse: Deskpulse, archived: Settings) -> None:
    with served(archived) as url:
        status, text = get(f"{url}/tickets/T1?format=json")
        told = json.loads(text)
        assert status == 200
        (expected,) = deskpulse("explain", "--ticket", "T1", "--now", told["as_of"], "--format", "json").document
        assert told == expected
        status, page = get(f"{url}/tickets/T1")
        assert status == 200
        assert "Ticket T1" in page
        assert "public message by agent agent 7" in page
        assert "the wait for a first reply ends after 1h" in page
        assert get(f"{url}/ticket.css")[0] == 200
        status, page = get(f"{url}/tickets/{quote(HOSTILE, safe='')}")
        assert status == 200
        assert "&lt;b&gt;&amp;�[31m/" in page
        assert "<b>" not in page
        assert "\x1b" not in page
        assert get(f"{url}/tickets/T9")[0] == 404
        status, text = get(f"{url}/tickets/T9?format=json")
        assert (status, json.loads(text)) == (404, {"error": "The archive has no event of ticket T9."})


def test_a_worker_whose_archive_is_away_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PORT", "1")
    with served(load()) as url:
        status, page = get(f"{url}/tickets/T1")
        assert status == 503
        assert "ClickHouse at http://127.0.0.1:1" in page
