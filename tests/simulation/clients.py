"""What a worker holds of Kafka and ClickHouse: librdkafka's producer, the transport's consumer, ClickHouse's client."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, Message
from faust.types import TP

from sinks.tables import TABLES
from streams.transport import Batch
from streams.transport.positions import Positions
from tests.simulation.broker import Broker, Fate, RefusedError
from tests.simulation.groups import Member, Place
from tests.simulation.steps import Step

PROCESSOR_GROUP = "desk"
SINK_GROUP = "desk-sink"
_RECORDS_A_STRIKE = 12
"""At one of so many records on the way to the queue a fault may strike."""


class Process(Protocol):
    """Whose clients these are."""

    def at(self, step: Step, group: str) -> None:
        """It has come to a step on behalf of a group: here it can be killed, be held up, or get an error."""

    def any_of(self, number: int) -> int:
        """A number below ``number``, of the seed."""


class SimulatedProducer:
    """A transactional producer, as far as ``streams.commit`` asks it."""

    def __init__(self, config: Mapping[str, Any], broker: Broker, process: Process, group: str) -> None:
        self._id = config["transactional.id"]
        self._group = group
        self._broker = broker
        self._process = process
        self._epoch = 0
        self._refused: RefusedError | None = None

    def init_transactions(self, timeout: float = -1) -> None:
        self._process.at(Step.STARTING, self._group)
        self._epoch = self._broker.begin_life(self._id)

    def begin_transaction(self) -> None:
        self._process.at(Step.CUT, self._group)
        self._process.at(Step.BEGUN, self._group)

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int = -1,
        *,
        timestamp: int = 0,
        headers: Sequence[tuple[str, bytes | None]] = (),
    ) -> None:
        if self._process.any_of(_RECORDS_A_STRIKE) == 0:
            self._process.at(Step.ENQUEUEING, self._group)
        self._append(topic, partition, key, value, headers, timestamp)

    def _append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]] = (),
        at_ms: int = 0,
    ) -> None:
        # As with librdkafka, a record only goes into a queue: a fenced producer hears of it later.
        if self._refused is None:
            try:
                transaction = self._broker.transaction(self._id, self._epoch)
            except RefusedError as error:
                self._refused = error
            else:
                self._broker.append(topic, partition, key, value, headers, transaction, at_ms)

    def poll(self, timeout: float = -1) -> int:
        return 0

    def flush(self, timeout: float = -1) -> int:
        return 0

    def send_offsets_to_transaction(self, offsets: Sequence[Any], metadata: Member, timeout: float = -1) -> None:
        self._process.at(Step.ENQUEUED, self._group)
        self._raise_if_refused()
        try:
            transaction = self._broker.transaction(self._id, self._epoch)
        except RefusedError as error:
            raise KafkaException(KafkaError(KafkaError._FENCED, str(error), fatal=True)) from error
        try:
            self._broker.add_offsets(transaction, metadata, {(one.topic, one.partition): one.offset for one in offsets})
        except RefusedError as error:
            raise KafkaException(KafkaError(KafkaError.ILLEGAL_GENERATION, str(error))) from error
        self._process.at(Step.OFFSETS, self._group)

    def commit_transaction(self, timeout: float = -1) -> None:
        self._process.at(Step.COMMIT_LOST, self._group)
        self._raise_if_refused()
        self._end(Fate.COMMITTED)
        self._process.at(Step.ANSWER_LOST, self._group)

    def abort_transaction(self, timeout: float = -1) -> None:
        self._refused = None
        self._end(Fate.ABORTED)

    def close(self, timeout: float = -1) -> None:
        """Nothing is held."""

    def _end(self, fate: Fate) -> None:
        try:
            self._broker.end(self._id, self._epoch, fate)
        except RefusedError as error:
            raise KafkaException(KafkaError(KafkaError._FENCED, str(error), fatal=True)) from error

    def _raise_if_refused(self) -> None:
        if self._refused is not None:
            raise KafkaException(KafkaError(KafkaError._FENCED, str(self._refused), fatal=True))


class SimulatedConsumer:
    """The transport's consumer: what it has read of the partitions that it owns."""

    def __init__(self, broker: Broker) -> None:
        self.member = Member("", "", -1)
        self._broker = broker
        self._starts: dict[TP, int] = {}
        self._positions = Positions({})
        self._seen: dict[TP, int] = {}
        """The stable end up to which all of a partition was read."""

    def begin(self, member: Member, starts: Mapping[Place, int]) -> None:
        """Own some partitions from their committed offsets on; nothing is read of them yet."""
        self.member = member
        self._own(starts)

    def end(self) -> None:
        """Own nothing any more. What the group knows of it stays, as in librdkafka, until it hears again."""
        self._own({})

    def _own(self, starts: Mapping[Place, int]) -> None:
        self._starts = {TP(*place): offset for place, offset in starts.items()}
        self._positions = Positions(self._starts)
        self._seen = {}

    def fetch(self, tp: TP, most: int) -> Batch | None:
        """The next records of a partition, up to ``most``; None where there are none."""
        log = self._broker.logs[tp.topic, tp.partition]
        start, end = self._positions.ends[tp], log.stable_end
        if self._seen.get(tp) == end:
            return None
        found = log.committed(start, end)
        messages = [
            Message(
                topic=tp.topic,
                partition=tp.partition,
                offset=offset,
                key=entry.key,
                value=entry.value,
                timestamp=(1, entry.at_ms),
                headers=list(entry.headers),
            )
            for offset, entry in found[:most]
        ]
        if len(found) <= most:
            self._seen[tp] = end
            messages.append(
                Message(topic=tp.topic, partition=tp.partition, offset=end, error=KafkaError(KafkaError._PARTITION_EOF))
            )
        batches = self._positions.batches(messages)
        return batches[0] if batches else None

    def at_end(self, tp: TP) -> bool:
        return self._positions.end_of(tp)[1]

    def group_metadata(self) -> Member:
        return self.member

    def highwater(self, tp: TP) -> int:
        return self._positions.highwaters.get(tp, 0)

    def start_offset(self, tp: TP) -> int:
        return self._starts.get(tp, 0)

    def assignment(self) -> set[TP]:
        return set(self._starts)


Row = tuple[Any, ...]


class Tables:
    """ClickHouse: tables of which rows of one identity are one row, that of the highest ``_offset``."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Row, tuple[int, Row]]] = {name: {} for name in TABLES}
        """By table and identity: offset and row."""

    def put(self, table: str, columns: Sequence[Sequence[Any]], names: Sequence[str]) -> None:
        """Insert a block of columns."""
        identity = [list(names).index(column.name) for column in TABLES[table].identity]
        version = list(names).index("_offset")
        kept = self.rows[table]
        for row in zip(*columns, strict=True):
            key = tuple([row[place] for place in identity])
            held = kept.get(key)
            if held is None or held[0] <= row[version]:
                kept[key] = row[version], row


class SimulatedClickHouse:
    """A process's client: whether an insert fails, is doubled or loses its answer is the simulation's to say."""

    def __init__(self, tables: Tables, process: Process, doubles: Callable[[], int], fails: Callable[[], bool]) -> None:
        self._tables = tables
        self._process = process
        self._doubles = doubles
        self._fails = fails

    def insert(
        self,
        table: str,
        data: Sequence[Sequence[Any]],
        column_names: Iterable[str] = (),
        **_: Any,
    ) -> None:
        self._process.at(Step.INSERTING, SINK_GROUP)
        if self._fails():
            raise OSError("Connection refused")
        for _time in range(self._doubles()):
            self._tables.put(table, data, list(column_names))
        self._process.at(Step.INSERTED, SINK_GROUP)
