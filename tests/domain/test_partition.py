"""What a partition does with time, with what it cannot use, and with tickets that have left the horizon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from schemas.events import (
    INPUT_TOPICS,
    MESSAGES,
    TICKETS,
    MessageSent,
    SurveyAnswered,
    TicketCreated,
    TicketDeleted,
    TicketUpdated,
)
from schemas.outputs import HISTORIES, LARGEST_RECORD_BYTES
from streams.changelog import CLOCK, COMBINATION
from streams.config import DAY_MS, DomainConfig
from streams.history import (
    ADDED,
    MOST_EVENTS,
    MOST_NAME_BYTES,
    SIZE,
    History,
    HistoryFullError,
    UnreadableHistoryError,
)
from streams.partition import Partition, Refused
from streams.picture import picture
from streams.policies import Policies, Policy
from streams.watermark import Watermark
from tests.domain.partitions import Desk, Record, record

START = datetime(2026, 6, 1, 10, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def created(after: timedelta = timedelta(), ticket: str = "T1", **more: Any) -> TicketCreated:
    fields = {"customer_id": "C1", "channel": "email", "priority": "normal"} | more
    return TicketCreated(id=f"{ticket}-created", ticket_id=ticket, at=START + after, **fields)


def status(to: str, after: timedelta, ticket: str = "T1") -> TicketUpdated:
    return TicketUpdated(id=f"{ticket}-{to}-{after}", ticket_id=ticket, at=START + after, status=to)  # type: ignore[arg-type]


def reply(after: timedelta, ticket: str = "T1", number: int = 0) -> MessageSent:
    return MessageSent(
        id=f"{ticket}-reply-{after}-{number}",
        ticket_id=ticket,
        at=START + after,
        author="agent",
        author_id="A1",
        visibility="public",
    )


def ms(after: timedelta) -> int:
    return START_MS + int(after.total_seconds() * 1000)


def refused(desk: Desk) -> list[Refused]:
    return desk.partition.cut().refused


@pytest.fixture
def desk() -> Desk:
    return Desk(DomainConfig(horizon_ms=31 * DAY_MS))


def facts(desk: Desk, ticket: str = "T1") -> Any:
    return desk.topics.facts[ticket.encode()]


def test_a_success_becomes_final_by_time_alone_a_millisecond_after_its_days(desk: Desk) -> None:
    desk.read([created(), reply(HOUR), status("solved", HOUR)])
    desk.commit(ms(HOUR))
    assert (facts(desk).fcr, facts(desk).fcr_final) == (True, False)

    desk.commit(ms(HOUR + 7 * DAY))
    assert facts(desk).fcr_final is False

    desk.commit(ms(HOUR + 7 * DAY) + 1)
    assert facts(desk).fcr_final is True
    live = picture([desk.partition], desk.config.dimensions, ms(HOUR + 7 * DAY) + 1, limit=10)
    assert any(totals for totals in live.totals["30d"].values())


def test_what_became_final_stays_so_after_a_crash_and_is_not_published_again(desk: Desk) -> None:
    desk.read([created(), reply(HOUR), status("solved", HOUR)])
    desk.commit(ms(9 * DAY))
    desk.commit(ms(9 * DAY))
    published = desk.topics.published
    desk.crash()
    desk.commit(ms(9 * DAY) + 1000)
    assert desk.topics.published == published
    assert facts(desk).fcr_final is True


def test_a_solved_ticket_is_forgotten_after_the_horizon_and_its_late_events_are_told_apart(desk: Desk) -> None:
    desk.read([created(), status("solved", HOUR)])
    desk.commit(ms(2 * HOUR))
    desk.commit(ms(HOUR + 31 * DAY) - 1)
    assert len(desk.partition) == 1

    desk.commit(ms(HOUR + 31 * DAY))
    assert len(desk.partition) == 0
    assert facts(desk).solves == 1

    desk.read([status("open", 2 * HOUR)])
    found = refused(desk)
    assert [(one.code, one.topic) for one in found] == [("late", TICKETS)]
    assert desk.partition.counters.late == 1
    assert desk.partition.counters.dead_letters == {}


def test_a_crash_does_not_forget_who_has_left(desk: Desk) -> None:
    desk.read([created(), status("solved", HOUR)])
    desk.commit(ms(2 * HOUR))
    desk.commit(ms(40 * DAY))
    desk.crash()
    desk.read([status("open", 2 * HOUR)])
    assert [one.code for one in refused(desk)] == ["late"]


def test_the_mark_of_who_has_left_goes_after_another_horizon(desk: Desk) -> None:
    desk.read([created(), status("solved", HOUR)])
    desk.commit(ms(2 * HOUR))
    desk.commit(ms(40 * DAY))
    assert desk.topics.histories[0][b"T1"] is not None
    desk.read([created(80 * DAY, "T2")])
    desk.commit(ms(80 * DAY))
    assert desk.topics.histories[0][b"T1"] is None


def test_a_ticket_that_came_back_after_its_mark_has_gone_is_not_deleted_by_the_mark(desk: Desk) -> None:
    desk.read([created(), status("solved", HOUR)])
    desk.commit(ms(2 * HOUR))
    desk.commit(ms(40 * DAY))
    mark = desk.topics.histories[0][b"T1"]
    desk.read([created(80 * DAY, "T2")])
    desk.commit(ms(80 * DAY))
    desk.read([status("open", 81 * DAY)])
    desk.commit(ms(81 * DAY))
    ticket = desk.topics.histories[0][b"T1"]
    assert ticket is not None

    # Of the records that are read at once only the newest of a key is restored: the mark's end was among them.
    partition = Partition(0, desk.config, Watermark(INPUT_TOPICS, 0, False))
    partition.restore([(b"T1", mark)])
    partition.restore([(b"T1", ticket), (CLOCK, ms(82 * DAY).to_bytes(8, "big"))])
    partition.restored()
    partition.apply(TICKETS, [record(status("solved", 82 * DAY))], None)
    published = partition.cut()
    assert not published.refused
    assert None not in [value for _, value in published.records[HISTORIES]]


def test_an_open_ticket_is_never_forgotten(desk: Desk) -> None:
    desk.read([created()])
    desk.commit(ms(HOUR))
    desk.commit(ms(400 * DAY))
    assert len(desk.partition) == 1
    live = picture([desk.partition], desk.config.dimensions, ms(400 * DAY), limit=10)
    everything = next(age for group, age in live.ages.items() if group.dimension == "all")
    assert everything.oldest_seconds == timedelta(days=400).total_seconds()


def test_a_reopened_ticket_stays_and_its_horizon_counts_from_its_last_event(desk: Desk) -> None:
    desk.read([created(), status("solved", HOUR)])
    desk.commit(ms(2 * HOUR))
    desk.read([status("open", 30 * DAY), status("solved", 30 * DAY + HOUR)])
    desk.commit(ms(40 * DAY))
    assert len(desk.partition) == 1
    assert facts(desk).reopens == 1
    desk.commit(ms(62 * DAY))
    assert len(desk.partition) == 0


def test_old_data_on_the_wall_clock_is_published_before_it_is_forgotten(desk: Desk) -> None:
    desk.read([created(), reply(HOUR), status("solved", HOUR)])
    desk.commit(ms(300 * DAY))
    assert facts(desk).first_reply_seconds == 3600
    desk.commit(ms(300 * DAY) + 1000)
    assert len(desk.partition) == 0


def test_what_is_due_is_noticed_at_once_although_nobody_may_leave_while_the_customer_step_is_under_way() -> None:
    desk = Desk(DomainConfig(policies=Policies([Policy("prompt", targets={"first_reply": 1_000})])))
    desk.read([created()])
    for now_ms in (START_MS, START_MS + 1_001):
        desk.partition.advance(INPUT_TOPICS, now_ms)
        desk.publish(desk.partition.cut(may_leave=False))
    assert ("breached", START_MS + 1_000) in [(event.kind, event.at_ms) for event in desk.topics.sla_events]


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [
        (b'{"type":"ticket.crea', "bad_record", "not JSON"),
        (
            b'{"type":"ticket.updated","id":"1","ticket_id":"T1","at":"2026-06-01T10:00:00Z","status":"done"}',
            "bad_record",
            'ticket.updated: `status` is "done"',
        ),
        (
            b'{"type":"ticket.updated","id":"1","ticket_id":"T2","at":"2026-06-01T10:00:00Z"}',
            "key_mismatch",
            "the key is not the record's `ticket_id`",
        ),
        (
            b'{"type":"ticket.updated","id":"1","ticket_id":"T1","at":"2026-06-03T10:00:01Z"}',
            "future",
            "`at` is 1 s too far ahead",
        ),
        (None, "bad_record", "the record has no value"),
    ],
)
def test_a_record_that_cannot_be_used_is_kept_whole_with_the_reason(
    desk: Desk, value: bytes | None, code: str, said: str
) -> None:
    bad = Record(value, b"T1", of_offset=17)
    desk.partition.apply(TICKETS, [record(created()), bad, record(status("solved", HOUR))], ms(2 * DAY))
    desk.partition.advance(INPUT_TOPICS, ms(2 * DAY))
    published = desk.partition.cut()
    assert [(one.code, one.record) for one in published.refused] == [(code, bad)]
    assert said in published.refused[0].reason
    desk.publish(published)
    assert facts(desk).solves == 1
    assert desk.partition.counters.dead_letters == {code: 1}


def test_a_ticket_with_more_events_than_people_can_make_takes_no_more_but_its_deletion() -> None:
    full = History(records=bytes(MOST_EVENTS * SIZE))
    with pytest.raises(HistoryFullError, match="the ticket has 32,768 events already"):
        full.add(reply(HOUR), ms(HOUR))
    deletion = TicketDeleted(id="gone", ticket_id="T1", at=START)
    assert full.add(deletion, START_MS) == ADDED


def test_a_ticket_with_more_text_than_people_can_write_takes_no_more_and_what_it_publishes_fits(desk: Desk) -> None:
    desk.read([created()])
    for number in range(2_500):
        answered = {"kind": "csat", "survey_id": "\x01" * 500 + str(number), "score": 5.0}
        desk.read([SurveyAnswered(id=f"a{number}", ticket_id="T1", at=START + HOUR, **answered)])
    cut = desk.partition.cut()
    assert {one.code for one in cut.refused} == {"history_full"}
    assert len(cut.refused) == pytest.approx(2_500 - MOST_NAME_BYTES / 504, abs=50)
    assert "take over 1,048,576 bytes" in cut.refused[0].reason
    largest = max(len(value or b"") for of in cut.records.values() for _, value in of)
    assert 5_000_000 < largest < LARGEST_RECORD_BYTES


def test_an_event_of_an_unknown_type_is_counted_and_skipped(desk: Desk) -> None:
    desk.partition.apply(TICKETS, [Record(b'{"type":"ticket.praised","ticket_id":"T1"}', b"T1")])
    assert desk.partition.counters.skipped_types == 1
    assert desk.partition.pending == 0


def test_a_repeated_record_is_counted_and_changes_nothing(desk: Desk) -> None:
    desk.read([created(), reply(HOUR)])
    desk.commit(ms(2 * HOUR))
    published = desk.topics.published
    desk.read([created(), reply(HOUR)])
    desk.commit(ms(2 * HOUR))
    assert desk.partition.counters.duplicates == 2
    assert desk.topics.published == published


def test_of_two_contents_under_one_id_the_first_in_history_order_holds_whatever_comes_first(desk: Desk) -> None:
    one, other = reply(HOUR), reply(2 * HOUR)
    other = msgspec.structs.replace(other, id=one.id)
    for number, order in enumerate(([one, other], [other, one])):
        twin = Desk(desk.config)
        twin.read([created()])
        for event in order:
            twin.read([event])
            twin.commit(ms(3 * HOUR) + number)
        assert facts(twin).first_reply_seconds == 3600
        assert facts(twin).agent_replies == 1


def test_what_came_before_the_creation_waits(desk: Desk) -> None:
    desk.read([reply(HOUR), status("solved", 2 * HOUR)])
    desk.commit(ms(3 * HOUR))
    assert facts(desk).created_at_ms is None
    desk.read([created()])
    desk.commit(ms(3 * HOUR))
    assert facts(desk).first_reply_seconds == 3600
    assert facts(desk).full_resolution_seconds == 7200


def test_cells_of_a_minute_are_forgotten_after_a_day_and_those_of_an_hour_stay(desk: Desk) -> None:
    desk.read([created()])
    desk.commit(ms(HOUR))
    assert len(desk.partition.panes["minute"]) == 1
    desk.commit(ms(2 * DAY))
    assert len(desk.partition.panes["minute"]) == 0
    assert len(desk.partition.panes["hour"]) == 1


def test_a_changelog_record_of_another_version_is_refused_with_what_it_is(desk: Desk) -> None:
    desk.read([created()])
    desk.commit(ms(HOUR))
    value = desk.topics.histories[0][b"T1"]
    assert value is not None
    twin = Desk(desk.config)
    with pytest.raises(UnreadableHistoryError, match="ticket 'T1' is of version 9; this deskpulse reads versions 0, 1"):
        twin.partition.restore([(b"T1", b"\x09" + value[1:])])


def test_one_changelog_record_for_each_touched_ticket_of_a_cut(desk: Desk) -> None:
    desk.read([created(), reply(HOUR), created(ticket="T2"), reply(2 * HOUR)])
    desk.partition.advance(INPUT_TOPICS, ms(3 * HOUR))
    keys = [key for key, _ in desk.partition.cut().records[HISTORIES]]
    assert sorted(key for key in keys if key[:1] != COMBINATION) == [b"", b"T1", b"T2"]


class TestWatermark:
    def test_it_is_the_least_over_the_inputs(self) -> None:
        watermark = Watermark(("a", "b"), 250, event_clock=False)
        watermark.saw("a", 5_000)
        assert watermark.advance((), 100_000) == 0
        watermark.saw("b", 3_000)
        assert watermark.advance((), 100_000) == 3_000

    def test_an_input_read_to_its_end_counts_as_the_wall_clock_less_a_grace(self) -> None:
        watermark = Watermark(("a", "b"), 250, event_clock=False)
        watermark.saw("a", 5_000)
        assert watermark.advance(("b",), 100_000) == 5_000
        assert watermark.advance(("a", "b"), 100_000) == 99_750

    def test_it_never_goes_back(self) -> None:
        watermark = Watermark(("a",), 0, event_clock=False)
        assert watermark.advance(("a",), 9_000) == 9_000
        watermark.saw("a", 2_000)
        assert watermark.advance((), 9_500) == 9_000

    def test_the_event_clock_never_asks_the_wall_clock(self) -> None:
        watermark = Watermark(("a", "b"), 250, event_clock=True)
        watermark.saw("a", 5_000)
        assert watermark.advance(("b",), 100_000) == 5_000
        assert watermark.advance(("a", "b"), 100_000, newest_anywhere=7_000) == 7_000


def test_messages_come_from_their_own_input(desk: Desk) -> None:
    desk.partition.apply(MESSAGES, [record(reply(HOUR))])
    assert desk.partition.counters.events == {**dict.fromkeys(INPUT_TOPICS, 0), MESSAGES: 1}
