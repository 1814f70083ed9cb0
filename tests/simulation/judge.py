"""Is what came out what the oracle says? Nothing lost, nothing doubled, nothing wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Message

from schemas.outputs import CELLS, DEAD_LETTERS, FACTS, LATE, SLA_EVENTS, Cell, SlaEvent, TicketFacts
from sinks.rows import SINK_TOPICS, blocks
from streams.figures import WINDOWS_SECONDS
from streams.live import LiveFigures
from tests import oracle
from tests.domain.live_counts import backlog_of, counted, running_of, unanswered_of
from tests.domain.partitions import Topics, without_time
from tests.simulation.clients import Tables
from tests.simulation.world import World


class Finding(NamedTuple):
    """One difference."""

    kind: str
    """``lost``, ``doubled`` or ``wrong``."""
    what: str


def judge(world: World) -> list[Finding]:
    """All differences between what came out and what the oracle says of the events."""
    topics = _published(world)
    answers = oracle.Answers(world.plan.events, world.wall_ms, world.config)
    return [
        *(Finding("wrong", error) for error in world.errors),
        *_of_facts(topics, answers),
        *_of_figures(world, topics, answers),
        *_of_sla_events(topics, answers),
        *_of_refused(world),
        *_of_live(world, answers),
        *_of_tables(world),
    ]


def _published(world: World) -> Topics:
    topics = Topics()
    for _, (_, entry) in world.broker.committed(FACTS):
        topics.facts[entry.key or b""] = msgspec.json.decode(entry.value or b"", type=TicketFacts)
    for number, (_, entry) in world.broker.committed(CELLS):
        topics.cells[number, entry.key or b""] = msgspec.json.decode(entry.value or b"", type=Cell)
    for _, (_, entry) in world.broker.committed(SLA_EVENTS):
        topics.sla_events.append(msgspec.json.decode(entry.value or b"", type=SlaEvent))
    return topics


def _of_facts(topics: Topics, answers: oracle.Answers) -> Iterator[Finding]:
    expected = answers.facts()
    found = {key.decode(): oracle.comparable(one) for key, one in topics.facts.items()}
    for ticket_id, facts in expected.items():
        known = found.pop(ticket_id, {"events": 0})
        if known["events"] != facts["events"]:
            kind = "lost" if known["events"] < facts["events"] else "doubled"
            yield Finding(kind, f"{ticket_id} has {known['events']} events, expected {facts['events']}")
        elif without_time(known) != without_time(facts):
            yield Finding("wrong", f"facts of {ticket_id}: {_difference(without_time(known), without_time(facts))}")
    for ticket_id in found:
        yield Finding("wrong", f"facts of {ticket_id}, of which there are no events")


def _of_figures(world: World, topics: Topics, answers: oracle.Answers) -> Iterator[Finding]:
    found = topics.cells_of("hour", world.config.dimensions)
    expected = answers.cells("hour")
    if found != expected:
        yield Finding("wrong", f"cells: {_difference(found, expected)}")


def _of_sla_events(topics: Topics, answers: oracle.Answers) -> Iterator[Finding]:
    holding: dict[tuple[Any, ...], int] = {}
    for event in topics.sla_events:
        one = (event.ticket_id, event.target, event.started_at_ms, event.instance, event.withdraws or event.kind)
        if event.withdraws and one not in holding:
            yield Finding("wrong", f"{one} is withdrawn, but was not raised")
        elif event.withdraws:
            del holding[one]
        elif one in holding:
            yield Finding("doubled", f"{one} is raised twice, at {holding[one]} and at {event.at_ms}")
        else:
            holding[one] = event.at_ms
    found = {(*one, at_ms) for one, at_ms in holding.items()}
    expected = answers.sla_events()
    for one in sorted(expected - found):
        yield Finding("lost", f"SLA event {one}")
    for one in sorted(found - expected):
        yield Finding("wrong", f"SLA event {one}")


def _of_refused(world: World) -> Iterator[Finding]:
    found = Counter((entry.key, entry.value) for _, (_, entry) in world.broker.committed(DEAD_LETTERS))
    expected = Counter((one.key, one.value) for one in world.plan.bad)
    for (_, value), number in (expected - found).items():
        yield Finding("lost", f"{number} dead letters {value!r}")
    for (_, value), number in (found - expected).items():
        yield Finding("doubled", f"{number} dead letters {value!r}")
    for _, (_, entry) in world.broker.committed(LATE):
        yield Finding("wrong", f"late: {entry.value!r}")


def _of_live(world: World, answers: oracle.Answers) -> Iterator[Finding]:
    """The pictures of both workers together."""
    config = world.config
    pictures = [process.processor.live() for process in world.alive]
    for window in WINDOWS_SECONDS:
        totals = oracle.by_group(answers.window_totals(window), config.dimensions)
        expected = {group: oracle.numbered(amounts) for group, amounts in totals.items() if amounts}
        found = _added(pictures, window)
        if found != expected:
            yield Finding("wrong", f"live totals of {window}: {_difference(found, expected)}")
    tickets, running = answers.backlog(), answers.running()
    for what, of, told in (
        ("backlog", backlog_of, counted(config, [(ticket.attributes, (ticket.status,)) for ticket in tickets])),
        ("unanswered", unanswered_of, counted(config, [(t.attributes, ()) for t in tickets if t.unanswered])),
        ("running", running_of, counted(config, [(one.attributes, (one.target, one.state)) for one in running])),
    ):
        seen: Counter[tuple[str, ...]] = Counter()
        for picture in pictures:
            seen.update(of(picture))
        if seen != told:
            yield Finding("wrong", f"live {what}: {_difference(seen, told)}")


def _added(pictures: list[LiveFigures], window: str) -> dict[tuple[str, str], dict[int, int]]:
    found: dict[tuple[str, str], Counter[int]] = {}
    for picture in pictures:
        for group, totals in picture.totals[window].items():
            found.setdefault((group.dimension, group.value), Counter()).update(totals)
    present = {group: {key: n for key, n in totals.items() if n} for group, totals in found.items()}
    return {group: totals for group, totals in present.items() if totals}


def _of_tables(world: World) -> Iterator[Finding]:
    """The tables hold what one sink would have put there that read each committed record once."""
    told = Tables()
    for topic in SINK_TOPICS:
        for number in range(world.broker.numbers):
            log = world.broker.logs[topic, number]
            messages = [
                Message(topic=topic, partition=number, offset=o, key=e.key, value=e.value, timestamp=(1, e.at_ms))
                for o, e in log.committed()
            ]
            for table, columns in blocks(topic, number, messages):
                told.put(table.name, columns, table.insert_columns[0])
    for table, expected in told.rows.items():
        found = world.tables.rows[table]
        for key in expected.keys() - found.keys():
            yield Finding("lost", f"row {key} of {table}")
        for key in found.keys() - expected.keys():
            yield Finding("doubled", f"row {key} of {table}, which no record is of")
        for key in expected.keys() & found.keys():
            if expected[key] != found[key]:
                yield Finding("wrong", f"row {key} of {table} is of offset {found[key][0]}, not {expected[key][0]}")


def _difference(found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> str:
    """The first places in which they differ."""
    places = [place for place in {**expected, **found} if found.get(place) != expected.get(place)]
    return ", ".join(f"{p}: {found.get(p)!r}, expected {expected.get(p)!r}" for p in places[:3])
