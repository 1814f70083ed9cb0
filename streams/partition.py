"""The state of one partition: the tickets whose events meet in it, and the figures that they give.

Everything here is synchronous and pure but for the time, which is told. Events are added to their tickets' histories
as they come (:meth:`Partition.apply`); :meth:`Partition.cut` then derives, once for every touched ticket, its facts and
what they change in the cells, and gives the records to publish.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

import msgspec
from mypy_extensions import i64

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import INPUT_TOPICS, AnyEvent, decode_at
from schemas.outputs import CELLS, CUSTOMERS, FACTS, HISTORIES, SLA_EVENTS, CustomerContact
from streams import changelog, compiled, history, ticket
from streams.backlog import Backlog
from streams.cells import RESOLUTIONS, Panes, dimensions_of
from streams.config import DomainConfig
from streams.contributions import PACKED_DTYPE
from streams.facts import Facts
from streams.history import Contact, HistoryFullError, Incoming, incoming
from streams.late import would_change
from streams.live import SlaLabels
from streams.published import CellRecords, Output, encode
from streams.scanning import Scanner
from streams.shelf import Shelf, Store
from streams.telling import Making, Teller
from streams.ticket import Ticket, Told
from streams.timers import Timers
from streams.waiting import Waiting
from streams.watermark import Watermark

_MINUTE_MS: Final = 60_000
_NEVER: Final = 2**62
MINUTES_KEPT: Final = 1_440
"""Panes of a minute are kept for a day."""
_decode_contact: Final = msgspec.json.Decoder(CustomerContact).decode
_REFUSED_BYTES: Final = 256
"""So much of a refused record, which is kept whole until the cut, counts as much as a ticket."""
_OUTDATED_AT_ONCE: Final = 2_000
"""So many tickets are derived anew with a cut, beside those that were touched."""
_TICKETS_A_BREATH: Final = 200
"""Between two calls of ``breathe``: about 5 ms."""
_COUNTED_AT_ONCE: Final = 14_000 * PACKED_DTYPE.itemsize
"""Bytes of contributions that are counted together: what numpy makes of more fits into no cache, and in as large blocks
that the kernel has to make them anew each time."""


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
        watermark: Watermark,
        teller: Teller | None = None,
        resting: Store | None = None,
    ) -> None:
        """``teller``: by default one of its own. ``resting``: where tickets are kept; by default in memory."""
        self.number = number
        self.config = config
        self.watermark = watermark
        self.teller = Teller(config, number) if teller is None else teller
        self.counters = Counters(sla_events=self.teller.sla_events)
        self._cell_records = CellRecords(self.teller.dimensions)
        self._prefix = changelog.prefix(config.fingerprint)
        hours = None if config.horizon_ms is None else -(-config.horizon_ms // (60 * _MINUTE_MS)) + 1
        self.panes = {"minute": Panes(RESOLUTIONS["minute"], MINUTES_KEPT), "hour": Panes(RESOLUTIONS["hour"], hours)}
        self.backlog = Backlog()
        self._resting: Store = Shelf() if resting is None else resting
        # What people are called instead is worked out of whole events.
        self._scanner = Scanner() if compiled.runs() and config.pseudonyms is None else None
        self._touched: dict[bytes, Ticket] = {}
        self._waiting = Waiting()
        """New tickets; they are touched, too."""
        self._outdated: dict[bytes, bool] = {}
        """Tickets that are to be derived anew, and whether it is known what they have told."""
        self._left: dict[bytes, int] = {}
        self._timers = Timers(self._due_of)
        self._refused: list[Refused] = []
        self._refused_weight = 0

    def recount(self) -> None:
        """Begin to count what is read anew, as after a restore."""
        self.teller.sla_events = {}
        self.counters = Counters(sla_events=self.teller.sla_events)

    def __len__(self) -> int:
        """How many tickets are tracked."""
        return len(self._resting)

    def apply(self, topic: str, records: Sequence[Message], latest_ms: int | None = None) -> None:
        """Add the events of some records of one input, in any order, to their tickets.

        ``latest_ms``: an event later than that can't be true, its producer's clock is wrong.
        """
        if not records:
            return
        waiting = self._waiting
        scanner = self._scanner
        newest: i64 = 0
        latest: i64 = _NEVER if latest_ms is None else latest_ms
        # Asked of one after the other they take twice the time.
        values: list[bytes | None] = list(map(type(records[0]).value, records))
        keys: list[bytes | None] = list(map(type(records[0]).key, records))
        for place, value in enumerate(values):
            key = keys[place]
            if scanner is not None and value is not None and key is not None and scanner.read(value, key):
                event = scanner.event
            else:
                decoded = self._decoded(topic, records[place])
                if decoded is None or key is None:
                    continue
                event = incoming(*decoded)
            at = event.at
            if at > latest:
                reason = f"`at` is {(at - latest) // 1000} s too far ahead"
                self._refuse(topic, records[place], "future", reason)
                continue
            if (waiting.add(key, event) or self._take(topic, records[place], key, event)) and at > newest:
                newest = at
        self.counters.events[topic] += len(records)
        if newest:
            self.watermark.saw(topic, newest)

    def _take(self, topic: str, record: Message, key: bytes, event: Incoming) -> bool:
        """Add an event to its ticket, which does not wait with room for it; False where it is refused."""
        held = self._touched.get(key)
        if held is None:
            held = self._taken_out(key)
        is_touched = held is not None
        if held is None:
            rest = self._resting.get(key)
            if rest is not None:
                held = ticket.wake(rest)
            elif key in self._left:
                self._refuse_late(topic, record, self._left[key])
                return False
            else:
                self._waiting.begin(key, event)
                return True
        try:
            added = held.history.take(event)
        except HistoryFullError as error:
            self._refuse(topic, record, "history_full", str(error))
            return False
        if added != history.ADDED:
            self.counters.duplicates += 1
        if added != history.KNOWN:
            held.changed = True
            if not is_touched:
                self._touched[key] = held
        return True

    def _taken_out(self, key: bytes) -> Ticket | None:
        """The ticket that waited, of which too many events have come for that."""
        found = self._waiting.take_out(key)
        if found is None:
            return None
        held, known = found
        self.counters.duplicates += known
        self._touched[key] = held
        return held

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

    def _decoded(self, topic: str, record: Message) -> tuple[AnyEvent, int] | None:
        """What a record says, and its ``at`` in milliseconds; None where it is refused or of another contract."""
        try:
            event, at = decode_at(record.value())
        except BadRecordError as error:
            self._refuse(topic, record, "bad_record", str(error))
            return None
        except UnknownTypeError:
            self.counters.skipped_types += 1
            return None
        if record.key() != event.ticket_id.encode():
            self._refuse(topic, record, "key_mismatch", "the key is not the record's `ticket_id`")
            return None
        pseudonyms = self.config.pseudonyms
        return event if pseudonyms is None else pseudonyms.hide(event), at

    def _refuse_late(self, topic: str, record: Message, left_at: int) -> None:
        decoded = self._decoded(topic, record)
        if decoded is not None:
            told = would_change(*decoded, left_at, self.watermark.value, self.config)
            self._refuse(topic, record, "late", "the ticket has left the horizon", encode(told))

    def _refuse(self, topic: str, record: Message, code: str, reason: str, would_change: bytes = b"") -> None:
        self._refused.append(Refused(topic, record, code, reason, would_change))
        self._refused_weight += 1 + len(record.value() or b"") // _REFUSED_BYTES
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
        if self._outdated:
            self._wake_outdated()
        return due

    def _wake_outdated(self) -> None:
        while self._outdated and len(self._touched) < _OUTDATED_AT_ONCE:
            key = next(iter(self._outdated))
            del self._outdated[key]
            held = self._touched.get(key)
            if held is None:
                rest = self._resting.get(key)
                if rest is None:
                    continue
                held = self._touched[key] = ticket.wake(rest)
            held.changed = True

    def tidy(self) -> bool:
        """Let what rests take less memory, for some milliseconds; whether that did anything."""
        return self._resting.tidy()

    def let_go(self) -> None:
        """Drop what can be made again, and what holds the memory of a backlog that is done with."""
        self._resting.settle()
        if self._scanner is not None:
            self._scanner.let_go()
        self.teller.let_go()
        self._cell_records.let_go()

    def renew(self) -> object:
        """Hold the rest as new objects, close to each other; returns what has to stay until all others have done so."""
        self._timers.renew()
        return self.teller.dimensions.renew()

    @property
    def pending(self) -> int:
        """How much a cut would deal with: tickets, and refused records, of which a large one counts as many."""
        return len(self._touched) + len(self._waiting) + self._refused_weight

    @property
    def outdated(self) -> int:
        """How many tickets are still to be derived anew, because the rules have changed since they were last."""
        return len(self._outdated)

    def cut(self, may_leave: bool = True, breathe: Callable[[], None] | None = None) -> Published:
        """Derive what the touched tickets change, and take out everything that is to be published.

        ``may_leave``: tickets beyond the horizon may go. While the worker or the customer step is behind, what the
        customers' other tickets say of them is still to come. ``breathe`` is called after every few tickets, and has to
        leave the partition alone: native code lets no other thread go on, what it calls may.
        """
        now = self.watermark.value
        making = Making()
        waiting, self._waiting = self._waiting, Waiting()
        for number, key in enumerate(waiting.keys):
            found = waiting.ticket(number)
            if found is not None:
                held, known = found
                self.counters.duplicates += known
                self._cut_ticket(key, held, now, may_leave, making)
            if breathe is not None and number % _TICKETS_A_BREATH == 0:
                breathe()
        # Another one from here on: a dictionary that was emptied is still as large.
        touched, self._touched = self._touched, {}
        while touched:
            # Each is let go of as soon as it is derived: what it publishes takes as much memory as it did.
            key, held = touched.popitem()
            self._cut_ticket(key, held, now, may_leave, making)
            if breathe is not None and len(touched) % _TICKETS_A_BREATH == 0:
                breathe()
        self._gather_made(making)
        self._settle()
        self._forget_left(now, making.histories)
        self._number(making.histories)
        if making.facts:
            making.histories.append(changelog.clock_record(now))
        published = Published(refused=self._refused)
        self._refused = []
        self._refused_weight = 0
        for topic, records in (
            (HISTORIES, making.histories),
            (FACTS, making.facts),
            (CELLS, self._cells(now)),
            (SLA_EVENTS, making.sla_events),
            (CUSTOMERS, making.customers),
        ):
            if records:
                published.records[topic] = records
        return published

    def _cut_ticket(self, key: bytes, held: Ticket, now: int, may_leave: bool, making: Making) -> None:
        if len(making.added) + len(making.withdrawn) >= _COUNTED_AT_ONCE:
            self._gather_made(making)
        kept = held.history
        kept.put_in_order()
        found = self.teller.facts(kept, now)
        told = self.teller.told(found)
        differs = self.teller.tell(key, held, found, told, making)
        if may_leave and not held.changed and self._leaves(found, now):
            self._leave(key, told.customer, kept.names, now, making)
            if not differs:
                return
        else:
            due = self._due(found, now + 1, now + (1 if may_leave else _MINUTE_MS))
            resting = ticket.rest(due, told, kept.encode())
            self._resting.put(key, resting)
            if due and due != held.due:
                self._timers.set(due, key)
            if held.changed or differs:
                making.histories.append((key, self._prefix + resting))
        self.teller.publish(key, kept, found, making)

    def _number(self, histories: list[Output]) -> None:
        """Put into the changelog what the numbers stand for that it does not know yet."""
        dimensions, names = self.teller.dimensions, self.teller.policy_names
        if not histories:
            return
        histories += [
            changelog.combination_record(number, dimensions.named(number)) for number in dimensions.take_fresh()
        ]
        if names.fresh:
            histories.append(changelog.policies_record(names.names))
            names.fresh = False

    def _cells(self, now: int) -> list[Output]:
        cells: list[Output] = []
        for resolution, panes in self.panes.items():
            cells += self._cell_records.records(resolution, now, panes.take_dirty())
        return cells

    def count(self, added: bytes) -> None:
        """Add packed contributions to the cells and the backlog."""
        self._gather(added, 1)
        self._settle()

    def _gather_made(self, making: Making) -> None:
        self._gather(making.added.getvalue(), 1)
        self._gather(making.withdrawn.getvalue(), -1)
        making.added.truncate(0)
        making.withdrawn.truncate(0)

    def _gather(self, packed: bytes, sign: int) -> None:
        """Packed contributions join (``sign`` 1) or leave (-1) the cells and the backlog, with :meth:`_settle`."""
        for panes in self.panes.values():
            panes.gather(packed, sign)
        self.backlog.gather(packed, sign)

    def _settle(self) -> None:
        for panes in self.panes.values():
            panes.settle()
        self.backlog.settle()

    def _leave_at(self, found: Facts) -> int:
        horizon = self.config.horizon_ms
        return 0 if horizon is None or found.open else found.last_at + horizon

    def _leaves(self, found: Facts, now: int) -> bool:
        leave_at = self._leave_at(found)
        return 0 < leave_at <= now

    def _due(self, found: Facts, soonest: int, leaves_soonest: int) -> int:
        """When time alone changes the ticket, or it leaves the horizon; 0 for never."""
        due = found.changes_at or 0
        leave_at = self._leave_at(found)
        if leave_at:
            leave_at = max(leave_at, leaves_soonest)
            due = min(due, leave_at) if due else leave_at
        return max(soonest, due) if due else 0

    def _due_of(self, key: bytes) -> int | None:
        rest = self._resting.get(key)
        return None if rest is None else ticket.due_of(rest)

    def _leave(self, key: bytes, customer: int, names: list[str], now: int, making: Making) -> None:
        """Forget a ticket; a mark stays for another horizon, by which its late events are known.

        What it contributed lies in panes that are older than every window, and goes with them.
        """
        self._resting.pop(key)
        self._left[key] = now
        making.histories.append(changelog.left_record(key, now))
        if customer:
            self.teller.leave(key, names[customer - 1], making)

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
            histories.append((key, None))

    # -- restoring

    def outdate(self) -> None:
        """All tickets that are here already were derived by other rules."""
        self._outdated = {key: True for key, _ in self._resting.items()}

    def restore(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take in some records of the changelog, in their order. Raises ``history.UnreadableHistoryError``."""
        current = self._prefix
        resting = self._resting
        for key, value in records:
            if value is None:
                resting.pop(key)
                self._left.pop(key, None)
            elif value.startswith(current):
                resting.put(key, value[changelog.PREFIX_BYTES :])
                if self._outdated:
                    self._outdated.pop(key, None)
            else:
                self._restore_other(key, value)

    def _restore_other(self, key: bytes, value: bytes) -> None:
        if key == changelog.CLOCK:
            self.watermark.value = changelog.milliseconds(value)
        elif key[:1] == changelog.COMBINATION:
            self.teller.dimensions.restore(*changelog.combination(key, value))
        elif key == changelog.POLICIES:
            self.teller.policy_names.restore(changelog.policy_names(value))
        elif value[:1] == bytes((changelog.LEFT,)):
            self._resting.pop(key)
            self._outdated.pop(key, None)
            self._left[key] = changelog.milliseconds(value[1:])
        elif value[:1] == bytes((changelog.TICKET,)):
            self._resting.put(key, value[changelog.PREFIX_BYTES :])
            self._outdated[key] = True
        elif value[0] in changelog.READABLE:
            self._resting.put(key, ticket.rest(0, Told(), value))
            self._outdated[key] = False
        else:
            raise changelog.unreadable(key, value)

    def restored(self) -> None:
        """The changelog was read: count what tickets have told, and set their timers. Nothing is published.

        Tickets that were derived by other rules are derived anew in the next cuts, and what differs is published. Of
        those of old versions it is not known what they have told: it is taken to be what they would tell now.
        """
        now = self.watermark.value
        # Of what was read at once only the newest of a key is here: where a ticket came back after its mark had gone,
        # the end of the mark may not be, and the mark would delete the ticket at its own end.
        left = [mark for mark in self._left.items() if self._resting.get(mark[0]) is None]
        self._left = dict(sorted(left, key=lambda mark: mark[1]))
        for panes in self.panes.values():
            panes.advance(now // _MINUTE_MS)
        used: set[int] = set()
        told: list[bytes] = []
        size = 0
        for key, resting in self._resting.items():
            due = ticket.due_of(resting)
            if due:
                self._timers.set(due, key)
            contributed = ticket.contributions_of(resting)
            if size + len(contributed) > _COUNTED_AT_ONCE:
                used |= self._gather_restored(told)
                told, size = [], 0
            told.append(contributed)
            size += len(contributed)
        used |= self._gather_restored(told)
        self.teller.restored(used)
        unknown = [key for key, is_known in self._outdated.items() if not is_known]
        self._gather_restored([self._tell_silently(key, now) for key in unknown])
        self._settle()
        for panes in self.panes.values():
            panes.forget_dirty()

    def _gather_restored(self, told: list[bytes]) -> set[int]:
        packed = b"".join(told)
        self._gather(packed, 1)
        return dimensions_of(packed)

    def _tell_silently(self, key: bytes, now: int) -> bytes:
        held = ticket.wake(self._resting.get(key) or b"")
        found = self.teller.facts(held.history, now)
        told = self.teller.told(found)
        self._resting.put(key, ticket.rest(0, told, held.history.encode()))
        return told.contributions
