"""The shell around the partitions: feeds them from Kafka, lets their time go on, commits what they publish.

It decides nothing: what an event means is decided in ``streams.partition`` and below, when a transaction is whole in
``streams.commit``. All methods run on the event loop, so a batch, a cut and a picture never see half of each other.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from confluent_kafka import KafkaException
from faust.types import TP

from schemas.events import INPUT_TOPICS
from schemas.outputs import (
    CELLS,
    CHANGELOGS,
    CONTACTS,
    CUSTOMERS,
    FACTS,
    INNER_TOPICS,
    SLA_EVENTS,
)
from streams.attributes import Patch
from streams.clients import ClientSettings, Deadline, UnansweredError
from streams.commit import Cut, TransactionalCommitter
from streams.config import DomainConfig
from streams.cutting import Cutting
from streams.dead_letters import DeadLetterLimit
from streams.deadlines import COMMIT_SECONDS
from streams.failures import CommitExpelledError
from streams.kept import KeptPartition, OpenDisk, open_disk
from streams.letters import opened
from streams.live import Health, LiveFigures, SlaLabels
from streams.offsets import READ_TOPICS, Offsets
from streams.pace import DUE_SECONDS, Pace
from streams.partition import Counters, Partition
from streams.picture import picture
from streams.restore import Changelogs, KafkaChangelogs
from streams.retained import Retained
from streams.telling import Teller
from streams.transport import App, Batch, Consumer
from streams.watermark import Watermark

_PUBLISHED: Final = frozenset((FACTS, CELLS, SLA_EVENTS))
_LOG: Final = logging.getLogger(__name__)
_TICK_SECONDS: Final = 0.1
"""How often time goes on. A timer is noticed after half of this on average."""
_BUSY_TICK_SECONDS: Final = 0.02
"""The same from the beginning of a backlog until what follows of it is committed: one step waits for the other."""
_BEHIND_RECORDS: Final = 5_000
"""With more records unread than this, about half a second of what a worker can do, it is catching up, and nobody can
look at its figures to the second."""
_MOST_TICKETS: Final = 130_000
"""A cut is made early when so many tickets wait for it, and no batch is taken before it is made: a bound on memory."""
_RESTORE_SECONDS: Final = 600.0
_SETTLE_SECONDS: Final = 5.0


@dataclass(frozen=True)
class ProcessorConfig:
    """What the processor is told."""

    domain: DomainConfig
    event_clock: bool = False
    grace_ms: int = 250
    max_future_ms: int = 86_400_000
    commit_seconds: float = 1.0
    transaction_records: int = 10_000
    """So many records end a transaction between two partitions."""
    dimension_limit: int = 50
    dead_letter_limit: float = 1.0
    """The share of refused records of a topic, 0 to 1, beyond which the worker stops."""
    dead_letter_window: int = 1_000
    """Of how many of its last records, at least."""
    state_folder: Path | None = None
    """Where the state lies beside the memory, see ``streams.kept``."""
    settle_seconds: float = 30.0
    """What a state on disk may lack after a crash, and is then read from Kafka."""


class Memory(NamedTuple):
    """How the process holds the memory that is freed: nothing is done where nothing is given."""

    hold: Callable[[], None] = lambda: None
    """Much is to be done: keep it at hand."""
    give_back: Callable[[], None] = lambda: None
    """Give it back to the system, now and from now on."""


RefusedBefore = Callable[[Mapping[tuple[str, int], int], int], Mapping[str, tuple[int, Mapping[str, int]]]]
"""Given where each (topic, partition) of the inputs is read from and a number of records: by topic, of how many records
before that how many were refused, by code. Blocks."""


def wall_clock_ms() -> int:
    """The wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Processor:
    """The partitions that this worker owns; the ``Checkpoint`` of its transport."""

    def __init__(
        self,
        app: App,
        committer: TransactionalCommitter,
        client: ClientSettings,
        config: ProcessorConfig,
        clock_ms: Callable[[], int] = wall_clock_ms,
        changelogs: Changelogs | None = None,
        refused_before: RefusedBefore | None = None,
        open_disk: OpenDisk = open_disk,
        memory: Memory = Memory(),  # noqa: B008 (it has no state)
    ) -> None:
        """``refused_before``: asked when partitions are assigned, so that a restart forgets no dead letter.

        ``memory``: told when a backlog begins and when it is done with.
        """
        self.config = config
        self.commits = 0
        self.published = 0
        self._app = app
        self._committer = committer
        self._clock_ms = clock_ms
        self._changelogs: Changelogs = changelogs or KafkaChangelogs(client)
        self._open_disk = open_disk
        self._refused_before = refused_before
        self._patches: dict[str, Patch] = {}
        self._memory = memory
        self._busy = self._untidy = False
        self._dead_letters = DeadLetterLimit(config.dead_letter_limit, config.dead_letter_window)
        self._partitions: dict[int, Partition] = {}
        self._kept: dict[int, KeptPartition] = {}
        self._settled_at = time.monotonic()
        self._has_policies = bool(config.domain.policies)
        self._due = False
        """Something became due since the last cut that agreements may be about."""
        self._inner_read = self._inner_told = 0
        self._topic_partitions = 1
        """How many each topic has, as it was when partitions were assigned."""
        self._offsets = Offsets(lambda tp: self._consumer.start_offset(tp))
        self._drops = 0
        """How often all state was let go: what was cut before that is the next owner's to commit."""
        self._committing = asyncio.Lock()
        self._last_came = asyncio.Event()
        """All that a backlog's cut has told was read."""
        self._room = asyncio.Event()
        self._room.set()
        self._committed_at = time.monotonic()
        self._assigned = False
        self.retained = Retained(self._changelogs)
        """What was given back."""
        self._gone: list[Counters] = []

    @property
    def _consumer(self) -> Consumer:
        return self._app.consumer

    # -- batches and time

    def apply(self, batch: Batch) -> None:
        """Apply one batch to its partition.

        Raises ``streams.dead_letters.TooManyDeadLettersError`` where it has gone beyond the limit of refused records.
        """
        topic, number = batch.tp
        self._offsets.check(batch.tp, batch.start)
        if topic == CONTACTS:
            self._partitions[number].hear(cast(Any, batch.records))
        elif topic == CUSTOMERS:
            customers = self._kept[number].customers
            for record in batch:
                customers.apply(opened(cast(bytes, record.key()), cast(bytes, record.value())))
        else:
            latest_ms = None if self.config.event_clock else self._clock_ms() + self.config.max_future_ms
            partition = self._partitions[number]
            letters = dict(partition.counters.dead_letters)
            partition.apply(topic, cast(Any, batch.records), latest_ms)
            self._dead_letters.saw(topic, cast(Any, batch), letters, partition.counters.dead_letters)
        self._offsets.apply(batch.tp, batch.end)
        if topic in INNER_TOPICS:
            self._inner_read += len(batch)
            if self._is_last_of_backlog():
                self._last_came.set()
        if self._is_full():
            self._room.clear()

    async def room(self) -> None:
        """Wait until there is room for another batch: what waits for a cut is bounded, however long a commit takes."""
        await self._room.wait()

    def advance(self) -> None:
        """Let the time of all partitions go on."""
        wall = self._clock_ms()
        newest = self._newest() if self.config.event_clock else 0
        for partition in self._partitions.values():
            if partition.advance(self._at_end(partition.number), wall, newest) and self._has_policies:
                self._due = True

    def _newest(self) -> int:
        partitions = self._partitions.values()
        return max((partition.watermark.newest_at for partition in partitions), default=0)

    def _at_end(self, number: int) -> list[str]:
        return [topic for topic in INPUT_TOPICS if self._consumer.at_end(TP(topic, number))]

    # -- commits

    async def run(self) -> None:
        """Let time go on and commit, until the app stops. An error of it has to end the worker."""
        pace = Pace(self.config.commit_seconds, time.monotonic())
        while not self._app.should_stop:
            await self._tick()
            if not self._partitions:
                continue
            self.advance()
            now = time.monotonic()
            # While nothing else comes in, the last step of what did, the customers', need not wait.
            due = self._due or self._offsets.is_last_step
            behind = self.behind
            if (
                (pace.is_time(now, behind=behind, due=due) and not self._is_more_coming(now))
                or self._is_full()
                or self._is_last_of_backlog()
            ):
                pace.cut(now)
                self._due = False
                await self.commit()
            elif behind:
                self._get_busy()
            elif not self._busy or now - self._committed_at >= DUE_SECONDS:
                # Sooner after a backlog's cut, what follows of it is still on its way.
                self._rest()

    async def _tick(self) -> None:
        """Wait for the next look at the time; not at the end of a backlog, when one step waits for the other."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._last_came.wait(), _BUSY_TICK_SECONDS if self._busy else _TICK_SECONDS)
        self._last_came.clear()

    def _is_more_coming(self, now: float) -> bool:
        """Whether more that a backlog's cut has told is on its way to here: cut before it, it would take another cut.

        Not for long: it may be for other workers, or never come.
        """
        return self._busy and self._inner_lag > 0 and now - self._committed_at < DUE_SECONDS

    def _is_last_of_backlog(self) -> bool:
        """Whether all that was told of a backlog was read, and is to be cut: then nothing has to be waited for.

        Where other workers read it, it is never known to be all.
        """
        return self._busy and self._offsets.is_last_step and not self._inner_lag

    def _get_busy(self) -> None:
        """There is much to do: keep the memory that it takes."""
        if not self._busy:
            self._busy = self._untidy = True
            self._memory.hold()

    def _rest(self) -> None:
        """There is time: let what rests take less memory, and after a backlog what it needed go."""
        if self._busy:
            self._busy = False
            self._memory.give_back()
        if not any(kept.tidy() for kept in self._kept.values()) and self._untidy:
            self._untidy = False
            self._let_go()

    def _let_go(self) -> None:
        for kept in self._kept.values():
            kept.let_go()
        # Now, or what is made anew would take the places of what has gone.
        self._memory.give_back()
        before = [kept.renew() for kept in self._kept.values()]
        del before
        self._memory.give_back()

    def _is_full(self) -> bool:
        return sum(partition.pending for partition in self._partitions.values()) >= _MOST_TICKETS

    async def commit(self, deadline_seconds: float = COMMIT_SECONDS, *, retaining: bool = False) -> None:
        """Cut and commit what was applied, after the commit that may be under way.

        ``retaining``: the partitions are given back; afterwards their states are kept in case they return at once.
        """
        deadline = Deadline(deadline_seconds)
        async with self._committing:
            ends = await (self._ends_to_retain() if retaining else self._ends_to_settle())
            drops, metadata = self._drops, self._consumer.group_metadata()
            committed = False
            last: list[Cut] = []
            cuts = self._cuts(prove=retaining and bool(ends))
            made = await anext(cuts, None)
            while made is not None:
                cut = made.done()
                published = sum(len(records) for topic, _, records in cut.records if topic in _PUBLISHED)
                inner = sum(len(records) for topic, _, records in cut.records if topic in INNER_TOPICS)
                # It is made while this one is committed: one waits for brokers, the other for the processor.
                following = asyncio.ensure_future(anext(cuts, None))
                try:
                    await self._committer.commit(cut, metadata, deadline.remaining_seconds)
                except BaseException as error:
                    following.cancel()
                    if isinstance(error, CommitExpelledError) and drops != self._drops:
                        return  # What was cut is dropped already, and is others' to do.
                    raise
                self.commits += 1
                self.published += published
                self._inner_told += inner
                if drops != self._drops:
                    following.cancel()
                    return
                committed = True
                made.committed()
                if retaining:
                    last.append(cut)
                made = await following
            self._committed_at = time.monotonic()
            if not (ends and committed):
                return
            if retaining:
                # Of a batch that an agent had in its hands, more may have been applied since the cut.
                whole = {number: kept for number, kept in self._kept.items() if not self._has_uncommitted(number)}
                self.retained.keep(whole, ends, last)
            else:
                self._settled_at = self._committed_at
                for kept in self._kept.values():
                    kept.settle(ends, self._clock_ms())

    async def _ends_to_settle(self) -> dict[TP, int]:
        """Where the changelogs end, when the disk is to know again how far it is: nothing of ours is under way now.

        The disk is told of them only after the commit that follows. By that the group has said that this worker was the
        owner all the time, so up to these ends nobody else has written what is not on the disk. Asked after the commit,
        they might hold records of the next owner, of whom this worker has not heard yet.
        """
        if not self.config.state_folder or time.monotonic() - self._settled_at < self.config.settle_seconds:
            return {}
        return await self._changelog_ends()

    async def _ends_to_retain(self) -> dict[TP, int]:
        """Where the changelogs end before the last commit; nothing where that is not known in time."""
        try:
            return await self._changelog_ends()
        except (KafkaException, UnansweredError) as error:
            _LOG.info("what is given back will be restored from the start: %s", error)
            return {}

    async def _changelog_ends(self) -> dict[TP, int]:
        wanted = [TP(topic, number) for number in self._kept for topic in CHANGELOGS]
        return await asyncio.to_thread(self._changelogs.ends, wanted, _SETTLE_SECONDS) if wanted else {}

    def _has_uncommitted(self, number: int) -> bool:
        kept = self._kept[number]
        return bool(kept.partition.pending or kept.customers.pending or self._offsets.has_uncut(number))

    async def _cuts(self, *, prove: bool = False) -> AsyncGenerator[Cutting, None]:
        """Cut one partition after the other: each is whole with its own offsets, and others may be fed in between.

        Usually they share a transaction. What is much, as when catching up, has several, so that not all of it has to
        be held at once. ``prove``: also partitions without a change have an offset in it.
        """
        made = self._new_cutting()
        for number, partition in list(self._partitions.items()):
            if made.is_large:
                yield made
                made = self._new_cutting()
            if self._partitions.get(number) is not partition:
                return  # Lost meanwhile, and with it all others.
            made.add(number, self._kept[number], self._offsets, may_leave=self._may_leave(partition), prove=prove)
            if not self._is_full():
                self._room.set()  # What is read while this is being committed finds the processor idle.
            await asyncio.sleep(0)
        self._room.set()
        if made.done():
            yield made

    def _new_cutting(self) -> Cutting:
        return Cutting(self._topic_partitions, self.config.transaction_records)

    def _may_leave(self, partition: Partition) -> bool:
        # What is unread may be of other tickets of the same customers. Where nothing is cut, nobody has to ask.
        return (
            partition.pending > 0
            and all(self._consumer.at_end(TP(topic, partition.number)) for topic in INNER_TOPICS)
            and not self.behind
        )

    # -- partitions come and go (``streams.commit.Checkpoint``)

    async def assigned(self, partitions: set[TP]) -> None:
        """Restore the state of the partitions from the changelog."""
        began = time.monotonic()
        self._get_busy()
        numbers = {tp.partition for tp in partitions}
        returned = await self.retained.unchanged(numbers, _RESTORE_SECONDS)
        await self._open_all(numbers - returned.keys())
        wanted = {tp: how for kept in self._kept.values() for tp, how in kept.wanted().items()}
        if wanted:
            ends = await self._changelogs.read_to_end(wanted, _RESTORE_SECONDS)
            for kept in self._kept.values():
                await asyncio.to_thread(kept.restored)
                kept.settle(ends, self._clock_ms())
        for kept in returned.values():
            kept.partition.recount()
        self._kept |= returned
        self.retained.release()
        restored = {number: kept.partition for number, kept in sorted(self._kept.items())}
        await self._remember_refused(partitions)
        self._partitions = restored
        self._assigned = True
        tickets = sum(len(partition) for number, partition in restored.items() if number not in returned)
        seconds = time.monotonic() - began
        _LOG.info(
            "assigned partitions %s; restored %d tickets in %.1f s; kept partitions %s",
            _listed(restored),
            tickets,
            seconds,
            _listed(returned),
        )
        if outdated := sum(partition.outdated for partition in restored.values()):
            _LOG.info("the settings or the code have changed: %d tickets are derived anew while work goes on", outdated)

    async def _open_all(self, numbers: set[int]) -> None:
        opening = asyncio.ensure_future(asyncio.to_thread(self._open, numbers))
        try:
            self._kept = await asyncio.shield(opening)
        except asyncio.CancelledError:
            # The thread goes on; what it opens would be found to be held the next time.
            for kept in (await opening).values():
                kept.close()
            raise

    def _open(self, numbers: set[int]) -> dict[int, KeptPartition]:
        folder, domain = self.config.state_folder, self.config.domain
        identities = {} if folder is None else self._changelogs.topic_ids(CHANGELOGS)
        self._topic_partitions = self._changelogs.partitions(CUSTOMERS)
        found = {}
        for number in sorted(numbers):
            watermark = Watermark(INPUT_TOPICS, self.config.grace_ms, self.config.event_clock)
            teller = Teller(domain, number, self._patches)
            disk = None if folder is None else self._open_disk(folder, number, identities, self._clock_ms())
            found[number] = KeptPartition(number, domain, watermark, disk, teller)
        return found

    async def _remember_refused(self, partitions: set[TP]) -> None:
        self._dead_letters = DeadLetterLimit(self.config.dead_letter_limit, self.config.dead_letter_window)
        if self._refused_before is not None:
            starts = {(tp.topic, tp.partition): self._consumer.start_offset(tp) for tp in partitions}
            inputs = {place: offset for place, offset in starts.items() if place[0] in INPUT_TOPICS}
            found = await asyncio.to_thread(self._refused_before, inputs, self.config.dead_letter_window)
            for topic, (records, refused) in found.items():
                self._dead_letters.start(topic, records, refused)

    async def revoked(self, partitions: set[TP], deadline_seconds: float) -> None:
        """Commit what was applied, and let go."""
        # From the disk they come back quickly anyway, and who ends gets nothing back.
        await self.commit(deadline_seconds, retaining=not self.config.state_folder and not self._app.should_stop)
        _LOG.info("gave back partitions %s", _listed(self._partitions))
        self._drop()

    async def lost(self, partitions: set[TP]) -> None:
        """Let go."""
        if self._partitions:
            _LOG.warning("lost partitions %s: the group thought that this worker was gone", _listed(self._partitions))
        self._drop()

    def _drop(self) -> None:
        self._gone += [partition.counters for partition in self._partitions.values()]
        for kept in self._kept.values():
            kept.close()
        self._kept = {}
        self._partitions = {}
        self._offsets.clear()
        self._assigned = False
        self._drops += 1
        self._room.set()

    # -- what others look at

    def live(self) -> LiveFigures:
        """The figures of the partitions that are owned."""
        partitions = list(self._partitions.values())
        now = self._newest() if self.config.event_clock else self._clock_ms()
        return picture(partitions, self.config.domain.dimensions, now, self.config.dimension_limit)

    def not_ready(self) -> Sequence[str]:
        """Why this worker is not ready; nothing when it is."""
        return [] if self._assigned else ["no partitions are assigned and restored yet"]

    @property
    def behind(self) -> bool:
        """Whether the worker is catching up."""
        return self.input_lag() > _BEHIND_RECORDS

    @property
    def _inner_lag(self) -> int:
        return max(0, self._inner_told - self._inner_read)

    def input_lag(self) -> int:
        """Records of the inputs that are not applied yet."""
        consumer = self._consumer
        lag = 0
        for number in self._partitions:
            for topic in READ_TOPICS:
                tp = TP(topic, number)
                if not consumer.at_end(tp):
                    lag += max(1, consumer.highwater(tp) - self._offsets.next_of(tp))
        return lag

    def health(self) -> Health:
        """Counters since the worker began, and lags now."""
        owned = list(self._partitions.values())
        counters = [*self._gone, *(partition.counters for partition in owned)]
        events: Counter[str] = Counter(dict.fromkeys(INPUT_TOPICS, 0))
        letters: Counter[str] = Counter()
        breaches: Counter[SlaLabels] = Counter()
        for one in counters:
            events.update(one.events)
            letters.update(one.dead_letters)
            breaches.update(one.sla_events)
        now = self._newest() if self.config.event_clock else self._clock_ms()
        waiting = self._committing.locked() or any(
            partition.outdated or self._has_uncommitted(partition.number) for partition in owned
        )
        return Health(
            events=dict(events),
            duplicates=sum(one.duplicates for one in counters),
            dead_letters=dict(letters),
            dead_letter_shares=self._dead_letters.shares(),
            late=sum(one.late for one in counters),
            skipped_types=sum(one.skipped_types for one in counters),
            tracked_tickets=sum(len(partition) for partition in owned),
            partitions=tuple(sorted(self._partitions)),
            watermark_lag_seconds={p.number: (now - p.watermark.value) / 1000 for p in owned if p.watermark.value},
            commit_age_seconds=time.monotonic() - self._committed_at if waiting else 0.0,
            commits=self.commits,
            input_lag=self.input_lag(),
            published=self.published,
            inner_lag=self._inner_lag,
            sla_events=dict(breaches),
        )


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers))) or "none"
