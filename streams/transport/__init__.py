"""A Faust transport on confluent-kafka in which a Faust message is a batch of records.

Registered as the scheme ``deskpulse``: ``broker="deskpulse://host:9092;host:9092"``. Use it through :class:`App`::

    app = App("deskpulse", brokers="127.0.0.1:9092", client={"security.protocol": "SSL"})
    app.checkpoint = state  # a streams.commit.Checkpoint
    app.committer = committer  # a streams.commit.TransactionalCommitter

    @app.agent(app.batches("support.tickets", "support.messages"))
    async def read(stream):
        async for batch in stream:  # a Batch of confluent_kafka.Message of one partition
            state.apply(batch.tp, batch)

``app.consumer`` is a :class:`Consumer`. Any error of an agent, of the consumer's thread, of a delivery or of the
checkpoint ends the worker with a non-zero exit code (:func:`fail`).
"""

from streams.transport.app import App, fail
from streams.transport.batch import Batch
from streams.transport.consumer import Consumer
from streams.transport.driver import Transport
from streams.transport.producer import Producer

__all__ = ["App", "Batch", "Consumer", "Producer", "Transport", "fail"]
