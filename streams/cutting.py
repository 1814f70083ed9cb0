"""From the partitions' cuts to a transaction's."""

from __future__ import annotations

from typing import Any, cast

from faust.types import TP

from schemas.events import TICKETS
from schemas.outputs import (
    CONTACTS,
    CUSTOMER_TICKETS,
    CUSTOMERS,
    DEAD_LETTERS,
    HISTORIES,
    LATE,
    WOULD_CHANGE_HEADER,
)
from streams.commit import Annotated, Cut
from streams.dead_letters import why_and_where
from streams.kept import KeptPartition
from streams.letters import letters
from streams.offsets import Offsets
from streams.partition import Refused
from streams.published import Output


class Cutting:
    """One transaction: cuts of partitions, each whole and with its own offsets."""

    def __init__(self, partitions: int, most_records: int) -> None:
        """``partitions``: so many each topic has. ``most_records``: so many end it between two partitions."""
        self._partitions = partitions
        self._most_records = most_records
        self._kept: list[KeptPartition] = []
        self._records: list[tuple[str, int, list[Output]]] = []
        self._annotated: list[Annotated] = []
        self._offsets: dict[tuple[str, int], int] = {}

    @property
    def is_large(self) -> bool:
        """Whether another partition should have another transaction, so that not everything has to be held at once."""
        return sum(len(made) for _, _, made in self._records) >= self._most_records

    def add(self, number: int, kept: KeptPartition, offsets: Offsets, *, may_leave: bool, prove: bool) -> None:
        """Cut a partition. ``may_leave``: see ``Partition.cut``; ``prove``: without a change it has an offset, too."""
        partition, customers = kept.partition, kept.customers
        histories: list[Output] = []
        customer_tickets: list[Output] = []
        changed = partition.pending or customers.pending
        if partition.pending:
            published = partition.cut(may_leave, _breathe)
            told = published.records.pop(CUSTOMERS, [])
            self._records += [(CUSTOMERS, of, made) for of, made in letters(told, self._partitions).items()]
            self._records += [(topic, number, outputs) for topic, outputs in published.records.items()]
            self._annotated += [annotated(number, refused) for refused in published.refused]
            histories = published.records.get(HISTORIES, [])
        if customers.pending:
            contacts, customer_tickets = customers.cut()
            self._records += [(CONTACTS, of, outputs) for of, outputs in contacts.items()]
            self._records.append((CUSTOMER_TICKETS, number, customer_tickets))
        kept.cut(histories, customer_tickets)
        self._kept.append(kept)
        self._offsets |= offsets.cut(number)
        if changed or prove:
            # Also where only time has passed: by an offset the group refuses a worker that has lost the partition.
            self._offsets.setdefault((TICKETS, number), offsets.next_of(TP(TICKETS, number)))

    def done(self) -> Cut:
        """What is to be committed."""
        return Cut(self._offsets, self._records, self._annotated)

    def committed(self) -> None:
        """It is committed."""
        for kept in self._kept:
            kept.committed()


def _breathe() -> None:
    """Nothing; but where a function begins, the interpreter lets another thread go on that has waited for long."""


def annotated(number: int, refused: Refused) -> Annotated:
    """A refused record of a partition number: whole, with why and where it was."""
    record = cast(Any, refused.record)
    told = why_and_where(refused.topic, number, record, refused.code, refused.reason)
    if refused.would_change:
        told.append((WOULD_CHANGE_HEADER, refused.would_change))
    topic = LATE if refused.code == "late" else DEAD_LETTERS
    return Annotated(topic, number, record.key(), record.value(), [*told, *(record.headers() or ())])
