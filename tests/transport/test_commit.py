"""A cut is seen as a whole or not at all."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator

import confluent_kafka
import pytest
from confluent_kafka import Message, TopicPartition

from streams.commit import Annotated, CommitError, Cut, TransactionalCommitter
from streams.topics import TopicSpec, ensure_topics

SMALL = {"max.message.bytes": "2000"}


class Stage:
    """An input, an output that takes small records only, and a member of a group."""

    def __init__(self, broker: str, name: str) -> None:
        self.client = {"bootstrap.servers": broker}
        self.name = name
        self.input, self.output = f"{name}-in", f"{name}-out"
        ensure_topics(self.client, [TopicSpec(self.input, 2), TopicSpec(self.output, 2, config=SMALL)])
        self.member = self.join()

    def join(self) -> confluent_kafka.Consumer:
        member = confluent_kafka.Consumer(
            {**self.client, "group.id": self.name, "isolation.level": "read_committed", "heartbeat.interval.ms": 500}
        )
        member.subscribe([self.input])
        while not member.assignment():
            member.poll(0.05)
        return member

    @property
    def membership(self) -> object:
        return self.member.consumer_group_metadata()

    def committed(self) -> list[int]:
        """The group's offsets; -1001 without one."""
        asked = [TopicPartition(self.input, number) for number in range(2)]
        return [found.offset for found in self.member.committed(asked, 5)]

    def seen(self) -> list[Message]:
        """What a reader of the output sees."""
        reader = confluent_kafka.Consumer(
            {**self.client, "group.id": "x", "isolation.level": "read_committed", "enable.partition.eof": True}
        )
        reader.assign([TopicPartition(self.output, number, 0) for number in range(2)])
        found: list[Message] = []
        ends = 0
        while ends < 2:
            for message in reader.consume(10_000, 0.1):
                if message.error() is None:
                    found.append(message)
                else:
                    ends += 1
        reader.close()
        return found

    def run(self, *steps: Callable[[TransactionalCommitter], Awaitable[None]], **settings: int) -> None:
        """A committer takes these steps."""

        async def run() -> None:
            committer = TransactionalCommitter({**self.client, **settings}, f"{self.name}-worker")
            await committer.start()
            try:
                for step in steps:
                    await step(committer)
            finally:
                await committer.close()

        asyncio.run(run())


@pytest.fixture
def stage(broker: str, unique: str) -> Iterator[Stage]:
    stage = Stage(broker, unique)
    yield stage
    stage.member.close()


def test_records_headers_and_offsets_of_a_cut_are_seen_together(stage: Stage) -> None:
    cut = Cut(
        {(stage.input, 0): 7, (stage.input, 1): 9},
        [(stage.output, 0, [(b"a", b"1"), (b"b", None)])],
        [Annotated(stage.output, 1, b"c", b"late", [("reason", b"horizon")])],
    )
    stage.run(lambda committer: committer.commit(cut, stage.membership))
    told = [(record.partition(), record.key(), record.value(), record.headers()) for record in stage.seen()]
    assert sorted(told) == [
        (0, b"a", b"1", None),
        (0, b"b", None, None),
        (1, b"c", b"late", [("reason", b"horizon")]),
    ]
    assert stage.committed() == [7, 9]


def test_an_empty_cut_is_no_transaction(stage: Stage) -> None:
    stage.run(lambda committer: committer.commit(Cut({}), stage.membership))
    assert stage.seen() == []


def test_a_members_cut_without_an_offset_is_not_taken(stage: Stage) -> None:
    async def is_refused(committer: TransactionalCommitter) -> None:
        cut = Cut({}, [(stage.output, 0, [(b"a", b"1")])])
        with pytest.raises(ValueError, match="needs the offset of an input"):
            await committer.commit(cut, stage.membership)

    stage.run(is_refused)
    assert stage.seen() == []


def test_a_cut_may_hold_more_records_than_the_producers_queue(stage: Stage) -> None:
    records = [(b"%d" % number, b"x") for number in range(5_000)]
    notes = [Annotated(stage.output, 1, b"n%d" % number, b"x", []) for number in range(500)]
    cut = Cut({(stage.input, 0): 1}, [(stage.output, 0, records)], notes)
    stage.run(
        lambda committer: committer.commit(cut, stage.membership),
        **{"queue.buffering.max.messages": 200},
    )
    seen = stage.seen()
    assert [record.key() for record in seen if record.partition() == 0] == [b"%d" % n for n in range(5_000)]
    assert [record.key() for record in seen if record.partition() == 1] == [b"n%d" % n for n in range(500)]


@pytest.mark.parametrize("size", [50_000, 5_000_000], ids=["refused by the broker", "refused by the client"])
def test_a_record_that_is_too_large_fails_its_cut_and_all_that_follow(stage: Stage, size: int) -> None:
    async def fails(committer: TransactionalCommitter) -> None:
        records = [(b"small", b"x"), (b"large", os.urandom(size))]
        with pytest.raises(CommitError, match=rf"{stage.output}\[1\] with key b'(small|large)'.*too large"):
            await committer.commit(Cut({(stage.input, 0): 5}, [(stage.output, 1, records)]), stage.membership)

    async def is_refused(committer: TransactionalCommitter) -> None:
        with pytest.raises(CommitError, match="nothing is committed any more"):
            await committer.commit(Cut({(stage.input, 0): 6}), stage.membership)

    stage.run(fails, is_refused)
    assert stage.seen() == []
    assert stage.committed()[0] < 0


def test_a_worker_of_the_same_name_fences_the_one_before(stage: Stage) -> None:
    async def take_over(committer: TransactionalCommitter) -> None:
        successor = TransactionalCommitter(stage.client, f"{stage.name}-worker")
        await successor.start()
        with pytest.raises(CommitError):
            await committer.commit(Cut({(stage.input, 0): 5}), stage.membership)
        await successor.commit(Cut({(stage.input, 0): 6}), stage.membership)
        await successor.close()

    stage.run(take_over)
    assert stage.committed()[0] == 6


def test_a_member_that_has_left_its_group_commits_nothing(stage: Stage) -> None:
    membership = stage.membership
    stage.member.close()
    stage.member = stage.join()

    async def is_refused(committer: TransactionalCommitter) -> None:
        cut = Cut({(stage.input, 0): 5}, [(stage.output, 0, [(b"a", b"1")])])
        with pytest.raises(CommitError):
            await committer.commit(cut, membership)

    stage.run(is_refused)
    assert stage.seen() == []
    assert stage.committed()[0] < 0


def test_the_event_loop_goes_on_while_a_cut_is_committed(stage: Stage) -> None:
    turns = 0

    async def count(committer: TransactionalCommitter) -> None:
        nonlocal turns
        records = [(b"%d" % number, b"x" * 500) for number in range(20_000)]
        commit = asyncio.create_task(committer.commit(Cut({}, [(stage.input, 0, records)]), None))
        while not commit.done():
            turns += 1
            await asyncio.sleep(0)
        await commit

    stage.run(count)
    assert turns > 100
