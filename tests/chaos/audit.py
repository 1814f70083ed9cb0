"""What must hold at the end, whatever happened: read from Kafka as everybody reads it, compared with the oracle.

The inputs are the truth: what was published is what lies there. Nothing of ``streams`` but settings and names of
measures takes part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import INPUT_TOPICS, AnyEvent, decode
from schemas.outputs import CELLS, DEAD_LETTERS, FACTS, LATE, SLA_EVENTS, Cell, SlaEvent, TicketFacts
from streams.config import DomainConfig
from tests import oracle
from tests.chaos.traffic import Record

_READ: Final = (*INPUT_TOPICS, FACTS, CELLS, SLA_EVENTS, LATE, DEAD_LETTERS)
_OF_NOW: Final = ("status_seconds", "requester_wait_seconds", "agent_work_seconds")
"""Facts that time alone changes; and the same within opening hours."""
_SHOWN: Final = 10
_facts: Final = msgspec.json.Decoder(TicketFacts).decode
_cell: Final = msgspec.json.Decoder(Cell).decode
_sla_event: Final = msgspec.json.Decoder(SlaEvent).decode

Place = tuple[str, int, int]
"""Topic, partition and offset."""
Instance = tuple[str, str, int, int]
"""Ticket, target, start and number."""


class Read(NamedTuple):
    """One record as it is read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes]
    """The first of each name: of a refused record those of deskpulse, before the record's own."""

    @property
    def origin(self) -> Place:
        """Where a refused record was read."""
        at = self.headers
        return at["origin_topic"].decode(), int(at["origin_partition"]), int(at["origin_offset"])


@dataclass
class Findings:
    """What is wrong, in words: a few of each kind, and how many there are."""

    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)

    def add(self, kind: str, what: str, number: int = 1) -> None:
        """``kind`` is ``lost``, ``doubled`` or ``wrong``."""
        setattr(self, kind, getattr(self, kind) + number)
        if sum(one.startswith(f"{kind}:") for one in self.told) < _SHOWN:
            self.told.append(f"{kind}: {what}")

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.wrong)


def read_all(client: Mapping[str, Any], topics: Sequence[str] = _READ) -> dict[str, list[Read]]:
    """Every committed record of the topics, in the order of each partition."""
    consumer = Consumer(
        {
            **client,
            "group.id": "audit",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
        }
    )
    there = consumer.list_topics(timeout=30).topics
    asked = [TopicPartition(topic, number, 0) for topic in topics for number in there[topic].partitions]
    consumer.assign(asked)
    found: dict[str, list[Read]] = {topic: [] for topic in topics}
    left = len(asked)
    while left:
        for message in consumer.consume(20_000, 1.0):
            error = message.error()
            if error is None:
                pairs: Any = message.headers() or []
                topic = str(message.topic())
                place = int(message.partition() or 0), int(message.offset() or 0)
                found[topic].append(Read(topic, *place, message.key(), message.value(), dict(reversed(pairs))))
            elif error.code() == KafkaError._PARTITION_EOF:
                left -= 1
            else:
                raise KafkaException(error)
    consumer.close()
    return found


def audit(topics: Mapping[str, list[Read]], sent: Sequence[Record], config: DomainConfig, now_ms: int) -> Findings:
    """Compare all that the topics hold with what was sent and what the oracle says at ``now_ms``.

    No clock of an agreement may run out between the last commit and ``now_ms``.
    """
    findings = Findings()
    inputs = [record for topic in INPUT_TOPICS for record in topics[topic]]
    _compare_inputs(inputs, sent, findings)
    refused = _refused(topics, inputs, sent, findings)
    events, duplicates, unknown = _accepted(inputs, refused, findings)
    newest = {record.key: _facts(record.value or b"") for record in topics[FACTS]}
    found = {facts.ticket_id: facts for facts in newest.values()}
    _compare_facts(found, events, config, now_ms, findings)
    raised = _compare_sla(topics[SLA_EVENTS], events, config, now_ms, findings)
    cells = _compare_cells(topics[CELLS], events, config, now_ms, findings)
    counted = sum(facts.events for facts in found.values())
    findings.counts = {
        "published": len(inputs),
        "counted": counted,
        "duplicates": duplicates,
        "dead_letters": len(topics[DEAD_LETTERS]),
        "late": len(topics[LATE]),
        "unknown": unknown,
        "tickets": len(found),
        "cells": cells,
        **raised,
    }
    if len(inputs) != counted + duplicates + len(topics[DEAD_LETTERS]) + len(topics[LATE]) + unknown:
        findings.add("wrong", f"the counts do not add up: {findings.counts}")
    return findings


def _compare_inputs(inputs: Iterable[Read], sent: Iterable[Record], findings: Findings) -> None:
    """The broker has what was sent, once: else the run says nothing of deskpulse."""
    there = Counter((record.topic, record.key, record.value) for record in inputs)
    wanted = Counter((record.topic, record.key, record.value) for record in sent)
    for what, number in (wanted - there).items():
        findings.add("lost", f"the broker lost {number} of {what!r:.200}", number)
    for what, number in (there - wanted).items():
        findings.add("doubled", f"the broker has {number} more of {what!r:.200}", number)


def _refused(
    topics: Mapping[str, list[Read]], inputs: Iterable[Read], sent: Iterable[Record], findings: Findings
) -> set[Place]:
    """Where what was refused was read; each of it whole, once, and in the topic that it belongs to."""
    by_place = {(record.topic, record.partition, record.offset): record for record in inputs}
    refused: set[Place] = set()
    for topic, kind in ((DEAD_LETTERS, "poison"), (LATE, "late")):
        wanted = Counter((record.topic, record.key, record.value) for record in sent if record.kind == kind)
        there: Counter[Any] = Counter()
        for record in topics[topic]:
            place = record.origin
            if place in refused:
                findings.add("doubled", f"{place} lies in {topic} again")
            refused.add(place)
            whole = by_place.get(place)
            if whole is None or (whole.key, whole.value) != (record.key, record.value):
                findings.add("wrong", f"{topic}: {place} is not what was read there: {record.value!r:.200}")
            there[place[0], record.key, record.value] += 1
        for what, number in (wanted - there).items():
            findings.add("lost", f"{number} of {what!r:.200} not in {topic}", number)
        for what, number in (there - wanted).items():
            findings.add("wrong", f"{number} of {what!r:.200} in {topic}", number)
    return refused


def _accepted(inputs: Iterable[Read], refused: set[Place], findings: Findings) -> tuple[list[AnyEvent], int, int]:
    """The events that count, how many came again, and how many are of types of another contract."""
    events: dict[str, AnyEvent] = {}
    duplicates = unknown = 0
    for record in inputs:
        if (record.topic, record.partition, record.offset) in refused:
            continue
        try:
            event = decode(record.value)
        except UnknownTypeError:
            unknown += 1
            continue
        except BadRecordError as error:
            findings.add("lost", f"not in the dead letters: {record.value!r:.200} ({error})")
            continue
        duplicates += event.id in events
        events[event.id] = event
    return list(events.values()), duplicates, unknown


def _compare_facts(
    found: Mapping[str, TicketFacts], events: list[AnyEvent], config: DomainConfig, now_ms: int, findings: Findings
) -> None:
    expected = oracle.facts(events, now_ms, config)
    for ticket_id in sorted(found.keys() | expected.keys()):
        wanted = expected.get(ticket_id)
        there = oracle.comparable(found[ticket_id]) if ticket_id in found else None
        missing = (wanted["events"] if wanted else 0) - (there["events"] if there else 0)
        if missing:
            findings.add("lost" if missing > 0 else "doubled", f"ticket {ticket_id}: {missing} events", abs(missing))
        elif wanted and there:
            for name, value in wanted.items():
                if not name.startswith(_OF_NOW) and not name.endswith("_business_seconds") and there[name] != value:
                    findings.add("wrong", f"ticket {ticket_id}: {name} is {there[name]!r}, not {value!r}")


def _compare_sla(
    records: Iterable[Read], events: list[AnyEvent], config: DomainConfig, now_ms: int, findings: Findings
) -> dict[str, int]:
    """What holds at the end is what the oracle says, and nothing was raised that held already."""
    held: dict[Instance, dict[str, int]] = defaultdict(dict)
    published: Counter[str] = Counter()
    for record in records:
        event = _sla_event(record.value or b"")
        instance = event.ticket_id, event.target, event.started_at_ms, event.instance
        published[event.kind] += 1
        if event.withdraws:
            if held[instance].pop(event.withdraws, None) is None:
                findings.add("doubled", f"{instance}: {event.withdraws} was withdrawn, but did not hold")
        elif event.kind in held[instance]:
            findings.add("doubled", f"{instance}: {event.kind} was raised again")
        else:
            held[instance][event.kind] = event.at_ms
    there = {(*instance, kind, at) for instance, kinds in held.items() for kind, at in kinds.items()}
    wanted = oracle.sla_events(events, now_ms, config)
    for what in sorted(wanted - there):
        findings.add("lost", f"not raised: {what}")
    for what in sorted(there - wanted):
        findings.add("wrong", f"raised: {what}")
    breaches = sum(what[4] == "breached" for what in there)
    if breaches != sum(what[4] == "breached" for what in wanted):
        findings.add("wrong", f"{breaches} breaches hold, not as many as the oracle says")
    return {"sla_events": len(there), "breaches": breaches, "retracted": published["retracted"]}


def _compare_cells(
    records: Iterable[Read], events: list[AnyEvent], config: DomainConfig, now_ms: int, findings: Findings
) -> int:
    """The newest cells of all partitions add up to the oracle's; panes before the last day are not looked at."""
    newest: dict[tuple[bytes | None, int], Cell] = {}
    for record in records:
        newest[record.key, record.partition] = _cell(record.value or b"")
    since_ms = now_ms - oracle.DAY_MS
    for resolution in ("minute", "hour"):
        there: dict[tuple[int, tuple[str, ...]], Counter[str]] = defaultdict(Counter)
        for cell in newest.values():
            if cell.resolution == resolution and cell.pane_at_ms >= since_ms:
                dims = tuple(cell.dimensions[name] for name in config.dimensions)
                there[cell.pane_at_ms, dims].update(cell.measures)
        wanted = oracle.cells(events, now_ms, resolution, config)
        for place in sorted(there.keys() | {place for place in wanted if place[0] >= since_ms}):
            found, expected = there.get(place, Counter()), wanted.get(place, {})
            for measure in sorted(found.keys() | expected.keys()):
                if (n := found.get(measure, 0)) != (m := expected.get(measure, 0)):
                    findings.add("wrong", f"{resolution} cell {place}: {measure} is {n}, not {m}")
    return len(newest)
