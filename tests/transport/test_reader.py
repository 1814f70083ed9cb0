"""The reader's thread waits for a slow application, and not for ever."""

import asyncio
from collections.abc import Mapping

import confluent_kafka
import pytest
from confluent_kafka import TopicPartition
from faust.types import TP

from streams.failures import can_be_mended
from streams.topics import TopicSpec, ensure_topics
from streams.transport.batch import Batch
from streams.transport.reader import RECORDS_AT_ONCE, Reader
from tests.waiting import wait_until

COUNT = 4 * RECORDS_AT_ONCE


class Application:
    """Starts to read at once, and notes what happens to it."""

    def __init__(self) -> None:
        self.assignments = 0
        self.reader: Reader | None = None
        self.gives_back = True
        self.error: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    def take_over(self, starts: Mapping[TP, int]) -> None:
        self.assignments += 1
        assert self.reader is not None
        self.reader.resume()

    async def give_back(self, partitions: set[TP], *, lost: bool) -> None:
        if not self.gives_back:
            await asyncio.Event().wait()

    def failed(self, error: BaseException) -> None:
        self.error.get_loop().call_soon_threadsafe(self.error.set_result, error)


@pytest.fixture
def client(broker: str, unique: str) -> dict[str, str | int]:
    client: dict[str, str | int] = {"bootstrap.servers": broker}
    ensure_topics(client, [TopicSpec(unique, 1)])
    producer = confluent_kafka.Producer({**client, "enable.idempotence": True})
    for number in range(COUNT):
        producer.produce(unique, b"%d" % number)
    assert producer.flush(10) == 0
    return client | {"session.timeout.ms": 1000, "heartbeat.interval.ms": 300, "max.poll.interval.ms": 1500}


def test_a_busy_application_stays_in_its_group_and_then_gets_every_record(
    client: dict[str, str | int], unique: str
) -> None:
    async def run() -> None:
        application = Application()
        reader = application.reader = Reader(client, unique, application, asyncio.get_running_loop(), 5)
        await reader.subscribe([unique])
        batches: list[Batch] = await reader.take(10)
        await asyncio.sleep(2.5)  # busy: longer than a consumer may go without polling
        while sum(map(len, batches)) < COUNT:
            batches += await reader.take(10)
        assert await reader.close(5)
        assert application.assignments == 1
        assert [record.value() for batch in batches for record in batch] == [b"%d" % n for n in range(COUNT)]
        assert [batch.start for batch in batches] == [0, *(batch.end for batch in batches)][: len(batches)]
        assert not application.error.done()

    asyncio.run(run())


def test_partitions_that_were_paused_when_a_rebalance_came_are_read_afterwards(
    client: dict[str, str | int], unique: str
) -> None:
    async def run() -> None:
        application = Application()
        reader = application.reader = Reader(client, unique, application, asyncio.get_running_loop(), 5)
        await reader.subscribe([unique])
        await asyncio.to_thread(wait_until, lambda: str(reader).endswith(" paused"), 20, "busy, it pauses")
        other = confluent_kafka.Consumer({**client, "group.id": unique})
        other.subscribe([unique])

        def has_joined() -> bool:
            other.poll(0)
            return application.assignments == 2

        await asyncio.to_thread(wait_until, has_joined, 20, "the other joins")
        await asyncio.to_thread(other.close)
        batches: list[Batch] = []
        async with asyncio.timeout(20):
            while sum(map(len, batches)) < COUNT:
                batches += await reader.take(10)
        assert await reader.close(5)
        assert not application.error.done()

    asyncio.run(run())


def test_partitions_that_are_not_given_back_in_time_fail_the_worker(
    client: dict[str, str | int], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.transport.reader._GRACE_SECONDS", 0.2)

    async def run() -> None:
        application = Application()
        application.gives_back = False
        reader = application.reader = Reader(client, unique, application, asyncio.get_running_loop(), 0.2)
        await reader.subscribe([unique])
        await reader.take(10)
        await reader.close(5)
        error = await asyncio.wait_for(application.error, 5)
        assert isinstance(error, TimeoutError)
        assert "did not give back its partitions within 0.2 s" in str(error)

    asyncio.run(run())


def test_what_the_client_raises_while_partitions_are_assigned_fails_the_worker(
    client: dict[str, str | int], unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.transport.reader._COMMITTED_SECONDS", 0.5)
    # Offsets in an open transaction: which are the committed ones is known when it has ended.
    producer = confluent_kafka.Producer({"bootstrap.servers": client["bootstrap.servers"], "transactional.id": unique})
    member = confluent_kafka.Consumer({**client, "group.id": unique}).consumer_group_metadata()
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.send_offsets_to_transaction([TopicPartition(unique, 0, 1)], member, 20)

    async def run() -> None:
        application = Application()
        reader = Reader(client, unique, application, asyncio.get_running_loop(), 5)
        await reader.subscribe([unique])
        error = await asyncio.wait_for(application.error, 20)
        assert isinstance(error.__cause__, confluent_kafka.KafkaException)
        assert "committed offsets" in str(error.__cause__)
        assert "a transaction that holds its offsets was never ended" in str(error)
        assert can_be_mended(error)
        assert await reader.close(5)

    asyncio.run(run())
    producer.abort_transaction(20)
