"""The consumer's thread: it alone polls librdkafka, hands over batches, lets rebalances wait for the application."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from faust.types import TP

from streams.clients import LOG, ClientSettings, Deadline, kafka_error, make_consumer
from streams.transport.batch import Batch
from streams.transport.positions import Positions, ReadError

_DEFAULTS: Final[dict[str, Any]] = {
    # Read-ahead is bounded, over all partitions together: librdkafka's own bounds took 195 MB where a worker that does
    # nothing takes 128, and were no faster.
    "queued.max.messages.kbytes": 16_384,
    "queued.min.messages": 10_000,
    # Little of each partition at a time, so that a backlog of several topics is read side by side and not one topic
    # after the other: a ticket's events of all topics then meet in one cut, and its facts are derived once for them.
    "fetch.message.max.bytes": 262_144,
    # Under steady traffic the broker would else answer for every few records, which took more processor time on both
    # sides than the records themselves. What comes waits a tenth of a second at most; a backlog does not wait.
    "fetch.min.bytes": 16_384,
    "fetch.wait.max.ms": 100,
    # A full queue is the rule while there is a backlog. Partitions that were passed over because of it are left out for
    # this long: for long enough, and those that come first in the next request are always the same. 0 spins.
    "fetch.queue.backoff.ms": 1,
    # After an end of a partition, ask again soon.
    "fetch.error.backoff.ms": 50,
    "allow.auto.create.topics": False,
}
RECORDS_AT_ONCE: Final = 5_000
"""Records of one ``consume()``: enough that its cost is spread thin, few enough not to hold up the event loop."""
_CONSUME_SECONDS: Final = 0.05
"""How long ``consume()`` waits for more: what a record waits at most, and how often an idle worker wakes up."""
_SHORT_CONSUME_SECONDS: Final = 0.02
_SHORT_FOR_SECONDS: Final = 5.0
"""For so long after a ``consume()`` that came back full it waits for the short time: there was a backlog, and what
workers tell each other of it comes in a few records."""
_FULL_SECONDS: Final = 2.0
"""How long the application may leave a batch unread before the partitions are paused to go on polling. Were it less
than a large cut takes, nothing would be read for up to a second after each: so long librdkafka takes to resume. A
rebalance waits for it where the application is busy, as a sink is whose tables are slow."""
_MAX_POLL_MS: Final = 300_000
"""librdkafka's default of ``max.poll.interval.ms``, after which the group expels who has not polled."""
_COMMITTED_SECONDS: Final = 60.0
"""For reading the committed offsets; longer than a dead worker's open transaction can last."""
_ASK_SECONDS: Final = 5.0
"""Then they are asked for anew: one question, while the broker died, was seen to wait for a minute for nothing."""


_GRACE_SECONDS: Final = 5.0
"""What the thread waits for the event loop beyond the deadline that the loop itself keeps."""
T = TypeVar("T")
Callback: TypeAlias = Callable[[confluent_kafka.Consumer, list[TopicPartition]], None]


class Application(Protocol):
    """What the thread asks of the consumer on the main loop."""

    def take_over(self, starts: Mapping[TP, int]) -> None:
        """These partitions are assigned, to be read from these offsets; called on the main loop."""

    def give_back(self, partitions: set[TP], *, lost: bool) -> Coroutine[Any, Any, None]:
        """Let go of partitions; the rebalance waits for it. It keeps its own deadline."""

    def failed(self, error: BaseException) -> None:
        """The thread has ended with an error; called from the thread."""


class Reader:
    """Polls one consumer in a thread. Methods without a leading underscore are for the main loop.

    At most one ``consume()`` is ready to be taken while the next one waits, so the application is never overrun.
    """

    def __init__(
        self,
        client: ClientSettings,
        group_id: str,
        application: Application,
        loop: asyncio.AbstractEventLoop,
        give_back_seconds: float,
    ) -> None:
        self._consumer = make_consumer(
            client,
            group_id,
            defaults=_DEFAULTS,
            fixed={
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                # Equal partition numbers of topics with equal partition counts go to the same worker.
                "partition.assignment.strategy": "range",
                "error_cb": self._on_error,
            },
        )
        self._application = application
        self._loop = loop
        self._give_back_seconds = give_back_seconds
        self._full_seconds = min(_FULL_SECONDS, int(client.get("max.poll.interval.ms", _MAX_POLL_MS)) / 3_000)
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        self._ended = asyncio.Event()
        self._change = threading.Condition()
        self._ready: list[Batch] = []
        self._is_ready = asyncio.Event()
        self._flowing = False
        self._assigned = False
        self._paused = True
        self._closing = False
        self._abandoned = False
        self._rebalanced = False
        self._full_at = -_SHORT_FOR_SECONDS
        """When a ``consume()`` last came back full."""
        self._failure: BaseException | None = None
        """What a callback told: it ends the thread."""
        self._asked: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self.positions = Positions({})
        self.member_id = ""
        """What the group calls this member, since the last assignment."""
        self.group_metadata: object = None
        """The group's generation and this member of it, since the last assignment."""

    # -- the main loop's side

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group for ``topics``, or change them; begins to poll."""
        if not self._thread.is_alive():
            self._thread.start()
        await self.ask(
            lambda consumer: consumer.subscribe(
                sorted(topics),
                on_assign=partial(self._call_back, self._on_assign),
                on_revoke=partial(self._call_back, self._on_revoke),
                on_lost=partial(self._call_back, self._on_lost),
            )
        )

    async def ask(self, call: Callable[[confluent_kafka.Consumer], T]) -> T:
        """Let the thread call something of the client between two polls.

        Since 2.16 confluent-kafka serializes the calls to one consumer, and a thread that polls leaves no gap for
        another: such a call would hang, and not only for the time of a poll.
        """
        answer: asyncio.Future[T] = self._loop.create_future()
        self._asked.append((lambda: call(self._consumer), answer))
        return await answer

    async def seek(self, offsets: Mapping[TP, int]) -> None:
        """Read on from these offsets. Batches that were taken before are not called back."""
        await self.ask(lambda consumer: self._seek(consumer, offsets))

    def resume(self) -> None:
        """Let records flow; takes effect with the next poll."""
        self._flowing = True

    def pause(self) -> None:
        """Let no record flow; what is ready can still be taken."""
        self._flowing = False

    async def take(self, timeout_seconds: float) -> list[Batch]:
        """Wait for batches and take them, at most one of a partition; nothing after the timeout."""
        try:
            await asyncio.wait_for(self._is_ready.wait(), timeout_seconds)
        except TimeoutError:
            return []
        with self._change:
            batches, self._ready = self._ready, []
            self._is_ready.clear()
            self._change.notify_all()
        return batches

    def __str__(self) -> str:
        """What it is doing, for people."""
        asked = "asked to let records flow" if self._flowing else "asked to pause"
        state = "not assigned" if not self._assigned else "paused" if self._paused else "reading"
        return f"{asked}, {state}"

    @property
    def has_ready(self) -> bool:
        """Whether batches wait to be taken."""
        return bool(self._ready)

    def abandon(self) -> None:
        """Leave the group without asking the application, and read nothing more. From any thread."""
        self._abandoned = self._closing = True
        with self._change:
            self._ready = []
            self._change.notify_all()

    def wait(self, timeout_seconds: float) -> bool:
        """Wait until the thread has ended, the group left; whether it has. Blocks; from any thread but its own."""
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    async def close(self, timeout_seconds: float) -> bool:
        """Give back the partitions, leave the group and end the thread; False when that took too long."""
        self._closing = True
        with self._change:
            self._change.notify_all()
        if not self._thread.is_alive():
            return True
        try:
            await asyncio.wait_for(self._ended.wait(), timeout_seconds)
        except TimeoutError:
            return False
        return True

    # -- the thread's side

    def _run(self) -> None:
        try:
            try:
                while not self._closing:
                    self._turn()
            finally:
                self._consumer.close()  # calls `_on_revoke`
            self._check()
        except BaseException as error:
            if not self._abandoned:
                self._application.failed(error)
        finally:
            while self._asked:
                self._on_main_loop(_set, self._asked.popleft()[1], None, ReadError("the consumer is closed"))
            self._on_main_loop(self._ended.set)

    def _turn(self) -> None:
        """Read once and hand over, waiting for room; while that lasts, stay in the group."""
        while self._asked:
            self._answer(*self._asked.popleft())
        self._let_flow(self._flowing)
        was_full = time.monotonic() - self._full_at < _SHORT_FOR_SECONDS
        batches = self._read(_SHORT_CONSUME_SECONDS if was_full else _CONSUME_SECONDS)
        while batches and not self._closing and not self._hand_over(batches):
            # The application has been busy for long: poll without reading, or the group would expel the worker.
            self._let_flow(False)
            later = self._read(0)
            batches = [] if self._rebalanced else [*batches, *later]

    def _hand_over(self, batches: list[Batch]) -> bool:
        with self._change:
            if not self._change.wait_for(lambda: not self._ready or self._closing, self._full_seconds):
                return False
            self._ready = batches
        self._on_main_loop(self._is_ready.set)
        return True

    def _let_flow(self, wanted: bool) -> None:
        if wanted is not self._paused:
            return
        partitions = [TopicPartition(*tp, offset) for tp, offset in self.positions.ends.items()]
        if not wanted:
            self._consumer.pause(partitions)
        elif self._assigned:
            self._consumer.resume(partitions)
        else:
            self._consumer.assign(partitions)
            self._assigned = True
        self._paused = not wanted

    def _answer(self, call: Callable[[], Any], answer: asyncio.Future[Any]) -> None:
        try:
            result = call()
        except Exception as error:
            self._on_main_loop(_set, answer, None, error)
        else:
            self._on_main_loop(_set, answer, result, None)

    def _seek(self, consumer: confluent_kafka.Consumer, offsets: Mapping[TP, int]) -> None:
        if self._assigned:
            for tp, offset in offsets.items():
                consumer.seek(TopicPartition(*tp, offset))
        self.positions.move(offsets)
        with self._change:
            self._ready = [batch for batch in self._ready if batch.tp not in offsets]

    def _read(self, timeout_seconds: float) -> list[Batch]:
        self._rebalanced = False
        messages = self._consumer.consume(RECORDS_AT_ONCE, timeout_seconds)
        if len(messages) == RECORDS_AT_ONCE:
            self._full_at = time.monotonic()
        self._check()
        # What a rebalance interrupted belongs to the assignment before it, and will come again. Of the new one nothing
        # can be in here: it is read from the next turn on at the earliest.
        if self._rebalanced:
            return []
        batches = self.positions.batches(messages)
        for batch in batches:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*batch.tp), cached=True)
            self.positions.hear(batch.tp, high)
        for tp in self.positions.unheard:
            _, high = self._consumer.get_watermark_offsets(TopicPartition(*tp), cached=True)
            self.positions.guess(tp, high)
        return batches

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._failure = KafkaException(error)
        else:
            LOG.warning("consumer: %s", error.str())

    def _call_back(self, call: Callback, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        # Before Python 3.12 confluent-kafka 2.16 forgets the type of an error that leaves a callback
        # (`cfl_exception_fetch`): where the client's own C code raised it, what comes out of `consume()` is no
        # exception, and nothing can catch it.
        try:
            call(consumer, partitions)
        except BaseException as error:
            self._failure = error

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _on_assign(self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        self._rebalanced = True
        offsets = self._committed(consumer, partitions) if partitions else []
        starts = {}
        for offset in offsets:
            if offset.error is not None:
                raise KafkaException(offset.error)
            # Without one, the earliest record: by number, since librdkafka takes half a second for OFFSET_BEGINNING,
            # and resets to the earliest record where the log begins later.
            offset.offset = max(0, offset.offset)
            starts[TP(offset.topic, offset.partition)] = offset.offset
        # Not read before the application has restored its state. (Paused instead, they would take a second to resume:
        # librdkafka does not wake its broker threads for that.)
        consumer.assign([])
        self._assigned, self._paused, self._flowing = False, True, False
        self.positions = Positions(starts)
        self.group_metadata = consumer.consumer_group_metadata()
        self.member_id = str(consumer.memberid())
        self._on_main_loop(self._application.take_over, starts)

    def _committed(
        self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]
    ) -> Sequence[TopicPartition]:
        deadline = Deadline(_COMMITTED_SECONDS)
        while True:
            try:
                return consumer.committed(partitions, min(_ASK_SECONDS, deadline.remaining_seconds))
            except KafkaException as error:
                told = kafka_error(error)
                timed_out = told is not None and told.code() == KafkaError._TIMED_OUT
                if not timed_out or self._closing:
                    raise
                if deadline.is_over:
                    raise ReadError(
                        f"how far the group has read was not told within {_COMMITTED_SECONDS:g} s: its coordinator "
                        "does not answer, or a transaction that holds its offsets was never ended"
                    ) from error

    def _on_revoke(self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        self._hand_back(consumer, partitions, lost=False)

    def _on_lost(self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition]) -> None:
        self._hand_back(consumer, partitions, lost=True)

    def _hand_back(self, consumer: confluent_kafka.Consumer, partitions: list[TopicPartition], *, lost: bool) -> None:
        self._rebalanced = True
        with self._change:
            self._ready = []
        if not self._abandoned:
            given = {TP(partition.topic, partition.partition) for partition in partitions}
            waited = asyncio.run_coroutine_threadsafe(self._application.give_back(given, lost=lost), self._loop)
            try:
                waited.result(self._give_back_seconds + _GRACE_SECONDS)
            except TimeoutError as error:
                if waited.done():
                    raise
                waited.cancel()
                raise TimeoutError(
                    f"the event loop did not give back its partitions within {self._give_back_seconds:g} s"
                ) from error
        if self._assigned and self._paused:
            # librdkafka keeps partitions paused over a rebalance (#1849), and would never read those that come back.
            # Now, and not when they are assigned again: resumed right after that, they may lose the offset (#2190).
            consumer.resume([TopicPartition(*tp) for tp in self.positions.ends])
        self.positions = Positions({})
        consumer.unassign()

    def _on_main_loop(self, call: Callable[..., object], *args: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: the process is ending
            self._loop.call_soon_threadsafe(call, *args)


def _set(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if not answer.done():
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)
