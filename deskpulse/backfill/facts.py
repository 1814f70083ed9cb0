"""Facts and SLA events of the tickets of the period that have left the horizon, beside what ClickHouse holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client

from deskpulse.backfill.period import Period
from deskpulse.backfill.tables import TICKETS, Fresh
from deskpulse.recompute.ticket_rows import Chunk, Message, Row, SlaKey, as_rows, chunks, plain
from deskpulse.recompute.tickets import Tickets
from deskpulse.verify.differences import FACTS, SLA, Differences, instant
from schemas import outputs
from schemas.outputs import SlaEvent, TicketFacts
from streams.facts import Facts
from streams.sla import RETRACTED

PERSONAL: Final = frozenset({"customer_id", "agent_id", "answers"})
"""Columns whose values are not shown."""
HIDDEN: Final = "(hidden)"
_VERSIONS: Final = """\
SELECT ticket_id, target, toUnixTimestamp64Milli(started_at), instance,
    if(kind = 'retracted', withdraws, kind) AS raised, max(_offset)
FROM sla_events WHERE ticket_id IN {tickets:Array(String)}
GROUP BY ticket_id, target, started_at, instance, raised"""
_TICKETS_AT_ONCE: Final = 1_000


class Written(NamedTuple):
    """How much is other than it was."""

    facts: int
    sla_events: int
    first_at_ms: int
    """When the first of the tickets whose facts differ began, and when the last had its last event."""
    last_at_ms: int
    reopened: int
    """Tickets that are open again by what came late; no worker watches them."""


class Keeping(NamedTuple):
    """What the retention keeps: rows of before are not made again. Milliseconds since 1970."""

    facts_since_ms: int = 0
    sla_since_ms: int = 0


class _Wanted(NamedTuple):
    """A ticket as it is to be."""

    then: TicketFacts
    """As of the time that its row has."""
    now: TicketFacts
    facts: Facts
    """As of now, and when the first event happened."""
    first_at_ms: int
    sla: list[SlaEvent]
    overdue: bool
    """Whether its facts changed since, although nothing happened."""


class Comparison:
    """Compares ticket by ticket; writes what differs into the fresh tables where there are any."""

    def __init__(
        self,
        client: Client,
        tickets: Tickets,
        left: Collection[str],
        period: Period,
        keeping: Keeping,
        differences: Differences,
        fresh: Fresh | None,
        now_ms: int,
    ) -> None:
        self._client = client
        self._tickets = tickets
        self._left = left
        self._period = period
        self._keeping = keeping
        self._differences = differences
        self._fresh = fresh
        self._now_ms = now_ms
        self._facts = self._sla_events = self._reopened = self._last_at = 0
        self._first_at = now_ms

    def run(self, on_progress: Callable[[int, int], None]) -> Written:
        """Go through all tickets."""
        ids = sorted(self._left)
        place = 0
        for chunk in chunks(self._client, TICKETS):
            end = place
            while end < len(ids) and (chunk.upto is None or ids[end] <= chunk.upto):
                end += 1
            self._chunk(ids[place:end], chunk)
            place = end
            on_progress(place, len(ids))
        return Written(self._facts, self._sla_events, self._first_at, self._last_at, self._reopened)

    def _chunk(self, ids: Sequence[str], chunk: Chunk) -> None:
        wanted: dict[str, _Wanted] = {}
        for ticket_id in ids:
            row = chunk.rows.get(ticket_id)
            one = self._wanted(ticket_id, None if row is None else row["as_of"])
            if one is not None:
                wanted[ticket_id] = one
        rows = as_rows({ticket_id: one.then for ticket_id, one in wanted.items()})
        changed: dict[str, int] = {}
        sla: dict[str, list[tuple[SlaKey, SlaEvent]]] = {}
        for ticket_id, one in wanted.items():
            row = chunk.rows.get(ticket_id)
            differs = self._differs(ticket_id, rows[ticket_id], row)
            if one.overdue and row is not None:
                self._differences.add(
                    FACTS, f"ticket {ticket_id}", "as_of", instant(one.now.as_of_ms), instant(row["as_of"])
                )
            if differs or one.overdue:
                changed[ticket_id] = -1 if row is None else row["_offset"]
                self._reopened += one.facts.open
                self._first_at = min(self._first_at, one.first_at_ms)
                self._last_at = max(self._last_at, one.facts.last_at)
            if events := self._sla(ticket_id, one, chunk.sla.get(ticket_id, {})):
                sla[ticket_id] = events
        self._facts += len(changed)
        self._sla_events += sum(map(len, sla.values()))
        if self._fresh is not None:
            self._write_facts(self._fresh, {ticket_id: wanted[ticket_id].now for ticket_id in changed}, changed)
            self._write_sla(self._fresh, sla)

    def _wanted(self, ticket_id: str, as_of_ms: int | None) -> _Wanted | None:
        """None of a ticket that did not live in the period, or whose facts are kept no longer."""
        tickets = self._tickets
        now_ms = tickets.now_of(ticket_id)
        now, history = tickets.facts(ticket_id, now_ms)
        if not self._period.overlaps(history.first_at, now.last_at):
            return None
        if as_of_ms is None and now.last_at < self._keeping.facts_since_ms:
            return None
        then = now if as_of_ms is None else tickets.facts(ticket_id, as_of_ms)[0]
        overdue = then.changes_at is not None and then.changes_at <= now_ms
        record = tickets.record(ticket_id, now, history)
        return _Wanted(
            record if then is now else tickets.record(ticket_id, then, history),
            record,
            now,
            history.first_at,
            tickets.sla(ticket_id, now),
            overdue,
        )

    def _differs(self, ticket_id: str, wanted: Row, row: Row | None) -> bool:
        where = f"ticket {ticket_id}"
        if row is None:
            self._differences.add(FACTS, where, "events", wanted["events"], None)
            return True
        names = [name for name, value in wanted.items() if plain(row[name]) != value]
        for name in names:
            values: tuple[Any, Any] = wanted[name], plain(row[name])
            self._differences.add(FACTS, where, name, *((HIDDEN, HIDDEN) if name in PERSONAL else values))
        return bool(names)

    def _sla(self, ticket_id: str, one: _Wanted, held: Mapping[SlaKey, int]) -> list[tuple[SlaKey, SlaEvent]]:
        """What is to be raised, and what is to be withdrawn."""
        wanted = {(event.target, event.started_at_ms, event.instance, event.kind): event for event in one.sla}
        found: list[tuple[SlaKey, SlaEvent]] = []
        for key in sorted(wanted.keys() | held.keys()):
            event = wanted.get(key)
            there = held.get(key)
            if event is None:
                target, started_at, instance_number, kind = key
                event = SlaEvent(
                    ticket_id=ticket_id,
                    kind=RETRACTED,
                    target=target,
                    policy=one.now.policy,
                    at_ms=one.now.as_of_ms,
                    started_at_ms=started_at,
                    instance=instance_number,
                    withdraws=kind,
                    channel=one.now.channel,
                    priority=one.now.priority,
                    team=one.now.team,
                )
            elif event.at_ms == there or event.at_ms < self._keeping.sla_since_ms:
                continue
            found.append((key, event))
            name = f"{key[0]} {key[3]}, instance {key[2]} from {instant(key[1])}"
            at = None if event.withdraws else instant(event.at_ms)
            self._differences.add(SLA, f"ticket {ticket_id}", name, at, None if there is None else instant(there))
        return found

    def _write_facts(self, fresh: Fresh, records: Mapping[str, TicketFacts], versions: Mapping[str, int]) -> None:
        by_partition: dict[int, list[Message]] = {}
        for ticket_id, record in records.items():
            message = Message(msgspec.json.encode(record), ticket_id.encode(), versions[ticket_id] + 1, self._now_ms)
            by_partition.setdefault(self._tickets.kept[ticket_id].partition, []).append(message)
        for partition, messages in by_partition.items():
            fresh.put(outputs.FACTS, partition, messages)

    def _write_sla(self, fresh: Fresh, sla: Mapping[str, list[tuple[SlaKey, SlaEvent]]]) -> None:
        ids = list(sla)
        for start in range(0, len(ids), _TICKETS_AT_ONCE):
            some = ids[start : start + _TICKETS_AT_ONCE]
            found = self._client.query(_VERSIONS, parameters={"tickets": some}).result_rows
            versions = {tuple(row[:-1]): row[-1] for row in found}
            by_partition: dict[int, list[Message]] = {}
            for ticket_id in some:
                for key, event in sla[ticket_id]:
                    version = versions.get((ticket_id, *key), -1) + 1
                    message = Message(msgspec.json.encode(event), ticket_id.encode(), version, self._now_ms)
                    by_partition.setdefault(self._tickets.kept[ticket_id].partition, []).append(message)
            for partition, messages in by_partition.items():
                fresh.put(outputs.SLA_EVENTS, partition, messages)
