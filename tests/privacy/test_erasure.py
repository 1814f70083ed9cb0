"""An erasure leaves nothing but itself, in whatever order events come."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from deskpulse.forget.state import history_of
from schemas.events import AnyEvent, TicketDeleted, at_ms
from streams.config import DomainConfig
from streams.customers import RULE
from streams.history import KNOWN, Contact, History, decode
from streams.partitioner import partition_of
from tests.domain.partitions import Desk
from tests.strategies import deliveries, histories, key, nows_ms


def erasure_of(event: AnyEvent, id: str, later: timedelta = timedelta()) -> AnyEvent:
    return TicketDeleted(id=id, ticket_id=event.ticket_id, at=event.at + later, erase=True)


@settings(max_examples=40)
@given(histories(max_tickets=1), st.data())
def test_an_erased_history_is_its_first_erasure(events: list[AnyEvent], data: st.DataObject) -> None:
    first = min(events, key=lambda event: event.at)
    # One of them has an id that another event has: an erasure erases all the same.
    erasures = [erasure_of(first, first.id), erasure_of(first, "again", timedelta(seconds=1))]
    packed = set()
    for some in (erasures, erasures[1:]):
        history = History()
        for batch in data.draw(deliveries([*events, *some])):
            for event in batch:
                history.add(event, at_ms(event.at))
            # As often as it rests in between.
            history.put_in_order()
            history = History(*decode(history.encode()))
        packed.add(history.encode())
        names, records, contact = decode(history.encode())
        assert (names, len(records), contact) == ([], 32, None)
        assert history.add(events[0], at_ms(events[0].at)) == KNOWN
        assert not history.hear(Contact("c1", 1, 1))
    erased_already = any(isinstance(event, TicketDeleted) and event.erase for event in events)
    assert erased_already or len(packed) == 2


@settings(max_examples=40)
@given(histories(may_erase=False), st.data())
def test_nothing_of_erased_tickets_is_left_in_any_state(events: list[AnyEvent], data: st.DataObject) -> None:
    """After the erasures of all of a customer's tickets, whatever is delivered when, with crashes."""
    now_ms = data.draw(nows_ms(events))
    desk = Desk(DomainConfig(horizon_ms=None), partitions=2)
    tickets = {event.ticket_id: event for event in events}
    erasures = [erasure_of(event, f"erase-{ticket_id}") for ticket_id, event in tickets.items()]
    for batch in data.draw(deliveries([*events, *erasures])):
        desk.read(batch)
        what = data.draw(st.sampled_from(("go on", "commit", "settle", "crash")))
        if what == "commit":
            desk.commit(now_ms)
        elif what == "settle":
            desk.settle(now_ms)
        elif what == "crash":
            desk.crash()
    desk.settle(now_ms)
    assert not any(value for customer, value in desk.topics.customer_tickets.items() if customer != RULE)
    for ticket_id, event in tickets.items():
        place = key(event)
        packed = history_of(desk.topics.histories[partition_of(place, 2)][place])
        assert packed is not None
        names, records, contact = decode(packed)
        assert (names, len(records), contact) == ([], 32, None)
        facts = desk.topics.facts[place]
        assert (facts.ticket_id, facts.deleted, facts.events, facts.customer_id) == (ticket_id, True, 1, "")
    assert not any(desk.topics.cells_of("hour", desk.config.dimensions).values())
    assert not desk.topics.sla_events_that_hold()
