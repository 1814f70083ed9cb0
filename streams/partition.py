"""The state of one partition: the tickets whose events meet in it, and the figures that they give.

Everything here is synchronous and pure but for the time, which is told. Events are added to their tickets' histories
as they come (:meth:`Partition.apply`); :meth:`Partition.cut` then derives, once for every touched ticket, its facts and
what they change in the cells, and gives the records to publish.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import msgspec
import numpy as np
from xxhash import xxh3_64_intdigest

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import INPUT_TOPICS, decode_at
from schemas.outputs import CELLS, CUSTOMERS, FACTS, HISTORIES, SLA_EVENTS, CustomerContact, CustomerTicket
from streams import history, ticket
from streams.attributes import AttributeGraph, Dimensions
from streams.backlog import Backlog
from streams.cells import RESOLUTIONS, Panes, backlog_changes, expand
from streams.config import DomainConfig
from streams.contributions import change, contributions, pack
from streams.customers import of_facts
from streams.facts import Facts, facts
from streams.history import Contact, HistoryFullError
from streams.late import would_change
from streams.live import SlaLabels
from streams.published import CellRecords, Output, encode, ticket_facts
from streams.raised import events as sla_events
from streams.raised import pack as pack_raised
from streams.raised import raised
from streams.shelf import Shelf
from streams.sla import BREACHED, RETRACTED
from streams.ticket import Ticket, Told
from streams.timers import Timers
from streams.watermark import Watermark

_MINUTE_MS: Final = 60_000
MINUTES_KEPT: Final = 1_440
"""Panes of a minute are kept for a day."""
CLOCK_KEY: Final = b""
"""Key of the changelog record that holds the partition's watermark (8 bytes); no ticket's id is empty."""
_decode_contact: Final = msgspec.json.Decoder(CustomerContact).decode
_LEFT: Final = b"\x00"
"""First byte of the changelog record of a ticket that has left; what follows is when, in milliseconds (8 bytes)."""


class Message(Protocol):
    """A Kafka record as it is read."""

    def value(self) -> bytes | None: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def offset(self) -> int | None: ...  # noqa: D102


class Refused(NamedTuple):
    """A record that counts nowhere: whole, with why."""

    topic: str
    record: Message
    code: str
    """``bad_record``, ``key_mismatch``, ``history_full``, ``future`` or ``late``."""
    reason: str
    would_change: bytes = b""
    """Of a late one (``schemas.outputs.WouldChange``)."""


@dataclass
class Published:
    """What one cut publishes, by topic, for one partition."""

    records: dict[str, list[Output]] = field(default_factory=dict)
    refused: list[Refused] = field(default_factory=list)


@dataclass
class _Making:
    """What a cut gathers while it goes from ticket to ticket."""

    histories: list[Output] = field(default_factory=list)
    facts: list[Output] = field(default_factory=list)
    sla_events: list[Output] = field(default_factory=list)
    customers: list[Output] = field(default_factory=list)
    added: list[bytes] = field(default_factory=list)
    withdrawn: list[bytes] = field(default_factory=list)


@dataclass
class Counters:
    """What a partition has read since it was assigned."""

    events: dict[str, int] = field(default_factory=lambda: dict.fromkeys(INPUT_TOPICS, 0))
    duplicates: int = 0
    skipped_types: int = 0
    late: int = 0
    dead_letters: dict[str, int] = field(default_factory=dict)
    sla_events: dict[SlaLabels, int] = field(default_factory=dict)


class Partition:
    """The tickets of one partition number over the three inputs."""

    def __init__(
        self,
        number: int,
        config: DomainConfig,
        dimensions: Dimensions,
        graph: AttributeGraph,
        watermark: Watermark,
    ) -> None:
        self.number = number
        self.config = config
        self.watermark = watermark
        self.counters = Counters()
        self._cell_records = CellRecords(dimensions)
        self._graph = graph
        self._business = config.policies.business
        hours = None if config.horizon_ms is None else -(-config.horizon_ms // (60 * _MINUTE_MS)) + 1
        self.panes = {"minute": Panes(RESOLUTIONS["minute"], MINUTES_KEPT), "hour": Panes(RESOLUTIONS["hour"], hours)}
        self.backlog = Backlog()
        self._resting = Shelf()
        self._touched: dict[bytes, Ticket] = {}
        self._left: dict[bytes, int] = {}
        self._timers = Timers(self._due_of)
        self._refused: list[Refused] = []

    def __len__(self) -> int:
        """How many tickets are tracked."""
        return len(self._resting)

    def apply(self, topic: str, records: Sequence[Message], latest_ms: int | None = None) -> None:
        """Add the events of some records of one input, in any order, to their tickets.

        ``latest_ms``: an event later than that can't be true, its producer's clock is wrong.
        """
        touched = self._touched
        resting = self._resting
        pseudonyms = self.config.pseudonyms
        known = 0
        newest = 0
        for record in records:
            try:
                event, at = decode_at(record.value())
            except BadRecordError as error:
                self._refuse(topic, record, "bad_record", str(error))
                continue
            except UnknownTypeError:
                self.counters.skipped_types += 1
                continue
            key = record.key()
            if key != event.ticket_id.encode():
                self._refuse(topic, record, "key_mismatch", "the key is not the record's `ticket_id`")
                continue
            if latest_ms is not None and at > latest_ms:
                self._refuse(topic, record, "future", f"`at` is {(at - latest_ms) // 1000} s too far ahead")
                continue
            held = touched.get(key)
            if held is None:
                rest = resting.get(key)
                if rest is not None:
                    held = ticket.wake(rest)
                elif key in self._left:
                    told = would_change(event, at, self._left[key], self.watermark.value, self.config)
                    self._refuse(topic, record, "late", "the ticket has left the horizon", encode(told))
                    continue
                else:
                    held = ticket.new()
            if pseudonyms is not None:
                event = pseudonyms.hide(event)
            try:
                added = held.history.add(event, at)
            except HistoryFullError as error:
                self._refuse(topic, record, "history_full", str(error))
                continue
            if at > newest:
                newest = at
            if added != history.ADDED:
                known += 1
            if added != history.KNOWN:
                held.changed = True
                touched[key] = held
        self.counters.events[topic] += len(records)
        self.counters.duplicates += known
        if newest:
            self.watermark.saw(topic, newest)

    def hear(self, records: Sequence[Message]) -> None:
        """Take in what customers' other tickets say (``CONTACTS``) of tickets."""
        for record in records:
            key, value = record.key(), record.value()
            if key is None or value is None:
                continue
            held = self._touched.get(key)
            if held is None:
                rest = self._resting.get(key)
                if rest is None:
                    continue  # It has left.
                held = ticket.wake(rest)
            said = _decode_contact(value)
            contact = Contact(said.customer_id, said.repeat_at_ms, said.recovered_at_ms)
            number = held.told.customer
            # From a customer whose the ticket is no more it comes too late.
            if number and held.history.names[number - 1] == contact.customer and held.history.hear(contact):
                held.changed = True
                self._touched[key] = held

    def _refuse(self, topic: str, record: Message, code: str, reason: str, would_change: bytes = b"") -> None:
        self._refused.append(Refused(topic, record, code, reason, would_change))
        if code == "late":
            self.counters.late += 1
        else:
            letters = self.counters.dead_letters
            letters[code] = letters.get(code, 0) + 1

    def advance(self, at_end: Iterable[str], wall: int, newest_anywhere: int = 0) -> bool:
        """Let time go on (see ``Watermark.advance``): old panes go, and what is due will be in the next cut.

        Returns whether anything is due.
        """
        now = self.watermark.advance(at_end, wall, newest_anywhere)
        if not now:
            return False
        due = False
        for panes in self.panes.values():
            panes.advance(now // _MINUTE_MS)
        for key in self._timers.due(now):
            held = self._touched.get(key)
            if held is None:
                held = self._touched[key] = ticket.wake(self._resting.get(key) or b"")
            held.due = 0
            due = True
        return due

    @property
    def pending(self) -> int:
        """How many tickets and refused records a cut would deal with."""
        return len(self._touched) + len(self._refused)

    def cut(self, may_leave: bool = True) -> Published:
        """Derive what the touched tickets change, and take out everything that is to be published.

        ``may_leave``: tickets beyond the horizon may go. While the worker or the customer step is behind, what the
        customers' other tickets say of them is still to come.
        """
        now = self.watermark.value
        making = _Making()
        for key, held in self._touched.items():
            self._cut_ticket(key, held, now, may_leave, making)
        self._touched = {}
        self._count(b"".join(making.added), b"".join(making.withdrawn))
        self._forget_left(now, making.histories)
        published = Published(refused=self._refused)
        self._refused = []
        cells = self._cells(now)
        if making.facts:
            making.histories.append({"key": CLOCK_KEY, "value": now.to_bytes(8, "big")})
        for topic, records in (
            (HISTORIES, making.histories),
            (FACTS, making.facts),
            (CELLS, cells),
            (SLA_EVENTS, making.sla_events),
            (CUSTOMERS, making.customers),
        ):
            if records:
                published.records[topic] = records
        return published

    def _cut_ticket(self, key: bytes, held: Ticket, now: int, may_leave: bool, making: _Making) -> None:
        kept = held.history
        kept.put_in_order()
        names = kept.names
        found = facts(kept.records, names, now, self._graph, self.config, kept.contact)
        before = held.told
        told = self._told(key, found, names)
        leaves = may_leave and not held.changed and self._leaves(found, now)
        if told.contributions != before.contributions:
            gone, come = change(before.contributions, told.contributions)
            making.withdrawn.append(gone)
            making.added.append(come)
        if told.raised != before.raised:
            self._raise(key, before.raised, told.raised, found, making)
        if told.summary != before.summary or told.customer != before.customer:
            self._tell_customer(key, found, names, before, told, making)
        if leaves:
            self._leave(key, told.customer, names, now, making)
            if told.contributions == before.contributions and told.raised == before.raised:
                return
        else:
            self._keep(key, held, told, self._due(found, now + 1, now + (1 if may_leave else _MINUTE_MS)), making)
        record = ticket_facts(key.decode(), found, names, len(kept), self._graph)
        making.facts.append({"key": key, "value": encode(record)})

    def _keep(self, key: bytes, held: Ticket, told: Told, due: int, making: _Making) -> None:
        encoded = held.history.encode()
        self._resting.put(key, ticket.rest(due, told, encoded))
        if due and due != held.due:
            self._timers.set(due, key)
        if held.changed:
            making.histories.append({"key": key, "value": encoded})

    def _told(self, key: bytes, found: Facts, names: list[str]) -> Told:
        """What a ticket tells others with these facts."""
        summary = of_facts("", found)
        if summary is None:
            return Told(pack(contributions(found, self._business)))
        return Told(
            pack(contributions(found, self._business)),
            pack_raised(raised(found, self.config.policies)) if found.sla else b"",
            names.index(found.customer) + 1,
            xxh3_64_intdigest(encode(summary)),
        )

    def _raise(self, key: bytes, before: bytes, after: bytes, found: Facts, making: _Making) -> None:
        for event in sla_events(key.decode(), before, after, found, self.config.policies):
            making.sla_events.append({"key": key, "value": encode(event)})
            labels = SlaLabels(
                RETRACTED if event.withdraws == BREACHED else event.kind,
                event.target,
                event.policy,
                event.channel,
                event.priority,
            )
            if not event.withdraws or event.withdraws == BREACHED:
                counted = self.counters.sla_events
                counted[labels] = counted.get(labels, 0) + 1

    def _tell_customer(
        self, key: bytes, found: Facts, names: list[str], before: Told, told: Told, making: _Making
    ) -> None:
        ticket_id = key.decode()
        moved = bool(before.customer) and before.customer != told.customer
        if moved:
            gone = CustomerTicket(ticket_id=ticket_id, partition=self.number, gone=True)
            making.customers.append({"key": names[before.customer - 1].encode(), "value": encode(gone)})
        summary = of_facts(ticket_id, found)
        if summary is not None:
            summary.partition, summary.moved = self.number, moved
            making.customers.append({"key": found.customer.encode(), "value": encode(summary)})

    def _cells(self, now: int) -> list[Output]:
        cells: list[Output] = []
        for resolution, panes in self.panes.items():
            for minute, number, measures in panes.take_dirty():
                cells.append(self._cell_records.record(resolution, minute * _MINUTE_MS, now, number, measures))
        return cells

    def _count(self, added: bytes, withdrawn: bytes) -> None:
        """Add packed contributions to the cells and the backlog, and take others back."""
        if not added and not withdrawn:
            return
        parts = expand(added, 1), expand(withdrawn, -1)
        minutes, low_keys, amounts = (np.concatenate(pair) for pair in zip(*parts, strict=True))
        for panes in self.panes.values():
            panes.add(minutes, low_keys, amounts)
        for packed, sign in ((added, 1), (withdrawn, -1)):
            for number, what, value in backlog_changes(packed):
                self.backlog.add(number, what, value, sign)

    def _leave_at(self, found: Facts) -> int:
        horizon = self.config.horizon_ms
        return 0 if horizon is None or found.open else found.last_at + horizon

    def _leaves(self, found: Facts, now: int) -> bool:
        leave_at = self._leave_at(found)
        return 0 < leave_at <= now

    def _due(self, found: Facts, soonest: int, leaves_soonest: int) -> int:
        """When time alone changes the ticket, or it leaves the horizon; 0 for never."""
        leave_at = self._leave_at(found)
        times = [time for time in (found.changes_at, leave_at and max(leave_at, leaves_soonest)) if time]
        return max(soonest, min(times)) if times else 0

    def _due_of(self, key: bytes) -> int | None:
        rest = self._resting.get(key)
        return None if rest is None else ticket.due_of(rest)

    def _leave(self, key: bytes, customer: int, names: list[str], now: int, making: _Making) -> None:
        """Forget a ticket; a mark stays for another horizon, by which its late events are known.

        What it contributed lies in panes that are older than every window, and goes with them.
        """
        self._resting.pop(key)
        self._left[key] = now
        making.histories.append({"key": key, "value": _LEFT + now.to_bytes(8, "big")})
        if customer:
            left = CustomerTicket(ticket_id=key.decode(), partition=self.number, left=True)
            making.customers.append({"key": names[customer - 1].encode(), "value": encode(left)})

    def _forget_left(self, now: int, histories: list[Output]) -> None:
        horizon = self.config.horizon_ms
        if horizon is None:
            return
        # Tickets leave in the order of time, so the first ones are the oldest.
        while self._left:
            key = next(iter(self._left))
            if self._left[key] + horizon > now:
                return
            del self._left[key]
            histories.append({"key": key, "value": None})

    def restore(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take in some records of the changelog, in their order."""
        for key, value in records:
            if key == CLOCK_KEY and value is not None:
                self.watermark.value = int.from_bytes(value, "big")
            elif value is None:
                self._resting.pop(key)
                self._left.pop(key, None)
            elif value[:1] == _LEFT:
                self._resting.pop(key)
                self._left[key] = int.from_bytes(value[1:], "big")
            else:
                self._resting.put(key, ticket.rest(0, Told(), value))

    def restored(self) -> None:
        """Derive the cells, the backlog and the timers from the restored histories; nothing is published."""
        now = self.watermark.value
        told: list[bytes] = []
        for key in list(self._resting):
            held = ticket.wake(self._resting.get(key) or b"")
            kept = held.history
            found = facts(kept.records, kept.names, now, self._graph, self.config, kept.contact)
            after = self._told(key, found, kept.names)
            told.append(after.contributions)
            due = self._due(found, now + 1, now + 1)
            self._resting.put(key, ticket.rest(due, after, kept.encode()))
            if due:
                self._timers.set(due, key)
        self._count(b"".join(told), b"")
        for panes in self.panes.values():
            panes.forget_dirty()
