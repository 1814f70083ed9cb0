"""A changelog is read to the end of everything written, and only what was committed."""

import asyncio
from collections.abc import Sequence

import confluent_kafka
import pytest

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


async def read(client: dict[str, str], topic: str, deadline_seconds: float = 20) -> Records:
    found: Records = []

    def keep(records: Sequence[tuple[bytes, bytes | None]]) -> None:
        found.extend(records)

    count = await read_to_end(client, topic, 1, keep, deadline_seconds=deadline_seconds)
    assert count == len(found)
    return found


def test_records_and_tombstones_are_read_in_order_and_aborted_ones_are_not(broker: str, unique: str) -> None:
    client, topic = make_changelog(broker, unique)
    kept: Records = [(b"a", b"1"), (b"b", b"1"), (b"a", None)]
    producer = open_transaction(client, topic, kept)
    producer.commit_transaction(10)
    producer.begin_transaction()
    producer.produce(topic, b"never", b"c", partition=1)
    producer.flush(10)
    producer.abort_transaction(10)
    assert asyncio.run(read(client, topic)) == kept


def test_an_empty_changelog_is_read_at_once(broker: str, unique: str) -> None:
    assert asyncio.run(read(*make_changelog(broker, unique))) == []


def test_an_open_transaction_is_waited_for(broker: str, unique: str) -> None:
    client, topic = make_changelog(broker, unique)
    producer = open_transaction(client, topic, [(b"a", b"1")])

    async def read_meanwhile() -> Records:
        reading = asyncio.create_task(read(client, topic))
        done, _ = await asyncio.wait([reading], timeout=0.5)
        assert not done
        await asyncio.to_thread(producer.commit_transaction, 10)
        return await reading

    assert asyncio.run(read_meanwhile()) == [(b"a", b"1")]


def test_a_transaction_that_stays_open_is_told_at_the_deadline(broker: str, unique: str) -> None:
    client, topic = make_changelog(broker, unique)
    producer = open_transaction(client, topic, [(b"a", b"1")])
    with pytest.raises(RestoreError, match=r"was read to offset 0 of 1 .* transaction of another worker still open"):
        asyncio.run(read(client, topic, deadline_seconds=0.5))
    producer.abort_transaction(10)
