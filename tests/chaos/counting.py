"""Every record of the inputs is counted or lies whole among the refused: for more records than can be held."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import INPUT_TOPICS, decode
from schemas.outputs import DEAD_LETTERS, FACTS, LATE
from streams.clients import client_config
from tests.chaos.audit import Findings, Place


def count(client: Mapping[str, Any], partitions: int) -> Findings:
    """One pass over the refused, one over the facts, one over the inputs; only places and ids are held."""
    findings = Findings()
    refused: dict[Place, int] = {}
    by_topic: Counter[str] = Counter()
    for topic, _, _, key, value, headers in _records(client, (DEAD_LETTERS, LATE), partitions):
        place = headers["origin_topic"].decode(), int(headers["origin_partition"]), int(headers["origin_offset"])
        by_topic[topic] += 1
        if place in refused:
            findings.add("doubled", f"{place} was refused twice")
        refused[place] = hash((key, value))
    found = {key or b"": value for _, _, _, key, value, _ in _records(client, (FACTS,), partitions)}
    ids: dict[str, set[int]] = defaultdict(set)
    published = accepted = unknown = 0
    for topic, partition, offset, key, value, _ in _records(client, INPUT_TOPICS, partitions):
        published += 1
        whole = refused.pop((topic, partition, offset), None)
        if whole is not None:
            if whole != hash((key, value)):
                findings.add("wrong", f"{topic}[{partition}] {offset} was not refused whole")
            continue
        try:
            event = decode(value)
        except UnknownTypeError:
            unknown += 1
            continue
        except BadRecordError as error:
            findings.add("lost", f"{topic}[{partition}] {offset}: {error}")
            continue
        accepted += 1
        ids[event.ticket_id].add(hash(event.id))
    for place in refused:
        findings.add("wrong", f"{place} was refused, but there is no such record")
    for ticket_id in ids.keys() | {key.decode() for key in found}:
        value = found.get(ticket_id.encode())
        counted = json.loads(value)["events"] if value else 0
        missing = len(ids.get(ticket_id, ())) - counted
        if missing:
            findings.add("lost" if missing > 0 else "doubled", f"ticket {ticket_id!r}: {missing} events", abs(missing))
    events = sum(map(len, ids.values()))
    findings.counts = {
        "published": published,
        "counted": events,
        "duplicates": accepted - events,
        "dead_letters": by_topic[DEAD_LETTERS],
        "late": by_topic[LATE],
        "unknown": unknown,
        "tickets": len(found),
    }
    return findings


def _records(
    client: Mapping[str, Any], topics: tuple[str, ...], partitions: int
) -> Iterator[tuple[str, int, int, bytes | None, bytes | None, Any]]:
    """All committed records, one after the other."""
    consumer = Consumer(
        client_config(
            client,
            fixed={
                "group.id": "count",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            },
        )
    )
    places = [TopicPartition(topic, number, 0) for topic in topics for number in range(partitions)]
    consumer.assign(places)
    left = len(places)
    while left:
        for message in consumer.consume(5_000, 1.0):
            error = message.error()
            if error is None:
                pairs: Any = message.headers() or []
                place = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
                # Of two headers of a name the first is deskpulse's, the others are the record's own.
                yield *place, message.key(), message.value(), dict(reversed(pairs))
            elif error.code() == KafkaError._PARTITION_EOF:
                left -= 1
            else:
                raise KafkaException(error)
    consumer.close()
