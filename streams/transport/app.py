"""The Faust application on this transport: batches as messages, a checkpoint, and errors that end the worker."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, cast

import faust
from faust.tables import TableManager
from faust.types import AgentT, TopicT

from streams.clients import LOG, ClientSettings
from streams.commit import Checkpoint, TransactionalCommitter
from streams.deadlines import GIVE_BACK_SECONDS
from streams.transport.batch import BatchSchema
from streams.transport.consumer import Consumer

_BATCHES_AHEAD: Final = 2
"""Batches that Faust may hold for an agent; the reader has at most one ``consume()`` more."""
_END_SECONDS: Final = 10.0
"""How long a failed worker may take to end in order; then it ends all the same."""
_EXIT_CODE: Final = 70


def fail(app: faust.App, error: BaseException) -> None:
    """End the worker: nothing is delivered or committed any more, and the process exits with a code other than 0.

    May be called from any thread, any number of times; the first error counts. Returns at once.
    """
    if not isinstance(app, App):
        raise TypeError(f"fail() ends a streams.transport.App, not a {type(app).__name__}")
    app.fail(error)


class _NoTables(TableManager):
    """State is not kept in Faust's tables."""

    async def on_start(self) -> None:
        """As Faust does it, without the second that it first waits for tables to be registered."""
        await self._update_channels()
        await self.recovery.start()


class App(faust.App):
    """A Faust application on the ``deskpulse`` transport."""

    checkpoint: Checkpoint | None = None
    """Told of partitions that come and go; set it before the worker starts. Without one, nothing is committed."""
    committer: TransactionalCommitter | None = None
    """Refuses every commit once the worker has failed: an agent's error may have left half a batch in the state."""
    check_returned: Callable[[str], Awaitable[None]] | None = None
    """Called with the member's id when it has partitions again after it had lost all, before they are restored.

    Another life of this worker may have been started meanwhile; an error ends this one."""
    mend: Callable[[BaseException], bool] | None = None
    """Asked first when the worker fails, in the thread that it failed in: True where the whole process is replaced."""

    def __init__(
        self,
        id: str,
        *,
        brokers: str,
        client: ClientSettings | None = None,
        consumer_client: ClientSettings | None = None,
        revoke_seconds: float = GIVE_BACK_SECONDS,
        **options: Any,
    ) -> None:
        """Take what ``faust.App`` takes, and the brokers as ``host:port,host:port``.

        ``client``: librdkafka's settings for every client (security), see :data:`ClientSettings`; ``consumer_client``:
        more of them for the consumer alone. ``revoke_seconds``: how long a rebalance may wait for
        ``checkpoint.revoked`` and the agents.
        """
        self.client: ClientSettings = {"bootstrap.servers": brokers, **(client or {})}
        self.consumer_client: ClientSettings = {**self.client, **(consumer_client or {})}
        self.revoke_seconds = revoke_seconds
        self.failure: BaseException | None = None
        """The first error that was told to :func:`fail`."""
        self._failing = threading.Lock()
        settings = {
            "broker": ";".join(f"deskpulse://{broker.strip()}" for broker in brokers.split(",")),
            "topic_disable_leader": True,
            "stream_buffer_maxsize": _BATCHES_AHEAD,
            "stream_recovery_delay": 0.0,
            "TableManager": _NoTables,
        }
        super().__init__(id, **{**settings, **options})

    @property  # type: ignore[override]
    def consumer(self) -> Consumer:
        """The consumer of this transport."""
        return cast(Consumer, super().consumer)

    @consumer.setter
    def consumer(self, consumer: Any) -> None:
        self._consumer = consumer

    def batches(self, *topics: str) -> TopicT:
        """The topics as the channel of an agent that receives a :class:`~streams.transport.batch.Batch` at a time.

        An agent applies a batch in one go, without awaiting: then a commit or a rebalance never finds half of one.
        """
        return self.topic(*topics, schema=BatchSchema(allow_empty=True))

    def fail(self, error: BaseException) -> None:
        """See :func:`fail`."""
        with self._failing:
            if self.failure is not None:
                return
            self.failure = error
        if self.committer is not None:
            self.committer.refuse(error)
        if self.mend is not None and self.mend(error):
            return
        # An error with an exit code of its own is a message, not a puzzle.
        LOG.critical("the worker ends: %r", error, exc_info=None if hasattr(error, "exit_code") else error)
        threading.Thread(target=self._end_late, name="end", daemon=True).start()
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is self.loop:
            self._end(error)
        else:
            with suppress(RuntimeError):  # the loop is closed: the process is ending
                self.loop.call_soon_threadsafe(self._end, error)

    def leave(self, error: BaseException) -> None:
        """Commit and read nothing more because of ``error``, and leave the group. From any thread; returns at once."""
        if self.committer is not None:
            self.committer.refuse(error)
        if isinstance(self._consumer, Consumer):
            self._consumer.leave()

    def wait_left(self, timeout_seconds: float) -> bool:
        """Whether the group was left after :meth:`leave`; blocks."""
        return not isinstance(self._consumer, Consumer) or self._consumer.wait_left(timeout_seconds)

    def _end(self, error: BaseException) -> None:
        consumer = self._consumer
        if isinstance(consumer, Consumer):
            consumer.abandon()
        self.flow_control.suspend()
        self.flow_control.clear()
        self._ending = self.loop.create_task(self.crash(error))

    def _end_late(self) -> None:
        threading.Event().wait(_END_SECONDS)
        LOG.critical("the worker did not end within %g s of its failure", _END_SECONDS)
        os._exit(getattr(self.failure, "exit_code", _EXIT_CODE))

    def _crash(self, reason: BaseException) -> None:
        # Whatever part of Faust crashes, with or without an agent: it comes by here.
        if not isinstance(reason, asyncio.CancelledError):
            self.fail(reason)
        super()._crash(reason)

    async def _on_agent_error(self, agent: AgentT[Any], exc: BaseException) -> None:
        # Faust would restart the agent with the next batch, and this one would be lost.
        self.fail(exc)
