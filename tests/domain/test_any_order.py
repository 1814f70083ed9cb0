"""Any order, any repetition, any batching, any crash: what is published, and what is live, is what the oracle says."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import AnyEvent, at_ms
from streams.config import DomainConfig
from streams.figures import WINDOWS_SECONDS
from streams.history import ADDED, KNOWN, History
from streams.picture import picture
from tests import oracle
from tests.domain.live_counts import backlog_of, counted, running_of, unanswered_of
from tests.domain.partitions import Desk, without_time
from tests.strategies import configs, deliveries, histories, nows_ms

pytestmark = pytest.mark.timeout(600)
"""What fails is made small for up to five minutes."""

HAPPENINGS = ("go on", "pass on", "commit", "commit", "commit one", "crash", "let go")


def worked(desk: Desk, events: list[AnyEvent], data: st.DataObject, now_ms: int) -> None:
    """Deliver the events in any order, with commits, crashes and the talk of tickets and customers at any time."""
    newest_ms = 1
    for batch in data.draw(deliveries(events)):
        desk.read(batch)
        for what in data.draw(st.lists(st.sampled_from(HAPPENINGS), max_size=3)):
            newest_ms = max(newest_ms, min(now_ms, data.draw(nows_ms(events))))
            if what == "pass on":
                desk.pass_on()
            elif what == "commit":
                desk.commit(newest_ms)
            elif what == "commit one":
                desk.commit(newest_ms, of=data.draw(st.integers(0, len(desk.partitions) - 1)))
            elif what == "crash":
                desk.crash()
            elif what == "let go":
                desk.let_go()
    desk.settle(now_ms)


@given(histories(), configs(), st.data())
def test_what_is_published_is_what_the_oracle_says(
    events: list[AnyEvent], config: DomainConfig, data: st.DataObject
) -> None:
    now_ms = data.draw(nows_ms(events))
    desk = Desk(config, partitions=2)
    worked(desk, events, data, now_ms)

    expected = oracle.facts(events, now_ms, config)
    found = {place.decode(): oracle.comparable(one) for place, one in desk.topics.facts.items()}
    assert {t: without_time(f) for t, f in found.items()} == {t: without_time(f) for t, f in expected.items()}
    assert desk.topics.cells_of("hour", config.dimensions) == oracle.cells(events, now_ms, "hour", config)
    assert desk.topics.sla_events_that_hold() == oracle.sla_events(events, now_ms, config)


@given(histories(), configs(), configs(), st.data())
def test_changed_settings_hold_as_if_they_always_had(
    events: list[AnyEvent], before: DomainConfig, after: DomainConfig, data: st.DataObject
) -> None:
    now_ms = data.draw(nows_ms(events))
    desk = Desk(before, partitions=2)
    cut = data.draw(st.integers(0, len(events)))
    worked(desk, events[:cut], data, min(now_ms, data.draw(nows_ms(events))))
    desk.crash(replace(after, fingerprint=b"next"))
    worked(desk, events[cut:], data, now_ms)

    expected = oracle.facts(events, now_ms, after)
    found = {place.decode(): oracle.comparable(one) for place, one in desk.topics.facts.items()}
    assert {t: without_time(f) for t, f in found.items()} == {t: without_time(f) for t, f in expected.items()}
    assert desk.topics.cells_of("hour", after.dimensions) == oracle.cells(events, now_ms, "hour", after)
    assert desk.topics.sla_events_that_hold() == oracle.sla_events(events, now_ms, after)


@given(histories(), configs(), st.data())
def test_what_is_live_is_what_the_oracle_says(
    events: list[AnyEvent], config: DomainConfig, data: st.DataObject
) -> None:
    now_ms = data.draw(nows_ms(events))
    desk = Desk(config, partitions=2)
    worked(desk, events, data, now_ms)
    live = picture(desk.partitions, desk.config.dimensions, now_ms, limit=100)

    for window in WINDOWS_SECONDS:
        groups = oracle.by_group(oracle.window_totals(events, now_ms, window, config), config.dimensions)
        assert {(g.dimension, g.value): t for g, t in live.totals[window].items() if t} == {
            group: oracle.numbered(amounts) for group, amounts in groups.items() if amounts
        }
    open_tickets = oracle.backlog(events, now_ms, config)
    assert backlog_of(live) == counted(config, [(ticket.attributes, (ticket.status,)) for ticket in open_tickets])
    assert unanswered_of(live) == counted(config, [(t.attributes, ()) for t in open_tickets if t.unanswered])
    for group, age in live.ages.items():
        ages_ms = [
            ticket.age_ms
            for ticket in open_tickets
            if group.dimension == "all" or ticket.attributes[group.dimension] == group.value
        ]
        assert age.oldest_seconds == (max(ages_ms) / 1000 if ages_ms else None)
    running = oracle.running(events, now_ms, config)
    assert running_of(live) == counted(config, [(one.attributes, (one.target, one.state)) for one in running])


@given(histories(max_tickets=1, may_erase=False), st.data())
def test_a_history_is_a_set(events: list[AnyEvent], data: st.DataObject) -> None:
    straight, shuffled = History(), History()
    for event in events:
        assert straight.add(event, at_ms(event.at)) == ADDED
        assert straight.add(event, at_ms(event.at)) == KNOWN
    for event in (event for batch in data.draw(deliveries(events)) for event in batch):
        shuffled.add(event, at_ms(event.at))
    straight.put_in_order()
    shuffled.put_in_order()
    assert len(shuffled) == len(events)
    assert [shuffled.records[i : i + 26] for i in range(0, len(shuffled.records), 32)] == [
        straight.records[i : i + 26] for i in range(0, len(straight.records), 32)
    ]
