from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice, pairwise
from statistics import mean, median

import pytest

from schemas.events import (
    TOPIC_OF_TYPE,
    AnyEvent,
    MessageSent,
    SurveyAnswered,
    SurveySent,
    TicketCreated,
    TicketDeleted,
    TicketMerged,
    TicketUpdated,
    at_ms,
    decode,
)
from sources.arrivals import DAY_MS, HOUR_MS
from sources.simulator import EVENTS_PER_TICKET, Delivery, SimulatorConfig, simulate

MONDAY = 1_780_272_000_000
"""2026-06-01."""
TICKETS = 4_000


@pytest.fixture(scope="module")
def week() -> list[Delivery]:
    return list(simulate(SimulatorConfig(MONDAY, seed=11, days=7, tickets=TICKETS, complete=True)))


@pytest.fixture(scope="module")
def events(week: list[Delivery]) -> list[AnyEvent]:
    return [decode(value) for _, _, _, value in week]


def test_the_same_configuration_gives_the_same_bytes() -> None:
    config = SimulatorConfig(MONDAY, seed=3, tickets=300, late=0.1, duplicates=0.1)
    first = list(simulate(config))
    assert first == list(simulate(config))
    other = list(simulate(SimulatorConfig(MONDAY, seed=4, tickets=300, late=0.1, duplicates=0.1)))
    assert not {key for _, _, key, _ in first} & {key for _, _, key, _ in other}


def test_every_event_keeps_the_contract(week: list[Delivery], events: list[AnyEvent]) -> None:
    assert len({event.id for event in events}) == len(events)
    for (delivered, topic, key, _), event in zip(week, events, strict=True):
        assert topic == TOPIC_OF_TYPE[str(event.__struct_config__.tag)]
        assert key == event.ticket_id.encode()
        assert at_ms(event.at) <= delivered
    assert all(one[0] <= next_[0] for one, next_ in pairwise(week))
    assert {type(event) for event in events} == {
        TicketCreated, TicketUpdated, TicketMerged, TicketDeleted, MessageSent, SurveySent, SurveyAnswered,
    }  # fmt: skip


def test_a_ticket_has_eight_events_and_they_begin_with_its_creation(events: list[AnyEvent]) -> None:
    assert len(events) / TICKETS == pytest.approx(EVENTS_PER_TICKET, rel=0.05)
    by_ticket: dict[str, list[AnyEvent]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.at):
        by_ticket[event.ticket_id].append(event)
    assert len(by_ticket) == TICKETS
    for story in by_ticket.values():
        assert any(type(event) is TicketCreated for event in story if event.at == story[0].at)


def first_replies(events: list[AnyEvent], channel: str) -> Iterator[float]:
    created = {e.ticket_id: e.at for e in events if type(e) is TicketCreated and e.channel == channel}
    replied: dict[str, float] = {}
    for event in events:
        if type(event) is MessageSent and event.author == "agent" and event.visibility == "public":
            since = created.get(event.ticket_id)
            if since is not None:
                seconds = (event.at - since).total_seconds()
                replied[event.ticket_id] = min(seconds, replied.get(event.ticket_id, seconds))
    yield from replied.values()


def test_the_figures_are_those_of_a_desk(events: list[AnyEvent]) -> None:
    assert median(first_replies(events, "chat")) < 300
    assert 1800 < median(first_replies(events, "email")) < 24 * 3600
    statuses = Counter(event.status for event in events if type(event) is TicketUpdated)
    solved = {e.ticket_id for e in events if type(e) is TicketUpdated and e.status == "solved"}
    assert 0.93 < len(solved) / TICKETS < 0.99
    assert 0.03 < (statuses["solved"] - len(solved)) / len(solved) < 0.12
    sent = Counter(event.kind for event in events if type(event) is SurveySent)
    scores = [
        (event.score - event.scale[0]) / (event.scale[1] - event.scale[0])
        for event in events
        if type(event) is SurveyAnswered and event.kind == "csat"
    ]
    assert sent["csat"] > sent["nps"] > sent["ces"] > 0
    assert 0.25 < len(scores) / sent["csat"] < 0.5
    assert 0.72 < mean(score >= 0.75 for score in scores) < 0.92
    customers = Counter(event.customer_id for event in events if type(event) is TicketCreated)
    assert 0.2 < 1 - len(customers) / TICKETS < 0.4


def test_the_desk_has_what_makes_figures_hard(events: list[AnyEvent]) -> None:
    """So that what is verified on simulated traffic is verified for all that the contract speaks of."""
    by_ticket: dict[str, list[AnyEvent]] = defaultdict(list)
    for event in sorted(events, key=lambda event: (event.at, event.id)):
        by_ticket[event.ticket_id].append(event)
    seen: Counter[str] = Counter()
    for story in by_ticket.values():
        updates = [event for event in story if type(event) is TicketUpdated]
        messages = [event for event in story if type(event) is MessageSent]
        answers = Counter(event.survey_id for event in story if type(event) is SurveyAnswered)
        solves = sum(event.status == "solved" for event in updates)
        seen.update(
            {
                "handover from a bot": any(event.handler == "human" for event in updates),
                "another priority": any(type(event.priority) is str for event in updates),
                "another team": any(type(event.team) is str for event in updates),
                "another customer": any(type(event.customer_id) is str for event in updates),
                "another channel": any(type(message.channel) is str for message in messages),
                "several agents": len({message.author_id for message in messages if message.author == "agent"}) > 1,
                "reopened": solves > 1,
                "reopened again": solves > 2,
                "answer changed": any(n > 1 for n in answers.values()),
                "another scale": any(type(event) is SurveyAnswered and event.scale == (1, 10) for event in story),
                "merged after a reply": type(story[-1]) is TicketMerged and any(m.author == "agent" for m in messages),
            }
        )
    assert all(seen[what] >= 3 for what in seen), seen


def test_days_and_weeks_have_their_rhythm(events: list[AnyEvent]) -> None:
    created = [at_ms(event.at) - MONDAY for event in events if type(event) is TicketCreated]
    by_hour = Counter(at % DAY_MS // HOUR_MS for at in created)
    by_day = Counter(at // DAY_MS for at in created)
    assert sum(by_hour[h] for h in range(9, 12)) > 8 * sum(by_hour[h] for h in range(1, 4))
    assert by_day[0] > 1.3 * by_day[6]


def test_incidents_bring_bursts_about_one_thing() -> None:
    def busiest(incidents: bool) -> Counter[tuple[int, str]]:
        config = SimulatorConfig(MONDAY, seed=2, days=7, tickets=TICKETS, rhythm=False, incidents=incidents)
        events = (decode(value) for _, topic, _, value in simulate(config) if topic == "support.tickets")
        created = (event for event in events if type(event) is TicketCreated)
        return Counter((at_ms(event.at) // HOUR_MS, str(event.category)) for event in created)

    assert max(busiest(incidents=True).values()) > 1.5 * max(busiest(incidents=False).values())


def test_the_rate_holds_on_average() -> None:
    config = SimulatorConfig(MONDAY, seed=1, days=7, events_per_second=0.05, incidents=False, complete=True)
    assert len(list(simulate(config))) / (7 * 86_400) == pytest.approx(0.05, rel=0.08)


def test_a_warm_desk_reaches_its_rate_when_it_should_and_keeps_it() -> None:
    config = SimulatorConfig(
        MONDAY, days=None, events_per_second=10, rhythm=False, incidents=False, reached_after_seconds=300
    )
    by_minute: Counter[int] = Counter()
    for at, *_ in simulate(config):
        minute = (at - MONDAY) // 60_000
        if minute >= 180:
            break
        by_minute[minute] += 1
    for first in (5, 20, 60, 120):
        assert mean(by_minute[m] for m in range(first, first + 15)) / 60 == pytest.approx(10, rel=0.15)


def test_late_and_double_records_come_at_their_rates() -> None:
    config = SimulatorConfig(MONDAY, seed=6, tickets=3_000, late=0.05, duplicates=0.03, complete=True)
    records = list(simulate(config))
    seen: Counter[bytes] = Counter(value for *_, value in records)
    assert sum(n > 1 for n in seen.values()) / len(seen) == pytest.approx(0.03, abs=0.005)
    delays = [(at - at_ms(decode(value).at)) / 1000 for at, _, _, value in records if seen[value] == 1]
    late = [delay for delay in delays if delay > 1]
    assert len(late) / len(delays) == pytest.approx(0.05, abs=0.007)
    assert 300 < median(late) < 3600
    assert max(late) <= 8 * 3600 + 1


def test_a_span_ends_where_it_ends_unless_complete() -> None:
    config = SimulatorConfig(MONDAY, tickets=500, days=0.5)
    cut = list(simulate(config))
    assert cut[-1][0] < MONDAY + DAY_MS // 2
    created = sum(type(decode(value)) is TicketCreated for *_, value in cut)
    assert created >= 498
    whole = list(simulate(SimulatorConfig(MONDAY, tickets=500, days=0.5, complete=True)))
    assert whole[: len(cut)] == cut
    assert len(whole) > len(cut)


def test_a_desk_without_end_goes_on() -> None:
    config = SimulatorConfig(MONDAY, days=None, events_per_second=1000)
    assert len(list(islice(simulate(config), 20_000))) == 20_000


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({}, "a number of tickets or a rate"),
        ({"tickets": 5, "days": None}, "needs days to lie in"),
        ({"events_per_second": 0}, "expected more than 0"),
        ({"tickets": 5, "late": 1.5}, "late is 1.5; expected a share from 0 to 1"),
    ],
)
def test_what_can_not_be_simulated_is_refused(wrong: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        SimulatorConfig(MONDAY, **wrong)  # type: ignore[arg-type]
