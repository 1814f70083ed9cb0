"""A worker's process: the real processor and the real sink, each in its group, as ``deskpulse.worker`` has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from faust.types import TP

from sinks.agent import SinkAgent
from streams.commit import Checkpoint, CommitError, Cut, TransactionalCommitter
from streams.config import DomainConfig
from streams.processor import READ_TOPICS, Processor, ProcessorConfig
from streams.restore import Records
from streams.transport import Batch
from tests.simulation.broker import Broker, Member
from tests.simulation.clients import (
    PROCESSOR_GROUP,
    SINK_GROUP,
    SimulatedClickHouse,
    SimulatedConsumer,
    SimulatedProducer,
    Tables,
)
from tests.simulation.clockwork import Clockwork, KilledError
from tests.simulation.defects import Defect
from tests.simulation.steps import Step

SINK_TOPICS = ("support.facts", "support.cells", "support.sla-events", *READ_TOPICS[:3])
YEARS_MS = 10 * 366 * 86_400_000


class Surroundings(Protocol):
    """What a process lives in."""

    loop: Clockwork
    broker: Broker
    tables: Tables
    config: DomainConfig
    defect: Defect

    def at(self, process: Process, step: Step, group: str) -> None:
        """A process has come to a step."""

    def any_of(self, number: int) -> int:
        """A number below ``number``, of the seed."""

    def clock_ms(self, process: Process) -> int:
        """The wall clock of a process."""

    def insert_times(self) -> int:
        """How often the next block of rows is inserted."""

    def insert_fails(self) -> bool:
        """Whether ClickHouse is away."""

    def failed(self, process: Process, error: BaseException) -> None:
        """An error has to end the process."""


class Role:
    """One application of a process: the ``App`` of the processor or of the sink, and its member of a group."""

    should_stop = False
    checkpoint: Checkpoint
    feed: Callable[[Batch], Coroutine[Any, Any, None]]
    """Hands a batch to the agent."""

    def __init__(self, process: Process, group: str, topics: Sequence[str]) -> None:
        self.group = process.world.broker.groups[group]
        self.consumer = SimulatedConsumer(process.world.broker)
        self.owned: list[TP] = []
        self.flowing = False
        self.member: Member | None = None
        """None when it is in no group, or has been told that it is in it no more."""
        self._process = process
        self._topics = topics
        self._taking: asyncio.Task[None] | None = None
        self._giving: asyncio.Task[None] | None = None
        self._feeding: asyncio.Task[None] | None = None

    @property
    def is_settled(self) -> bool:
        """Whether it owns and reads what the group has given to it, and has nothing in hand."""
        return (
            self.flowing
            and self.member is not None
            and not self.group.preparing
            and self.member.id in self.group.members
            and self.member.generation == self.group.generation
            and self._feeding is None
        )

    # -- records

    def poll(self, place: int, most: int) -> bool:
        """Read up to ``most`` records of one of its partitions; whether there were any."""
        if not self.flowing or not self.owned or self._feeding is not None:
            return False
        batch = self.consumer.fetch(self.owned[place % len(self.owned)], most)
        if batch is None:
            return False
        self._feeding = self._process.spawn(self.feed(batch))
        self._feeding.add_done_callback(self._fed)
        self._process.world.loop.settle()
        return True

    def _fed(self, task: asyncio.Task[None]) -> None:
        if self._feeding is task:
            self._feeding = None

    # -- the group

    def hear(self) -> None:
        """Hear from the group, and do what it asks for."""
        if self._giving is not None and not self._giving.done():
            return
        group, member = self.group, self.member
        if member is None:
            self.member = Member(group.name, self._process.member_id(), -1)
            group.join(self.member.id)
        elif member.id not in group.members:
            self._giving = self._process.spawn(self._give_back(lost=True))
        elif group.preparing:
            if not group.has_joined(member.id):
                self._giving = self._process.spawn(self._give_back(lost=False))
        elif member.generation != group.generation:
            self.member = member._replace(generation=group.generation)
            self.owned = [TP(topic, number) for topic in self._topics for number in group.members[member.id]]
            self._taking = self._process.spawn(self._take_over(self.member))
        self._process.world.loop.settle()

    async def _take_over(self, member: Member) -> None:
        broker = self._process.world.broker
        while (starts := broker.stable_offsets(self.group.name, self.owned)) is None:
            await broker.change()
        self.consumer.begin(member, starts)
        await self.checkpoint.assigned(set(self.owned))
        self.flowing = True

    async def _give_back(self, *, lost: bool) -> None:
        member, self.flowing, self._feeding = self.member, False, None
        interrupted = self._taking is not None and not self._taking.done()
        if interrupted and self._taking is not None:
            self._taking.cancel()
            with suppress(asyncio.CancelledError):
                await self._taking
        if self.owned:
            if lost or interrupted:
                await self.checkpoint.lost(set(self.owned))
            else:
                await self.checkpoint.revoked(set(self.owned), 30.0)
        self.owned = []
        self.consumer.end()
        if lost:
            self.member = None
        elif member is not None:
            self.group.gave_back(member.id)

    async def leave(self) -> None:
        """Give everything back, and go."""
        if self._giving is not None and not self._giving.done():
            await self._giving
        await self._give_back(lost=self.member is None or self.member.id not in self.group.members)
        self.abandon()

    def abandon(self) -> None:
        """Leave the group without giving anything back."""
        if self.member is not None:
            self.group.leave(self.member.id)
            self.member = None
        self.flowing = False


class Process:
    """One life of a worker, from its start to its end, which may be sudden."""

    def __init__(self, world: Surroundings, name: str, life: int, skew_ms: int) -> None:
        self.world = world
        self.name = name
        self.life = life
        self.skew_ms = skew_ms
        self.alive = True
        self.ready = False
        self.committing: asyncio.Task[None] | None = None
        self._members = 0
        self._roles_committer = [self._committer(PROCESSOR_GROUP), self._committer(SINK_GROUP)]
        processing, writing = self._roles_committer
        self.of_processor = Role(self, PROCESSOR_GROUP, READ_TOPICS)
        self.of_sink = Role(self, SINK_GROUP, SINK_TOPICS)
        self.processor = Processor(
            self.of_processor,  # type: ignore[arg-type]
            processing,
            {},
            ProcessorConfig(domain=world.config, grace_ms=0, max_future_ms=YEARS_MS),
            clock_ms=lambda: world.clock_ms(self),
            read_back=self._read_back,
        )
        client = SimulatedClickHouse(world.tables, self, world.insert_times, world.insert_fails)
        self.sink = SinkAgent(
            self.of_sink,  # type: ignore[arg-type]
            writing,
            lambda: client,  # type: ignore[arg-type, return-value]
            "desk",
            # Of the seed alone: the real waits differ by chance.
            wait=lambda state: min(8.0, 0.2 * 2 ** min(state.attempt_number, 10)),
        )
        self.of_processor.checkpoint, self.of_processor.feed = self.processor, self._process
        self.of_sink.checkpoint, self.of_sink.feed = self.sink, self.sink.take

    @property
    def roles(self) -> tuple[Role, Role]:
        return self.of_processor, self.of_sink

    def __str__(self) -> str:
        return f"{self.name}{self.life}"

    def _committer(self, group: str) -> TransactionalCommitter:
        def made() -> TransactionalCommitter:
            return TransactionalCommitter(
                {},
                f"{group}-{self.name}",
                make_producer=lambda config: SimulatedProducer(config, self.world.broker, self, group),  # type: ignore[arg-type, return-value]
            )

        if self.world.defect is Defect.STATE_KEPT_AFTER_ABORT:
            return _Forgetful(made)  # type: ignore[return-value]
        return made()

    # -- its life

    def start(self) -> None:
        """Begin: fence the life before, then join the groups."""
        self.spawn(self._start())

    async def _start(self) -> None:
        for committer in self._roles_committer:
            await committer.start()
        self.ready = True
        self.spawn(self.sink.run())

    async def stop(self) -> None:
        """End in order, as on SIGTERM."""
        self.ready = False
        for role in self.roles:
            role.should_stop = True
            await role.leave()
        self.alive = False

    def kill(self) -> None:
        """End at once; the groups notice it later."""
        self.alive = self.ready = False
        for role in self.roles:
            role.flowing, role.should_stop = False, True

    def at(self, step: Step, group: str = PROCESSOR_GROUP) -> None:
        """See ``clients.Process``."""
        self.check()
        self.world.at(self, step, group)
        self.check()

    def check(self) -> None:
        """Go no further once killed."""
        if not self.alive:
            raise KilledError(str(self))

    def any_of(self, number: int) -> int:
        """See ``clients.Process``."""
        return self.world.any_of(number)

    def member_id(self) -> str:
        """An id that nobody has had."""
        self._members += 1
        return f"{self}.{self._members}"

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Go on with ``work``; its error ends the process."""
        task = self.world.loop.create_task(work)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and self.alive and not isinstance(error, KilledError):
            for committer in self._roles_committer:
                committer.refuse(error)
            self.world.failed(self, error)

    # -- what it does

    async def _process(self, batch: Batch) -> None:
        self.processor.apply(batch)
        await self.processor.room()

    def commit(self) -> None:
        """Cut and commit, as the processor does from time to time."""
        if self.committing is None:
            self.committing = self.spawn(self._commit())

    async def _commit(self) -> None:
        before = self.processor.commits
        try:
            await self.processor.commit()
        finally:
            self.committing = None
        if self.processor.commits > before:
            self.at(Step.COMMITTED)

    async def _read_back(
        self,
        config: object,
        wanted: Mapping[TP, Callable[[Records], None]],
        *,
        deadline_seconds: float,
    ) -> int:
        """As ``streams.restore.read_to_end``: it waits for whatever is written, open transactions included."""
        return sum([await self._read_one_back(tp, on_records) for tp, on_records in wanted.items()])

    async def _read_one_back(self, tp: TP, on_records: Callable[[Records], None]) -> int:
        broker, defect = self.world.broker, self.world.defect
        self.at(Step.RESTORING)
        log = broker.logs[tp.topic, tp.partition]
        end = log.end
        if defect is Defect.RESTORE_TO_STABLE_END:
            end = log.stable_end
        elif defect is Defect.RESTORE_UNCOMMITTED:
            found = [(e.key or b"", e.value) for e in log.entries if not e.is_marker]
            on_records(found)
            return len(found)
        while log.stable_end < end:
            await broker.change()
        records = [(found.entry.key or b"", found.entry.value) for found in log.committed(0, end)]
        if records and self.any_of(2):  # The log was compacted meanwhile.
            records = _compacted(records)
        middle = self.any_of(len(records) + 1)
        for part in (records[:middle], records[middle:]):
            if part:
                await self.world.loop.run_in_executor(None, on_records, part)
                self.at(Step.RESTORING)
        return len(records)


def _compacted(records: list[tuple[bytes, bytes | None]]) -> list[tuple[bytes, bytes | None]]:
    """The last record of each key, in their order."""
    last = {key: number for number, (key, _) in enumerate(records)}
    return [record for number, record in enumerate(records) if last[record[0]] == number]


class _Forgetful:
    """A committer that makes little of a transaction that was aborted (``Defect.STATE_KEPT_AFTER_ABORT``)."""

    def __init__(self, make: Callable[[], TransactionalCommitter]) -> None:
        self._make = make
        self._now = make()

    async def start(self, deadline_seconds: float = 60.0) -> None:
        await self._now.start(deadline_seconds)

    async def commit(self, cut: Cut, group_metadata: object, deadline_seconds: float = 30.0) -> None:
        try:
            await self._now.commit(cut, group_metadata, deadline_seconds)
        except CommitError:
            self._now = self._make()
            await self._now.start()

    def refuse(self, reason: BaseException) -> None:
        self._now.refuse(reason)
