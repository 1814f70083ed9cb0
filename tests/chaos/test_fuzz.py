"""Random and mutated records: each counts or is refused whole, and what counts is what an independent reader says."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from itertools import islice
from typing import Any

from schemas.events import INPUT_TOPICS, TYPE_NAMES
from streams.config import DAY_MS, DomainConfig
from streams.policies import Policies, Policy
from tests.chaos.mutations import Fuzz, Pool, records
from tests.domain.partitions import Desk

RECORDS = 20_000
BATCH = 500
TARGETS = {"first_reply": 600_000, "next_reply": 600_000, "resolution": 3_600_000}


class Message:
    """A record as confluent-kafka hands it over."""

    def __init__(self, offset: int, made: Fuzz) -> None:
        self.made = made
        self._offset = offset

    def value(self) -> bytes | None:
        return self.made.value

    def key(self) -> bytes | None:
        return self.made.key

    def offset(self) -> int:
        return self._offset


def test_every_record_counts_or_is_refused_whole_and_nothing_else_comes_of_it() -> None:
    now_ms = time.time_ns() // 1_000_000
    desk = Desk(DomainConfig(horizon_ms=31 * DAY_MS, policies=Policies([Policy("all", targets=TARGETS)])))
    partition = desk.partition
    made = [
        Message(offset, one) for offset, one in enumerate(islice(records(1, now_ms, Pool(largest=20_000)), RECORDS))
    ]
    refused: Counter[Any] = Counter()
    accepted: dict[str, set[str]] = defaultdict(set)
    for start in range(0, RECORDS, BATCH):
        by_topic: dict[str, list[Message]] = defaultdict(list)
        for message in made[start : start + BATCH]:
            by_topic[message.made.topic].append(message)
        for topic, batch in by_topic.items():
            partition.apply(topic, batch, now_ms + DAY_MS)
        partition.advance(INPUT_TOPICS, now_ms)
        published = partition.cut()
        refused.update(one.record for one in published.refused)
        desk.publish(published)
        desk.pass_on()
    counters = partition.counters
    counted = [message for message in made if message not in refused]
    assert max(refused.values()) == 1
    assert sum(counters.events.values()) == RECORDS
    skipped = 0
    for message in counted:
        event = json.loads(message.made.value or b"")
        if event["type"] not in TYPE_NAMES:
            skipped += 1
        else:
            assert message.made.key == event["ticket_id"].encode()
            accepted[event["ticket_id"]].add(event["id"])
    assert counters.skipped_types == skipped > 100
    assert len(refused) == sum(counters.dead_letters.values()) + counters.late > RECORDS / 20
    assert counters.duplicates == len(counted) - skipped - sum(map(len, accepted.values())) > RECORDS / 20
    assert {key.decode(): facts.events for key, facts in desk.topics.facts.items()} == {
        ticket: len(ids) for ticket, ids in accepted.items()
    }
