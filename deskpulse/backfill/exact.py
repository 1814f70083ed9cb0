"""What late events would have changed, exactly: the batch computation over their tickets without them and with them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client

from deskpulse.backfill.facts import HIDDEN, PERSONAL
from deskpulse.backfill.late import Late
from deskpulse.backfill.period import HOUR_MS, closed_until
from deskpulse.recompute import cell_rows
from deskpulse.recompute.archive import Place
from deskpulse.verify.differences import instant
from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import AnyEvent, TicketCreated, TicketUpdated, decode
from schemas.outputs import TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.batch import Told, batch
from streams.cells import RESOLUTIONS, Panes
from streams.config import DomainConfig
from streams.contributions import contributions

_AT_ONCE: Final = 1_000
_EVENTS: Final = """\
SELECT _topic, _partition, _offset, value FROM events
WHERE _key = ticket_id AND ticket_id IN {tickets:Array(String)}"""
_OTHERS: Final = """\
SELECT DISTINCT ticket_id FROM events
WHERE type IN ('ticket.created', 'ticket.updated')
    AND JSONExtractString(value, 'customer_id') IN {customers:Array(String)}"""
_BACKFILLED: Final = """\
SELECT ticket_id, events FROM ticket_facts FINAL
WHERE _backfilled_at IS NOT NULL AND ticket_id IN {tickets:Array(String)}"""
_RUNNING: Final = frozenset({"ticket_id", "as_of_ms"})


class _Archived(NamedTuple):
    place: Place
    event: AnyEvent


def exact(
    client: Client,
    config: DomainConfig,
    listed: Sequence[Late],
    all_late: Collection[Place],
    dead: Collection[Place],
) -> dict[str, Any]:
    """The difference that ``listed`` late events make to facts and cells of an hour, as JSON.

    ``all_late``: where all late records of the topic were read, ``dead``: dead letters. Neither counts without the
    listed ones. Raises ClickHouse's errors. Memory: all events of the tickets' customers.
    """
    times = cell_rows.times(client)
    now_ms = max(times.values(), default=0)
    archived = _read(client, {one.event.ticket_id for one in listed}, config)
    chosen = {one.origin for one in listed}
    refused = set(all_late).union(dead)
    graph = AttributeGraph(Dimensions(config.dimensions), config.policies)
    without = batch([one.event for one in archived if one.place not in refused], now_ms, config, graph)
    with_them = batch(
        [one.event for one in archived if one.place not in refused or one.place in chosen], now_ms, config, graph
    )
    hours = _hours(without, with_them, graph, config)
    closed_ms = closed_until(times, config.horizon_ms) or 0
    closed = [hour for hour in hours if hour < closed_ms]
    backfilled = _backfilled(client, with_them)
    missing = [one.origin for one in listed if one.origin not in {record.place for record in archived}]
    return {
        "tickets": [
            {"ticket": ticket_id, "backfilled": ticket_id in backfilled, "facts": changed}
            for ticket_id in sorted(with_them)
            if (changed := _facts(without.get(ticket_id), with_them[ticket_id]))
        ],
        "hours": [{"hour": instant(hour), "closed": hour < closed_ms, "cells": hours[hour]} for hour in sorted(hours)],
        "backfill": {"from": instant(min(closed)), "to": instant(max(closed) + HOUR_MS)} if closed else None,
        "not_closed": len(hours) - len(closed),
        "not_archived": len(missing),
    }


def _read(client: Client, tickets: set[str], config: DomainConfig) -> list[_Archived]:
    """The archived events of tickets and of all other tickets of their customers."""
    own = _events(client, tickets)
    customers = {
        event.customer_id
        for _, event in own
        if isinstance(event, TicketCreated | TicketUpdated) and isinstance(event.customer_id, str)
    }
    if config.pseudonyms is not None:
        customers |= {config.pseudonyms.of(customer) for customer in customers}
    others: set[str] = set()
    for some in _chunks(customers):
        others |= {row[0] for row in client.query(_OTHERS, parameters={"customers": some}).result_rows}
    return own + _events(client, others - tickets)


def _events(client: Client, tickets: Iterable[str]) -> list[_Archived]:
    found: list[_Archived] = []
    for some in _chunks(tickets):
        for topic, partition, offset, value in client.query(_EVENTS, parameters={"tickets": some}).result_rows:
            try:
                found.append(_Archived((topic, partition, offset), decode(value.encode())))
            except (BadRecordError, UnknownTypeError):
                continue  # Of another version's contract.
    return found


def _chunks(ids: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), _AT_ONCE):
        yield ordered[start : start + _AT_ONCE]


def _backfilled(client: Client, tickets: dict[str, Told]) -> set[str]:
    """The tickets whose rows were backfilled with all of these events."""
    found: set[str] = set()
    for some in _chunks(tickets):
        rows = client.query(_BACKFILLED, parameters={"tickets": some}).result_rows
        found |= {ticket_id for ticket_id, events in rows if events >= tickets[ticket_id].record.events}
    return found


def _facts(before: Told | None, after: Told) -> dict[str, Any]:
    """The facts that differ: without the late events, and with them."""
    old = msgspec.to_builtins(TicketFacts(ticket_id="", as_of_ms=0) if before is None else before.record)
    new = msgspec.to_builtins(after.record)
    differing = [name for name in TicketFacts.__struct_fields__ if old.get(name) != new.get(name)]
    return {
        name: [HIDDEN, HIDDEN] if name in PERSONAL else [old.get(name), new.get(name)]
        for name in differing
        if name not in _RUNNING
    }


def _hours(
    before: dict[str, Told], after: dict[str, Told], graph: AttributeGraph, config: DomainConfig
) -> dict[int, list[dict[str, Any]]]:
    """By hour what is added to its cells (a negative amount is taken back)."""
    panes = Panes(RESOLUTIONS["hour"], None)
    for tickets, sign in ((after, 1), (before, -1)):
        packed = b"".join(contributions(told.facts, config.policies.business) for told in tickets.values())
        if packed:
            panes.gather(packed, sign)
    panes.settle()
    hours: dict[int, list[dict[str, Any]]] = {}
    for minute, number, measures in panes.take_dirty().named():
        if measures:
            cell = {"dimensions": graph.dimensions.named(number), "measures": measures}
            hours.setdefault(minute * 60_000, []).append(cell)
    return hours
