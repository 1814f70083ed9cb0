"""What is left: nothing in state and tables, and in the logs only what retention and compaction take by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Message

from deskpulse.forget.logs import Kept as KeptFor
from deskpulse.forget.logs import Logs
from deskpulse.forget.person import Person
from deskpulse.forget.report import Remainder, Report
from deskpulse.forget.state import Kept, State
from deskpulse.forget.tables import Tables
from schemas.events import INPUT_TOPICS
from schemas.outputs import (
    CHANGELOGS,
    CONTACTS,
    CUSTOMER_TICKETS,
    CUSTOMERS,
    DEAD_LETTERS,
    FACTS,
    HISTORIES,
    LATE,
    SLA_EVENTS,
)
from streams.partitioner import partition_of

_ENDLESS: Final = "; nothing ends it: give the topic {} (docs/privacy.md)"
_UNCOUNTED: Final = (*INPUT_TOPICS, FACTS, SLA_EVENTS)
"""Topics that are too long to be read: what they hold has been published by now, so it is gone by then."""


def prove_state(logs: Logs, person: Person, report: Report) -> None:
    """Read the changelogs again: their newest records must not tell of the customer or the tickets."""
    state = State(person, report.tickets)
    state.read(logs)
    new = state.tickets.keys() - report.tickets.keys()
    told = [ticket_id for ticket_id, kept in state.tickets.items() if kept is Kept.history and ticket_id not in new]
    named = state.naming - set(told)
    if told:
        what = "tickets of which more than their erasure is kept"
        report.traces.append(Remainder(HISTORIES, what, len(told)))
    if named:
        report.traces.append(Remainder(HISTORIES, "tickets that came meanwhile; forget again", len(named)))
    if state.telling:
        what = "customers of whom the customer, or one of the tickets, is told"
        report.traces.append(Remainder(CUSTOMER_TICKETS, what, len(state.telling)))
    if state.superseded:
        kept = logs.kept(CHANGELOGS)
        ends = [kept[topic].compaction_ms for topic in CHANGELOGS]
        until = None if None in ends else _now_ms() + max(end or 0 for end in ends)
        _add(
            report,
            Remainder(" and ".join(CHANGELOGS), "superseded records, until compaction", state.superseded, until),
            "max.compaction.lag.ms",
        )


def prove_tables(tables: Tables, report: Report) -> None:
    """Search the tables again: nothing may name the customer, and of the tickets there are only the stubs."""
    for table, rows in tables.count(sorted(report.tickets)).items():
        report.traces.append(Remainder(table, "rows of the tickets", rows))
    if came := tables.find() - report.tickets.keys():
        report.traces.append(Remainder("ClickHouse", "tickets that came meanwhile; forget again", len(came)))


def what_topics_keep(logs: Logs, person: Person, report: Report) -> None:
    """Tell what the topics keep of the customer, and until when."""
    kept = logs.kept((*_UNCOUNTED, CUSTOMERS, CONTACTS, LATE, DEAD_LETTERS))
    tickets = {ticket_id.encode() for ticket_id in report.tickets}

    def tells(message: Message) -> bool:
        key, value = message.key(), message.value()
        return key in person.keys or key in tickets or (value is not None and person.in_event(value))

    for topic in (CUSTOMERS, CONTACTS, LATE, DEAD_LETTERS):
        found = _found(logs, topic, person, tells)
        if found:
            newest = max(message.timestamp()[1] for message in found)
            places = [f"{message.partition()}:{message.offset()}" for message in found]
            where = tuple(places) if topic in (LATE, DEAD_LETTERS) else ()
            rest = Remainder(topic, "records, until retention", len(found), _until(kept[topic], newest), where)
            _add(report, rest, "retention.ms and segment.ms")
    if report.tickets:
        for topic in _UNCOUNTED:
            rest = Remainder(topic, "whatever it holds, until retention", None, _until(kept[topic], _now_ms()))
            _add(report, rest, "retention.ms and segment.ms")


def _found(logs: Logs, topic: str, person: Person, tells: Callable[[Message], bool]) -> list[Message]:
    found: list[Message] = []

    def take(message: Message) -> None:
        if tells(message):
            found.append(message)

    count = len(logs.partitions(topic))
    numbers = sorted({partition_of(key, count) for key in person.keys}) if topic == CUSTOMERS and count else None
    for number in (None,) if numbers is None else numbers:
        logs.read(topic, take, number)
    return found


def _until(kept: KeptFor, since_ms: int) -> int | None:
    return None if kept.retention_ms is None else since_ms + kept.retention_ms


def _add(report: Report, rest: Remainder, setting: str) -> None:
    """Among what goes by itself, or, where nothing ends it, among what should not be there."""
    if rest.until_ms is not None:
        report.rests.append(rest)
    else:
        endless = Remainder(rest.where, rest.what + _ENDLESS.format(setting), rest.records, None, rest.places)
        report.traces.append(endless)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
