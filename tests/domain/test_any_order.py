"""Any order, any repetition, any batching, any crash: the figures are those of the oracle."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.events import AnyEvent, at_ms
from streams.attributes import AttributeGraph, Dimensions
from streams.config import DomainConfig
from streams.facts import facts
from streams.figures import WINDOWS_SECONDS
from streams.history import ADDED, KNOWN, History
from streams.picture import picture
from streams.published import ticket_facts
from tests import oracle
from tests.domain.partitions import Desk, without_time
from tests.strategies import deliveries, histories, nows_ms

CONFIG = DomainConfig(horizon_ms=None, fcr_parts=("one_touch", "no_followup", "no_reopen"))
PARTS = CONFIG.fcr_parts


@given(histories(), st.data(), nows_ms())
def test_facts_are_those_of_the_oracle(events: list[AnyEvent], data: st.DataObject, now_ms: int) -> None:
    expected = oracle.facts(events, now_ms, PARTS)
    kept: dict[str, History] = {}
    for event in (event for batch in data.draw(deliveries(events)) for event in batch):
        kept.setdefault(event.ticket_id, History()).add(event, at_ms(event.at))
    graph = AttributeGraph(Dimensions(CONFIG.dimensions))
    found: dict[str, dict[str, Any]] = {}
    for ticket_id, history in kept.items():
        history.put_in_order()
        about = facts(history.records, history.names, now_ms, graph, CONFIG)
        found[ticket_id] = oracle.comparable(ticket_facts(ticket_id, about, history.names, len(history), graph))
    assert found == expected


@given(histories(), st.data(), nows_ms())
def test_what_is_published_is_what_the_oracle_says(events: list[AnyEvent], data: st.DataObject, now_ms: int) -> None:
    desk = Desk(CONFIG)
    times = st.integers(1, now_ms)
    newest = 1
    for batch in data.draw(deliveries(events)):
        desk.read(batch)
        what = data.draw(st.sampled_from(["go on", "commit", "commit", "crash"]))
        if what != "go on":
            newest = max(newest, data.draw(times))
            desk.commit(newest)
        if what == "crash":
            desk.crash(newest)
    desk.commit(now_ms)
    desk.commit(now_ms)

    expected = oracle.facts(events, now_ms, PARTS)
    found = {place.decode(): oracle.comparable(one) for place, one in desk.topics.facts.items()}
    assert {t: without_time(f) for t, f in found.items()} == {t: without_time(f) for t, f in expected.items()}
    assert desk.topics.cells_of("hour") == oracle.cells(events, now_ms, "hour", CONFIG.dimensions, PARTS)

    live = picture([desk.partition], desk.dimensions, now_ms, limit=100)
    for window in WINDOWS_SECONDS:
        by_dimension = oracle.window_totals(events, now_ms, window, CONFIG.dimensions, PARTS)
        groups = oracle.by_group(by_dimension, CONFIG.dimensions)
        assert {(g.dimension, g.value): t for g, t in live.totals[window].items() if t} == {
            group: oracle.numbered(amounts) for group, amounts in groups.items() if amounts
        }
    open_tickets = oracle.backlog(events, now_ms)
    assert sum(sum(by_status.values()) for g, by_status in live.backlog.items() if g.dimension == "all") == len(
        open_tickets
    )
    for group, by_status in live.backlog.items():
        for status, number in by_status.items():
            assert number == sum(
                1
                for ticket in open_tickets
                if ticket.status == status
                and (group.dimension == "all" or ticket.attributes[group.dimension] == group.value)
            )
    for group, age in live.ages.items():
        if group.dimension == "all":
            assert age.oldest_seconds == max(ticket.age_ms for ticket in open_tickets) / 1000


@given(histories(max_tickets=1), st.data())
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
