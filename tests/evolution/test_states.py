"""A state that an older deskpulse has written is read, and one that a newer one has written is not misread."""

from __future__ import annotations

import json
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct
from typing import Any

import msgspec
import pytest

from schemas.events import AnyEvent, MessageSent, decode
from streams.attributes import AttributeGraph, Dimensions
from streams.changelog import TICKET
from streams.config import DomainConfig
from streams.entries import Entry, encode
from streams.entries import decode as decode_entries
from streams.facts import facts
from streams.history import SIZE, History, UnreadableHistoryError
from streams.patches import settings_of
from streams.picture import picture
from tests import oracle
from tests.domain.partitions import Desk, without_time

OLD: dict[str, Any] = json.loads(Path(__file__).with_name("changelog-v2.json").read_text())
"""What commit 9f34dbc wrote: events, and the changelogs after them, whose histories are of versions 1 and 2."""
CONFIG = DomainConfig()


def keyed(records: list[tuple[str, str | None]]) -> dict[bytes, bytes | None]:
    return {b64decode(key): None if value is None else b64decode(value) for key, value in records}


@pytest.fixture
def desk() -> Desk:
    restored = Desk(CONFIG)
    restored.topics.histories[0].update(keyed(OLD["histories"]))
    restored.topics.customer_tickets.update(keyed(OLD["customer_tickets"]))
    restored.crash()
    return restored


def events() -> list[AnyEvent]:
    return [decode(value.encode()) for value in OLD["events"]]


def test_an_older_state_gives_the_figures_that_it_gave(desk: Desk) -> None:
    live = picture(desk.partitions, CONFIG.dimensions, OLD["now_ms"], limit=100)
    totals = oracle.by_group(oracle.window_totals(events(), OLD["now_ms"], "7d", CONFIG), CONFIG.dimensions)
    assert {(g.dimension, g.value): t for g, t in live.totals["7d"].items() if t} == {
        group: oracle.numbered(amounts) for group, amounts in totals.items() if amounts
    }


def test_an_older_state_goes_on(desk: Desk) -> None:
    now_ms = OLD["now_ms"] + 60_000
    more: list[AnyEvent] = [
        MessageSent(
            id=f"more-{ticket}",
            ticket_id=ticket,
            at=datetime.fromtimestamp(OLD["now_ms"] / 1000, UTC),
            author="agent",
            author_id="A1",
            visibility="public",
        )
        for ticket in sorted({event.ticket_id for event in events()})
    ]
    desk.read(more)
    desk.settle(now_ms)
    found = {place.decode(): oracle.comparable(one) for place, one in desk.topics.facts.items()}
    expected = oracle.facts([*events(), *more], now_ms, CONFIG)
    assert {t: without_time(f) for t, f in found.items()} == {t: without_time(f) for t, f in expected.items()}
    written = desk.topics.histories[0]
    assert {(written[ticket.encode()] or b"")[0] for ticket in expected} == {TICKET}


def test_customers_that_a_compiled_worker_of_the_first_release_wrote_are_read() -> None:
    entry = Entry("T1", 2, "c", 5, True, 0, [], [7])
    fields = {name: getattr(entry, name) for name in entry.__struct_fields__}
    assert decode_entries(msgspec.msgpack.encode([fields])) == decode_entries(encode([entry])) == [entry]


def test_a_newer_state_is_refused_by_its_ticket_and_version() -> None:
    with pytest.raises(UnreadableHistoryError, match=r"ticket 'T1' is of version 4; .* written by a newer deskpulse\?"):
        Desk(CONFIG).partition.restore([(b"T1", b"\x04and what nobody knows")])


def test_attributes_of_a_newer_deskpulse_are_kept_and_mean_nothing() -> None:
    assert [(one.place, one.value) for one in settings_of('{"a":"email","z":"later"}')] == [(0, "email")]


def test_events_of_a_newer_deskpulse_in_a_history_are_kept_and_mean_nothing() -> None:
    history = History()
    for event in events():
        if event.ticket_id == events()[0].ticket_id:
            history.add(event, int(event.at.timestamp() * 1000 + 0.5))
    history.put_in_order()
    plain = history.records
    graph = AttributeGraph(Dimensions(CONFIG.dimensions))
    before = facts(plain, history.names, OLD["now_ms"], graph, CONFIG)
    unknown = Struct(">8sQ8sBBHI").pack(plain[-SIZE : 8 - SIZE], 2**64 - 1, b"whatever", 99, 7, 0, 0)
    after = facts(plain + unknown, history.names, OLD["now_ms"], graph, CONFIG)
    assert (after.first_reply_ms, after.status_ms, len(after.solves)) == (
        before.first_reply_ms,
        before.status_ms,
        len(before.solves),
    )
