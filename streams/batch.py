"""The batch computation: the facts of all tickets of a set of events, at once and without any state.

What a running system has after any order, repetition and batching of the same events equals this (tests hold it to it,
``deskpulse verify`` compares a running one). It uses the same pure functions, so no measure is computed twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from xxhash import xxh3_64_digest

from schemas.events import AnyEvent, at_ms
from schemas.outputs import TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.calendars import DAY_MS
from streams.config import DomainConfig
from streams.customers import heard
from streams.facts import Facts, facts
from streams.facts_record import FactsRecords
from streams.history import History, erases
from streams.summaries import Summaries


class Told(NamedTuple):
    """One ticket: its facts, the record of them, and its events in history order, each once."""

    facts: Facts
    record: TicketFacts
    history: list[AnyEvent]


def batch(
    events: Iterable[AnyEvent], now_ms: int | None, config: DomainConfig, graph: AttributeGraph | None = None
) -> dict[str, Told]:
    """Every ticket by its id, in their order; ``now_ms`` None is the time of the last event of all.

    ``graph``: to be given where the numbers of combinations of dimensions in the facts are to mean something.
    """
    if graph is None:
        graph = AttributeGraph(Dimensions(config.dimensions), config.policies)
    by_ticket: dict[str, list[tuple[int, int, bytes, AnyEvent]]] = {}
    for event in events if config.pseudonyms is None else map(config.pseudonyms.hide, events):
        order = at_ms(event.at), event.seq, xxh3_64_digest(event.id.encode()), event
        by_ticket.setdefault(event.ticket_id, []).append(order)
    if now_ms is None:
        now_ms = max((one[0] for some in by_ticket.values() for one in some), default=0)
    histories: dict[str, tuple[History, list[AnyEvent]]] = {}
    found: dict[str, Facts] = {}
    for ticket_id, some in sorted(by_ticket.items()):
        history = History()
        ordered: dict[str, AnyEvent] = {}
        some.sort(key=_order)
        for at, _, _, event in some:
            history.add(event, at)
            ordered.setdefault(event.id, event)
        history.put_in_order()
        # Of an erased ticket its erasure is all that there is.
        only = [event for _, _, _, event in some if erases(event)][:1]
        histories[ticket_id] = history, only or [*ordered.values()]
        found[ticket_id] = facts(history.records, history.names, now_ms, graph, config)
    tell = Summaries().decoded
    summaries = ((one.customer, tell(ticket_id, one)) for ticket_id, one in found.items())
    told = [(customer, summary) for customer, summary in summaries if summary is not None]
    for ticket_id, contact in heard(told, config.fcr_days * DAY_MS).items():
        history = histories[ticket_id][0]
        found[ticket_id] = facts(history.records, history.names, now_ms, graph, config, contact)
    records = FactsRecords()
    return {
        ticket_id: Told(
            found[ticket_id],
            records.decoded(ticket_id, found[ticket_id], history.names, len(history)),
            ordered_events,
        )
        for ticket_id, (history, ordered_events) in histories.items()
    }


def _order(one: tuple[int, int, bytes, AnyEvent]) -> tuple[int, int, bytes]:
    return one[:3]
