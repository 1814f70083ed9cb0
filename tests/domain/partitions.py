"""Partitions and the customer step fed without Kafka: records as they would be read, and what comes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE, AnyEvent
from schemas.outputs import (
    CELLS,
    CUSTOMERS,
    FACTS,
    HISTORIES,
    SLA_EVENTS,
    Cell,
    SlaEvent,
    TicketFacts,
)
from streams.config import DAY_MS, DomainConfig
from streams.customers import Customers
from streams.partition import Partition, Published
from streams.partitioner import partition_of
from streams.published import Output
from streams.watermark import Watermark
from tests.strategies import encode, key

RUNNING_WITH_TIME = ("status_", "requester_wait_", "agent_work_")


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
class Log:
    """One partition of an inner topic: what was published, and how far it was read and committed."""

    records: list[Output] = field(default_factory=list)
    read: int = 0
    committed: int = 0

    def take(self) -> list[tuple[bytes, bytes]]:
        """All that was not read yet."""
        found = [(key, value or b"") for key, value in self.records[self.read :]]
        self.read = len(self.records)
        return found


@dataclass
class Topics:
    """What has been published: the newest of each key, all SLA events."""

    facts: dict[bytes, TicketFacts] = field(default_factory=dict)
    cells: dict[tuple[int, bytes], Cell] = field(default_factory=dict)
    """By partition and key."""
    histories: dict[int, dict[bytes, bytes | None]] = field(default_factory=lambda: defaultdict(dict))
    """By partition."""
    customer_tickets: dict[bytes, bytes | None] = field(default_factory=dict)
    sla_events: list[SlaEvent] = field(default_factory=list)
    published: int = 0

    def cells_of(
        self, resolution: str, dimensions: tuple[str, ...]
    ) -> dict[tuple[int, tuple[str, ...]], dict[str, int]]:
        """Those of all partitions, as they add up; what is not by these dimensions must have been taken back."""
        found: dict[tuple[int, tuple[str, ...]], dict[str, int]] = {}
        for cell in self.cells.values():
            if cell.resolution == resolution and cell.measures:
                assert tuple(cell.dimensions) == dimensions, cell
                sums = found.setdefault((cell.pane_at_ms, tuple(cell.dimensions.values())), {})
                for name, amount in cell.measures.items():
                    sums[name] = sums.get(name, 0) + amount
        return found

    def sla_events_that_hold(self) -> set[tuple[str, str, int, int, str, int]]:
        """Those raised and not withdrawn, in the oracle's form; raised twice, or withdrawn unraised, none may be."""
        holding: dict[tuple[str, str, int, int, str], int] = {}
        for event in self.sla_events:
            one = (event.ticket_id, event.target, event.started_at_ms, event.instance, event.withdraws or event.kind)
            assert (event.kind == "retracted") == (event.withdraws != "") == (one in holding), (event, holding)
            if event.withdraws:
                del holding[one]
            else:
                holding[one] = event.at_ms
        return {(*one, at_ms) for one, at_ms in holding.items()}


class Desk:
    """Partitions with their topics, on a clock that the test sets.

    What is applied and not committed is lost in a crash, and read again.
    """

    def __init__(self, config: DomainConfig, partitions: int = 1) -> None:
        self.config = config
        self.topics = Topics()
        self._contacts = [Log() for _ in range(partitions)]
        self._customers = Log()
        self._uncommitted: list[list[AnyEvent]] = [[] for _ in range(partitions)]
        self._begin()

    @property
    def partition(self) -> Partition:
        return self.partitions[0]

    def _begin(self) -> None:
        self.partitions = [
            Partition(number, self.config, Watermark(INPUT_TOPICS, 0, event_clock=False))
            for number in range(len(self._contacts))
        ]
        self.customers = Customers(self.config.fcr_days * DAY_MS)

    def read(self, events: Iterable[AnyEvent]) -> None:
        for event in events:
            number = partition_of(key(event), len(self.partitions))
            self._uncommitted[number].append(event)
            self.partitions[number].apply(TOPIC_OF_TYPE[str(event.__struct_config__.tag)], [record(event)])

    def pass_on(self) -> None:
        """Read what tickets tell customers, and customers tickets."""
        self.customers.apply(self._customers.take())
        for partition, log in zip(self.partitions, self._contacts, strict=True):
            partition.hear([Record(value, of_key) for of_key, value in log.take()])

    def commit(self, now_ms: int, of: int | None = None) -> None:
        """Publish what has changed: all, or of one partition alone."""
        for number, partition in enumerate(self.partitions):
            if of in (None, number):
                partition.advance(INPUT_TOPICS, now_ms)
                self.publish(partition.cut(), number)
                self._uncommitted[number] = []
                self._contacts[number].committed = self._contacts[number].read
        if of is None:
            contacts, changelog = self.customers.cut()
            for number, outputs in contacts.items():
                self._contacts[number].records += outputs
            self.topics.customer_tickets.update(changelog)
            self._customers.committed = self._customers.read

    def settle(self, now_ms: int) -> None:
        """Go on until nobody has anything to tell any more."""
        for _ in range(20):
            self.commit(now_ms)
            if all(log.read == len(log.records) for log in (self._customers, *self._contacts)):
                return
            self.pass_on()
        raise AssertionError("tickets and customers tell each other things without end")

    def let_go(self) -> None:
        """What happens when a backlog is done with."""
        for one in (*self.partitions, self.customers):
            one.let_go()
        for partition in self.partitions:
            partition.renew()

    def crash(self, config: DomainConfig | None = None) -> None:
        """Lose the state, restore it from the changelogs, and read again what was not committed.

        ``config``: the settings that hold from now on.
        """
        self.config = config or self.config
        self._begin()
        for number, partition in enumerate(self.partitions):
            partition.restore(self.topics.histories[number].items())
            partition.restored()
        self.customers.restore(self.topics.customer_tickets.items())
        self.customers.restored()
        for log in (self._customers, *self._contacts):
            log.read = log.committed
        again, self._uncommitted = self._uncommitted, [[] for _ in self.partitions]
        for events in again:
            self.read(events)

    def publish(self, published: Published, number: int = 0) -> None:
        """Put what a partition has cut into its topics."""
        topics = self.topics
        for topic, outputs in published.records.items():
            topics.published += len(outputs)
            for place, value in outputs:
                if topic == HISTORIES:
                    topics.histories[number][place] = value
                elif topic == CUSTOMERS:
                    self._customers.records.append((place, value))
                elif topic == FACTS:
                    topics.facts[place] = msgspec.json.decode(value or b"", type=TicketFacts)
                elif topic == CELLS:
                    topics.cells[number, place] = msgspec.json.decode(value or b"", type=Cell)
                elif topic == SLA_EVENTS:
                    topics.sla_events.append(msgspec.json.decode(value or b"", type=SlaEvent))


def without_time(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts without those that run with the time of an open ticket."""
    return {
        name: value
        for name, value in facts.items()
        if not (name.startswith(RUNNING_WITH_TIME) and name.endswith("_seconds"))
    }
