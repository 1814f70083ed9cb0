"""A desk whose workers are partitions in this process, and whose records are put into a real ClickHouse."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from deskpulse.recompute.archive import Place
from deskpulse.settings import Settings, load
from schemas.events import TOPIC_OF_TYPE, AnyEvent
from schemas.outputs import CELLS, FACTS, SLA_EVENTS
from sinks.clickhouse import ClickHouseSink, connect
from sinks.migrations import migrate
from sinks.tables import MEASURE_COLUMNS
from streams.partition import Refused
from streams.partitioner import partition_of
from tests import oracle
from tests.domain.partitions import Desk as Partitions
from tests.strategies import encode, key

PARTITIONS = 2
SETTINGS = """\
[kafka]
bootstrap = "127.0.0.1:1"
partitions = 2

[worker]
horizon = "31d"

[clickhouse]
path = "{folder}/clickhouse"

[clickhouse.retention]
events = "unlimited"
minute_cells = "unlimited"
sla_events = "unlimited"

[[policies]]
name = "all"
targets = {{ first_reply = "1h", resolution = "2d" }}
"""


class Record:
    """A record of Kafka, as the sink reads it."""

    def __init__(self, of_key: bytes, value: bytes, offset: int, produced_ms: int) -> None:
        self._told = of_key, value, offset, produced_ms

    def key(self) -> bytes:
        return self._told[0]

    def value(self) -> bytes:
        return self._told[1]

    def offset(self) -> int:
        return self._told[2]

    def headers(self) -> None:
        return None

    def timestamp(self) -> tuple[int, int]:
        return 1, self._told[3]


class Desk:
    """Reads events, publishes, and keeps ClickHouse as a sink would."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "deskpulse.toml"
        self.config.write_text(SETTINGS.format(folder=folder))
        self.settings: Settings = load(self.config)
        self.partitions = Partitions(self.settings.domain(), PARTITIONS)
        self.old_cells: list[tuple[int, bytes, bytes]] = []
        """What was published of cells at first."""
        self.late: list[Refused] = []
        self.events: list[AnyEvent] = []
        self.now_ms = 0
        self.places: dict[str, Place] = {}
        """Where the events lie, by id."""
        self._offsets: dict[tuple[str, int], int] = {}
        # The engine lives as long as a client of it; to open it anew costs a second each time.
        self._keeps_the_engine = self.open()
        migrate(self._keeps_the_engine, "deskpulse", self.settings.clickhouse.retention.kept())

    def go_on(self, events: Iterable[AnyEvent], until_ms: int) -> None:
        """Events come in, and time goes on; what the workers publish of it and the events are in ClickHouse then."""
        some = list(events)
        self.events += some
        self.partitions.read(some)
        self.now_ms = until_ms
        before = {topic: set(records) for topic, records in self.published().items()}
        self._settle()
        client = self.open()
        sink = ClickHouseSink(client, "deskpulse")
        read: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {}
        for event in some:
            topic, number = TOPIC_OF_TYPE[str(event.__struct_config__.tag)], partition_of(key(event), PARTITIONS)
            records = read.setdefault((topic, number), [])
            self.places[event.id] = topic, number, self._offsets.get((topic, number), 0) + len(records)
            records.append((key(event), encode(event)))
        for (topic, number), records in read.items():
            self._insert(sink, topic, number, records)
        for topic, records in self.published().items():
            new = [one for one in records if one not in before[topic]]
            for number in range(PARTITIONS):
                self._insert(sink, topic, number, [(of, value) for of_number, of, value in new if of_number == number])
        client.close()
        self.old_cells = self.old_cells or self.published()[CELLS]

    def deliver_again(self, topic: str, records: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Insert records once more that the sink has inserted long ago, at their old places."""
        client = self.open()
        sink = ClickHouseSink(client, "deskpulse")
        for number in range(PARTITIONS):
            some = [(of, value) for of_number, of, value in records if of_number == number]
            sink.insert(topic, number, [Record(*one, place, self.now_ms) for place, one in enumerate(some)])
        client.close()

    def _settle(self) -> None:
        publish = self.partitions.publish

        def listen(published: Any, number: int = 0) -> None:
            self.late += published.refused
            publish(published, number)

        self.partitions.publish = listen  # type: ignore[method-assign]
        self.partitions.settle(self.now_ms)
        self.partitions.publish = publish  # type: ignore[method-assign]

    def published(self) -> dict[str, list[tuple[int, bytes, bytes]]]:
        """What is in the topics: partition, key, value."""
        topics = self.partitions.topics
        return {
            FACTS: [(partition_of(of, PARTITIONS), of, encoded(one)) for of, one in topics.facts.items()],
            CELLS: [(number, of, encoded(one)) for (number, of), one in topics.cells.items()],
            SLA_EVENTS: [
                (partition_of(one.ticket_id.encode(), PARTITIONS), b"%d" % place, encoded(one))
                for place, one in enumerate(topics.sla_events)
            ],
        }

    def _insert(self, sink: ClickHouseSink, topic: str, number: int, records: Sequence[tuple[bytes, bytes]]) -> None:
        start = self._offsets.get((topic, number), 0)
        # Between two commits lies the mark of a transaction.
        self._offsets[topic, number] = start + len(records) + 1
        if records:
            sink.insert(topic, number, [Record(*one, start + n, self.now_ms) for n, one in enumerate(records)])

    def close(self) -> None:
        """Let the engine go."""
        self._keeps_the_engine.close()

    def open(self) -> Client:
        """A client of the folder; to be closed."""
        return connect(self.settings.clickhouse.target())


def encoded(record: Any) -> bytes:
    return msgspec.json.encode(record)


def cells_of(client: Client, resolution: str, dimensions: Sequence[str]) -> dict[tuple[int, tuple[str, ...]], Any]:
    """All cells of ClickHouse, over all partitions, as the oracle tells them."""
    names = [column.name for column in MEASURE_COLUMNS]
    sums = [f"sumMap(c.{name})" if name.endswith("_buckets") else f"sum(c.{name})" for name in names]
    by = ", ".join(dimensions)
    found: dict[tuple[int, tuple[str, ...]], Any] = {}
    rows = client.query(
        f"SELECT toUnixTimestamp64Milli(pane_at) AS pane, {by}, {', '.join(sums)} FROM cells_{resolution} AS c FINAL "
        f"GROUP BY pane, {by}"
    ).result_rows
    width = 1 + len(dimensions)
    for row in rows:
        measures: dict[str, int] = {}
        for name, value in zip(names, row[width:], strict=True):
            if isinstance(value, Mapping):
                prefix = name.removesuffix("uckets")
                measures |= {f"{prefix}{bucket}": n for bucket, n in value.items() if n}
            elif value:
                measures[name] = value
        if measures:
            found[row[0], tuple(row[1:width])] = measures
    return found


def expected_cells(
    events: Iterable[AnyEvent], now_ms: int, resolution: str, settings: Settings
) -> dict[tuple[int, tuple[str, ...]], Any]:
    """The oracle's, without what is zero."""
    config = settings.domain()
    found = oracle.cells(events, now_ms, resolution, config)
    kept = {place: {name: n for name, n in measures.items() if n} for place, measures in found.items()}
    return {place: measures for place, measures in kept.items() if measures}
