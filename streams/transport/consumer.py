"""The consumer: Faust's interface on the main loop, in front of the reader's thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from confluent_kafka import KafkaException, TopicPartition
from faust.exceptions import ConsumerNotStarted
from faust.transport import consumer as faust_consumer
from faust.types import TP, ConsumerMessage, Message
from mode import Service

from streams.clients import Deadline
from streams.deadlines import LEAVE_SECONDS
from streams.transport.batch import Batch
from streams.transport.positions import ReadError
from streams.transport.reader import Reader
from streams.transport.watch import LOOK_SECONDS, Watch

if TYPE_CHECKING:
    from streams.transport.app import App

_ASK_SECONDS: Final = 30.0
_LOOK_ASK_SECONDS: Final = 5.0
"""The same where the thread, which asks, must not be kept from polling for long."""
_THREAD_SECONDS: Final = 90.0
"""For the reading thread to come to a question and answer: it may be asking the brokers something of its own."""


class Consumer(faust_consumer.Consumer):
    """Reads the partitions assigned by the group; ``app.consumer``.

    Faust's acks go on, to know when an agent is done; offsets are committed by the application's checkpoint only.
    """

    app: App

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._assigned: set[TP] = set()
        self._starts: Mapping[TP, int] = {}
        self._taking: asyncio.Task[None] | None = None
        self._restored_generation = 0
        self._was_lost = False
        self._reader_or_none: Reader | None = None

    # -- for the application

    def at_end(self, tp: TP) -> bool:
        """Whether ``tp`` was read to its end and its agent has finished all batches that were read."""
        end, exhausted = self._reader.positions.end_of(tp)
        acked = self._acked.get(tp)
        return exhausted and (acked[-1] + 1 if acked else self.start_offset(tp)) >= end

    def group_metadata(self) -> object:
        """The member's generation, for ``TransactionalCommitter.commit``; take it when the cut is made."""
        return self._reader.group_metadata

    def highwater(self, tp: TP) -> int:
        """The next offset that a record of ``tp`` will get, as last heard from the broker; 0 before."""
        return self._reader.positions.highwaters.get(tp, 0)

    def start_offset(self, tp: TP) -> int:
        """The committed offset from which ``tp`` is read since it was assigned (0 without one)."""
        return self._starts.get(tp, 0)

    def assignment(self) -> set[TP]:
        """The partitions that this worker owns."""
        return set(self._assigned)

    # -- partitions come and go (``reader.Application``)

    def take_over(self, starts: Mapping[TP, int]) -> None:
        """Let the application restore the partitions, then Faust read them; the reader polls on meanwhile."""
        self._starts = starts
        self._assigned = set(starts)
        self._taking = self.app.loop.create_task(self._take_over(self._next_generation()))

    async def _take_over(self, generation: int) -> None:
        try:
            if self._was_lost and self.app.check_returned is not None:
                await self.app.check_returned(self._reader.member_id)
            self._was_lost = False
            if self.app.checkpoint is not None:
                await self.app.checkpoint.assigned(set(self._assigned))
            self._restored_generation = generation
            await self.on_partitions_assigned(set(self._assigned), generation)
        except Exception as error:
            self.app.fail(error)

    async def give_back(self, partitions: set[TP], *, lost: bool) -> None:
        """Commit and let go, within one deadline: first what was applied, then Faust's own goodbye."""
        if self.app.failure is not None:
            return
        deadline = Deadline(self.app.revoke_seconds)
        try:
            async with asyncio.timeout(deadline.remaining_seconds):
                interrupted = await self._stop_taking()
                self._next_generation()
                self.stop_flow()
                self.app.flow_control.suspend()
                self.app.flow_control.clear()
                self._was_lost |= lost
                if self.app.checkpoint is not None:
                    if lost or interrupted:
                        await self.app.checkpoint.lost(partitions)
                    else:
                        await self.app.checkpoint.revoked(partitions, deadline.remaining_seconds)
                await self.on_partitions_revoked(partitions)
        except TimeoutError as error:
            raise TimeoutError(
                f"giving back {len(partitions)} partitions took more than {self.app.revoke_seconds:g} s"
            ) from error
        self._assigned -= partitions

    async def _stop_taking(self) -> bool:
        """Whether partitions were still being taken over; that is cancelled."""
        taking, self._taking = self._taking, None
        if taking is None or taking.done():
            return False
        taking.cancel()
        with suppress(asyncio.CancelledError):
            await taking
        return True

    def _next_generation(self) -> int:
        # What is still under way of the generation before is dropped by the streams.
        if not self.app.rebalancing:
            self.app.on_rebalance_start()
        self.app.consumer_generation_id += 1
        return self.app.consumer_generation_id

    def failed(self, error: BaseException) -> None:
        """The reader's thread has ended."""
        self.app.fail(error)

    def abandon(self) -> None:
        """Deliver nothing more, and leave the group without a commit."""
        self.stop_flow()
        self.leave()

    def leave(self) -> None:
        """Read nothing more, and leave the group without asking the application. From any thread."""
        if self._reader_or_none is not None:
            self._reader_or_none.abandon()

    def wait_left(self, timeout_seconds: float) -> bool:
        """Whether the group was left, waited for; blocks. From any thread but the reader's and the event loop's."""
        return self._reader_or_none is None or self._reader_or_none.wait(timeout_seconds)

    # -- whether records flow (``watch.Watched``)

    @Service.task
    async def _keep_watch(self) -> None:
        watch = Watch(self)
        try:
            while not self.should_stop:
                await self.sleep(LOOK_SECONDS)
                await watch.look()
        except Exception as error:
            self.app.fail(error)

    def standing(self) -> tuple[int, dict[TP, int]] | None:
        """The generation and how far was read; None while partitions come or go, or an agent has records in hand."""
        generation = self.app.consumer_generation_id
        restored = self._restored_generation == generation and self._assigned and self.app.failure is None
        if not restored or any(message.generation_id == generation for message in self._unacked_messages):
            return None
        return generation, dict(self._reader.positions.ends)

    async def unread(self) -> str:
        """The first partition of which not all was read."""
        if self._reader.has_ready:
            return "records are ready and are not taken"
        positions = self._reader.positions
        passed = {tp: positions.passed(tp) for tp in list(positions.ends)}
        try:
            async with asyncio.timeout(_THREAD_SECONDS):
                for tp, end in passed.items():
                    _, there = await self._watermarks(tp, _LOOK_ASK_SECONDS)
                    if there > end:
                        flow = "active" if self.flow_active else "not active"
                        return (
                            f"{tp.topic}[{tp.partition}] goes to {there}, and was read to {end} "
                            f"(flow {flow}; {self._reader})"
                        )
        except TimeoutError:
            return "the reading thread does not answer"
        except KafkaException as error:
            self.log.warning("the brokers do not say how far partitions go: %s", error)
        except ReadError:
            pass  # It is closed.
        return ""

    # -- Faust's flow

    @property
    def _reader(self) -> Reader:
        if self._reader_or_none is None:
            raise ConsumerNotStarted("the consumer is not started")
        return self._reader_or_none

    async def on_start(self) -> None:
        """Make the reader; it polls from the subscription on."""
        self._reader_or_none = Reader(
            self.app.consumer_client, self.app.conf.id, self, self.app.loop, self.app.revoke_seconds
        )

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group for these topics."""
        await self._reader.subscribe(list(topics))

    def resume_flow(self) -> None:
        """Let records flow."""
        # Faust's own recovery may come too late, when the partitions are already being given back.
        if self.app.failure is None and self._restored_generation == self.app.consumer_generation_id:
            super().resume_flow()
            self._reader.resume()

    def stop_flow(self) -> None:
        """Let no record flow."""
        super().stop_flow()
        if self._reader_or_none is not None:
            self._reader_or_none.pause()

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 (Faust's name)
        """Yield batches, each as one message, until they are of the past."""
        if not self.flow_active:
            await self.wait(self.can_resume_flow)  # type: ignore[arg-type]
        batches = await self._reader.take(timeout)
        # The reader forgets what it has ready when partitions are revoked: this is of the generation of now, though
        # perhaps not of the one that the wait began in.
        generation = self.app.consumer_generation_id
        for batch in batches:
            if not self.flow_active or self.app.consumer_generation_id != generation:
                return
            self.app.monitor.track_tp_end_offset(batch.tp, self.highwater(batch.tp))
            yield batch.tp, self._to_message(batch.tp, batch)

    def _to_message(self, tp: TP, record: Batch) -> ConsumerMessage:
        timestamp_type, timestamp_ms = record[-1].timestamp()
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.end - 1,
            timestamp_ms / 1000,
            timestamp_type,
            [],
            None,
            cast(Any, record),
            None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def wait_empty(self) -> None:
        """Wait until the agents have finished the batches in their hands, but not for ever."""
        deadline = Deadline(self.app.revoke_seconds)
        while self._unacked_messages and not (self.should_stop or self.app.failure or deadline.is_over):
            await self._wait_for_ack(timeout=1)
            self._clean_unacked_messages()

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit nothing: forget old acks. Offsets are committed with the state, by the checkpoint."""
        for tp, acked in self._acked.items():
            if len(acked) > 1:
                del acked[:-1]
                self._acked_index[tp].intersection_update(acked)
        return False

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        # A batch spans many offsets, and what lies between two batches are markers of transactions.
        return

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: a full channel holds up the handing over, and that holds up the reader."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing, see :meth:`on_buffer_full`."""

    async def on_stop(self) -> None:
        """Give back the partitions (the checkpoint commits) and leave the group."""
        reader = self._reader_or_none
        if reader is not None and not await reader.close(LEAVE_SECONDS + self.app.revoke_seconds):
            self.log.warning("the consumer did not close in time; the broker will notice by itself")

    def close(self) -> None:
        """Nothing: :meth:`on_stop` closes."""

    # -- offsets

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """The offsets from which the assigned partitions are read: they were committed when it began."""
        return dict(self._starts)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        return False

    async def _seek(self, partition: TP, offset: int) -> None:
        await self.seek_wait({partition: offset})

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        """Read on from other offsets."""
        await self._reader.seek(partitions)

    async def position(self, tp: TP) -> int | None:
        """The next offset to be handed over."""
        return self._reader.positions.end_of(tp)[0] if tp in self._assigned else None

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        """The first offsets that the broker has."""
        return {tp: (await self._watermarks(tp))[0] for tp in partitions}

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        """The offsets after the last committed records that the broker has."""
        return {tp: (await self._watermarks(tp))[1] for tp in partitions}

    async def _watermarks(self, tp: TP, timeout_seconds: float = _ASK_SECONDS) -> tuple[int, int]:
        return await self._reader.ask(
            lambda consumer: consumer.get_watermark_offsets(TopicPartition(*tp), timeout_seconds)
        )

    # -- topics

    async def create_topic(self, topic: str, partitions: int, replication: int, **options: Any) -> None:
        """Create a topic, see :meth:`Producer.create_topic`."""
        await self.app.producer.create_topic(topic, partitions, replication, **options)

    def topic_partitions(self, topic: str) -> int | None:
        """Not known; the broker would have to be asked, and Faust can't wait here."""
        return None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        """The partition of a key, as every producer of deskpulse puts it. Blocks."""
        if partition is not None or key is None:
            return partition
        return self.app.producer.key_partition(topic, key).partition

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: lags and stalls are told by the worker's own metrics."""

    def verify_recovery_event_path(self, now: float, tp: TP) -> None:
        """Nothing: state is not kept in Faust's tables."""

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109
        raise NotImplementedError("getmany() is complete in itself")
