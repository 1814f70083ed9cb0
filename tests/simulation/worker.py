"""A worker's process: the real processor and the real sink, each in its group, as ``deskpulse.worker`` has them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from sinks.agent import SinkAgent
from sinks.rows import SINK_TOPICS
from streams.commit import CommitError, Cut, TransactionalCommitter
from streams.config import DomainConfig
from streams.disk import Disk
from streams.kept import KeptPartition
from streams.offsets import READ_TOPICS
from streams.processor import Processor, ProcessorConfig
from streams.retained import Retained
from streams.transport import Batch
from tests.simulation.broker import Broker
from tests.simulation.changelogs import SimulatedChangelogs
from tests.simulation.clients import (
    PROCESSOR_GROUP,
    SINK_GROUP,
    SimulatedClickHouse,
    SimulatedProducer,
    Tables,
)
from tests.simulation.clockwork import Clockwork, KilledError
from tests.simulation.defects import Defect
from tests.simulation.disks import Disks
from tests.simulation.faults import Faults
from tests.simulation.role import Role
from tests.simulation.steps import Step, Tally

YEARS_MS = 10 * 366 * 86_400_000


class Surroundings(Protocol):
    """What a process lives in."""

    loop: Clockwork
    broker: Broker
    tables: Tables
    config: DomainConfig
    faults: Faults
    disks: Disks
    defect: Defect
    tally: Tally

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


class Process:
    """One life of a worker, from its start to its end, which may be sudden."""

    def __init__(self, world: Surroundings, name: str, life: int, skew_ms: int, folder: Path) -> None:
        self.world = world
        self.name = name
        self.life = life
        self.skew_ms = skew_ms
        self.config = world.config
        self.alive = True
        self.ready = False
        self.committing: asyncio.Task[None] | None = None
        self._members = 0
        self._committers = [self._committer(PROCESSOR_GROUP), self._committer(SINK_GROUP)]
        processing, writing = self._committers
        self.of_processor = Role(self, PROCESSOR_GROUP, READ_TOPICS)
        self.of_sink = Role(self, SINK_GROUP, SINK_TOPICS)
        changelogs = SimulatedChangelogs(world.broker, world.loop, self, world.defect)
        self.processor = Processor(
            self.of_processor,  # type: ignore[arg-type]
            processing,
            {},
            ProcessorConfig(
                domain=self.config,
                grace_ms=0,
                max_future_ms=YEARS_MS,
                state_folder=folder if world.faults.on_disk else None,
                settle_seconds=0.0,
                transaction_records=world.faults.transaction_records,
            ),
            clock_ms=lambda: world.clock_ms(self),
            changelogs=changelogs,
            open_disk=self._open_disk,
        )
        self.processor.retained = _Watched(changelogs, world)
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
                pause=lambda _: self.check(),
            )

        if self.world.defect is Defect.STATE_KEPT_AFTER_ABORT:
            return _Forgetful(made)  # type: ignore[return-value]
        return made()

    # -- its life

    def start(self) -> None:
        """Begin: fence the life before, then join the groups."""
        self.spawn(self._start())

    async def _start(self) -> None:
        for committer in self._committers:
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
        self.world.disks.leave(self)

    def kill(self) -> None:
        """End at once; the groups notice it later."""
        self.world.disks.leave(self)
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
            for committer in self._committers:
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

    def _open_disk(self, folder: Path, number: int, identities: object, now_ms: int) -> Disk:
        self.check()
        return self.world.disks.open(self, folder, number, now_ms)


class _Watched(Retained):
    """Counts what is retained; looks at nothing with ``Defect.RETAINED_UNCHECKED``."""

    def __init__(self, changelogs: SimulatedChangelogs, world: Surroundings) -> None:
        super().__init__(changelogs)
        self._world = world

    async def unchanged(self, numbers: set[int], deadline_seconds: float) -> dict[int, KeptPartition]:
        held = {number: one.kept for number, one in self._held.items() if number in numbers}
        found = (
            held
            if self._world.defect is Defect.RETAINED_UNCHECKED
            else await super().unchanged(numbers, deadline_seconds)
        )
        self._world.tally.retained += len(found)
        self._world.tally.superseded += len(held) - len(found)
        return found


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
