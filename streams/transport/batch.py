"""A batch of records: the message of this transport, and how Faust is kept from decoding it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import compress, count
from operator import ne, or_
from typing import Any, cast, overload

import faust
from confluent_kafka import Message
from faust.types import TP


class Batch(Sequence[Message]):
    """Records of one partition in the order of their offsets: the value that an agent receives. Never empty."""

    __slots__ = ("end", "records", "start", "tp")

    def __init__(self, tp: TP, start: int, end: int, records: list[Message]) -> None:
        """``records`` are the batch's from now on: a copy of them would take a hundredth of a backlog's time."""
        self.tp = tp
        self.start = start
        """Where the batch before it ended (its ``end``), or where reading began: equal to the offset applied so far."""
        self.end = end
        """The next offset to read after this batch; the offset to commit once it is applied."""
        self.records = records

    def __len__(self) -> int:
        """How many records."""
        return len(self.records)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        """One record, or some."""
        return self.records[index]

    def __iter__(self) -> Iterator[Message]:
        """All records."""
        return iter(self.records)

    def __repr__(self) -> str:
        return f"<Batch {self.tp.topic}[{self.tp.partition}] {self.start}-{self.end}: {len(self)} records>"


def partition_of(message: Message) -> TP:
    """Where a message comes from."""
    return TP(cast(str, message.topic()), cast(int, message.partition()))


def by_partition(messages: list[Message]) -> dict[TP, list[Message]]:
    """Records by partition, in their order."""
    if not messages:
        return {}
    topics, numbers = list(map(Message.topic, messages)), list(map(Message.partition, messages))
    # They come in runs of one partition, whose ends are found in less time than it takes to look each up.
    moves = map(or_, map(ne, numbers, numbers[1:]), map(ne, topics, topics[1:]))
    ends = [*compress(count(1), moves), len(messages)]
    found: dict[TP, list[Message]] = {}
    begin = 0
    for end in ends:
        tp = partition_of(messages[begin])
        run = messages[begin:end] if len(ends) > 1 else messages
        if tp in found:
            found[tp] += run
        else:
            found[tp] = run
        begin = end
    return found


class BatchSchema(faust.Schema[None, Batch]):
    """Hands a batch to the agent as it is; it has no key."""

    def loads_key(
        self, app: Any, message: Any, *, loads: Callable[..., Any] | None = None, serializer: Any = None
    ) -> Any:
        """None: every record of the batch has a key of its own."""
        return None

    def loads_value(
        self, app: Any, message: Any, *, loads: Callable[..., Any] | None = None, serializer: Any = None
    ) -> Any:
        """The batch."""
        return message.value
