"""Partitions fed without Kafka: records as they would be read, and what they publish read back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE, AnyEvent
from schemas.outputs import CELLS, FACTS, HISTORIES, Cell, TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.config import DomainConfig
from streams.partition import Partition, Published
from streams.watermark import Watermark
from tests.strategies import encode, key


@dataclass(frozen=True)
class Record:
    """A record as confluent-kafka hands it over."""

    of_value: bytes | None
    of_key: bytes | None
    of_offset: int = 0

    def value(self) -> bytes | None:
        return self.of_value

    def key(self) -> bytes | None:
        return self.of_key

    def offset(self) -> int:
        return self.of_offset


def record(event: AnyEvent) -> Record:
    return Record(encode(event), key(event))


@dataclass
class Topics:
    """What has been published: the newest of each key."""

    facts: dict[bytes, TicketFacts] = field(default_factory=dict)
    cells: dict[bytes, Cell] = field(default_factory=dict)
    histories: dict[bytes, bytes | None] = field(default_factory=dict)
    published: int = 0

    def take(self, published: Published) -> None:
        for topic, records in published.records.items():
            self.published += len(records)
            for output in records:
                place, value = output["key"], output["value"]
                assert place is not None
                if topic == HISTORIES:
                    self.histories[place] = value
                elif topic == FACTS:
                    assert value is not None
                    self.facts[place] = msgspec.json.decode(value, type=TicketFacts)
                elif topic == CELLS:
                    assert value is not None
                    self.cells[place] = msgspec.json.decode(value, type=Cell)

    def cells_of(self, resolution: str) -> dict[tuple[int, tuple[str, ...]], dict[str, int]]:
        return {
            (cell.pane_at_ms, tuple(cell.dimensions.values())): cell.measures
            for cell in self.cells.values()
            if cell.resolution == resolution and cell.measures
        }


class Desk:
    """One partition with its topics, on a clock that the test sets."""

    def __init__(self, config: DomainConfig) -> None:
        self.config = config
        self.dimensions = Dimensions(config.dimensions)
        self.graph = AttributeGraph(self.dimensions)
        self.topics = Topics()
        self.partition = self._partition()

    def _partition(self) -> Partition:
        return Partition(0, self.config, self.dimensions, self.graph, Watermark(INPUT_TOPICS, 0, event_clock=False))

    def read(self, events: Iterable[AnyEvent]) -> None:
        events = list(events)
        for topic in INPUT_TOPICS:
            batch = [record(event) for event in events if TOPIC_OF_TYPE[str(event.__struct_config__.tag)] == topic]
            if batch:
                self.partition.apply(topic, batch)

    def commit(self, now_ms: int) -> None:
        self.partition.advance(INPUT_TOPICS, now_ms)
        self.topics.take(self.partition.cut())

    def crash(self, now_ms: int) -> None:
        """Lose the state, and restore it from the changelog."""
        self.partition = self._partition()
        self.partition.restore((place, value) for place, value in self.topics.histories.items())
        self.partition.watermark.advance(INPUT_TOPICS, now_ms)
        self.partition.restored()


def without_time(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts without those that run with the time of an open ticket."""
    return {name: value for name, value in facts.items() if name != "status_seconds"}
