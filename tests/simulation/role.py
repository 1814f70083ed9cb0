"""One application of a worker's process: the processor's or the sink's, with its member of a consumer group."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Protocol

from faust.types import TP

from streams.commit import Checkpoint
from streams.transport import Batch
from tests.simulation.broker import Broker
from tests.simulation.clients import SimulatedConsumer
from tests.simulation.clockwork import Clockwork
from tests.simulation.groups import Member


class Surroundings(Protocol):
    """What a process lives in, as far as a role needs it."""

    loop: Clockwork
    broker: Broker


class Owner(Protocol):
    """The process whose role it is."""

    @property
    def world(self) -> Surroundings: ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Go on with ``work``; its error ends the process."""

    def member_id(self) -> str:
        """An id that nobody has had."""


class Role:
    """One application of a process: the ``App`` of the processor or of the sink, and its member of a group."""

    should_stop = False
    checkpoint: Checkpoint
    feed: Callable[[Batch], Coroutine[Any, Any, None]]
    """Hands a batch to the agent."""

    def __init__(self, process: Owner, group: str, topics: Sequence[str]) -> None:
        self.group = process.world.broker.groups[group]
        self.consumer = SimulatedConsumer(process.world.broker)
        self.owned: list[TP] = []
        self.flowing = False
        self.deaf_until = 0.0
        """So long it neither reads nor hears from its group, and its process does not notice (seconds of the loop)."""
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

    @property
    def _is_deaf(self) -> bool:
        return self._process.world.loop.seconds < self.deaf_until

    # -- records

    def poll(self, place: int, most: int) -> bool:
        """Read up to ``most`` records of one of its partitions; whether there were any."""
        if not self.flowing or not self.owned or self._feeding is not None or self._is_deaf:
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
        if self._is_deaf or (self._giving is not None and not self._giving.done()):
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
