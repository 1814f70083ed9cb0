"""What Faust sends by itself is delivered, or ends the worker."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from faust.exceptions import ProducerSendError

from streams.partitioner import partition_of
from streams.transport import App


def run(app: App, steps: Callable[[Any], Awaitable[None]]) -> None:
    async def started() -> None:
        async with app.producer as producer:
            await steps(producer)

    asyncio.run(started())


@pytest.fixture
def app(broker: str, unique: str, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setattr(App, "fail", lambda app, error: setattr(app, "failure", error))
    return App(unique, brokers=broker)


def test_a_topic_is_made_and_a_record_is_delivered_to_its_keys_partition(app: App, unique: str) -> None:
    async def steps(producer: Any) -> None:
        await producer.create_topic(unique, 5, 1, compacting=True, retention=60.0)
        sent = await producer.send_and_wait(unique, b"ticket-1", b"value", None, 1_700_000_000.5, {"by": b"test"})
        assert (sent.topic, sent.partition, sent.offset) == (unique, partition_of(b"ticket-1", 5), 0)
        assert sent.timestamp == 1_700_000_000.5
        assert producer.key_partition(unique, b"ticket-1").partition == sent.partition

    run(app, steps)
    assert app.failure is None


def test_a_record_that_is_not_delivered_ends_the_worker(app: App, unique: str) -> None:
    async def steps(producer: Any) -> None:
        await producer.create_topic(unique, 1, 1, config={"max.message.bytes": 1000})
        await producer.send(unique, b"k", os.urandom(5000), None, None, None)

    run(app, steps)
    assert isinstance(app.failure, ProducerSendError)
    assert f"a record of {unique} with key b'k' was not sent" in str(app.failure)
