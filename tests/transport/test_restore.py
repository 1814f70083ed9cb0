"""A changelog is read to the end of everything written, and only what was committed."""

import asyncio

import confluent_kafka
import pytest
from faust.types import TP

from streams.restore import Records as Restored
from streams.restore import RestoreError, read_to_end
from streams.topics import TopicSpec, ensure_topics

Records = list[tuple[bytes, bytes | None]]


def make_changelog(broker: str, name: str) -> tuple[dict[str, str], str]:
    client = {"bootstrap.servers": broker}
    ensure_topics(client, [TopicSpec(name, 2, config={"cleanup.policy": "compact"})])
    return client, name


def open_transaction(client: dict[str, str], name: str, records: Records) -> confluent_kafka.Producer:
    producer = confluent_kafka.Producer({**client, "transactional.id": f"{name}-writer"})
    producer.init_transactions(30)
    producer.begin_transaction()
    for key, value in records:
        producer.produce(name, value, key, partition=1)
    producer.flush(10)
    return producer


async def read(client: dict[str, str], topic: str, deadline_seconds: float = 20) -> dict[bytes, bytes | None]:
    """The newest value of each key of both partitions; they have none in common."""
    found: dict[bytes, bytes | None] = {}

    def keep(records: Restored) -> None:
        found.update(records)

    await read_to_end(client, dict.fromkeys([TP(topic, 0), TP(topic, 1)], (0, keep)), deadline_seconds=deadline_seconds)
    return found


def test_the_newest_records_and_tombstones_are_read_and_aborted_ones_are_not(broker: str, unique: str) -> None:
    client, topic = make_changelog(broker, unique)
    producer = open_transaction(client, topic, [(b"a", b"1"), (b"b", b"1"), (b"a", None), (b"c", b"1"), (b"c", b"2")])
    producer.produce(topic, b"other", b"d", partition=0)
    producer.commit_transaction(10)
    producer.begin_transaction()
    producer.produce(topic, b"never", b"c", partition=1)
    producer.flush(10)
    producer.abort_transaction(10)
    assert asyncio.run(read(client, topic)) == {b"a": None, b"b": b"1", b"c": b"2", b"d": b"other"}


def test_an_empty_changelog_is_read_at_once(broker: str, unique: str) -> None:
    assert asyncio.run(read(*make_changelog(broker, unique))) == {}


def test_an_open_transaction_is_waited_for(broker: str, unique: str) -> None:
    client, topic = make_changelog(broker, unique)
    producer = open_transaction(client, topic, [(b"a", b"1")])

    async def read_meanwhile() -> dict[bytes, bytes | None]:
        reading = asyncio.create_task(read(client, topic))
        done, _ = await asyncio.wait([reading], timeout=0.5)
        assert not done
        await asyncio.to_thread(producer.commit_transaction, 10)
        return await reading

    assert asyncio.run(read_meanwhile()) == {b"a": b"1"}


def test_a_transaction_that_stays_open_is_told_at_the_deadline(broker: str, unique: str) -> None:
    client, topic = make_changelog(broker, unique)
    producer = open_transaction(client, topic, [(b"a", b"1")])
    with pytest.raises(RestoreError, match=r"was read to offset 0 of 1 .* transaction of another worker still open"):
        asyncio.run(read(client, topic, deadline_seconds=0.5))
    producer.abort_transaction(10)
