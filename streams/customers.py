"""The customer step: what a customer's tickets mean for each other (repeat contacts, service recovery).

Tickets tell their customer what others have to know of them (``CustomerTicket``); here the tickets of one customer
meet, and each is told what the others say of it (``CustomerContact``), which is one more event of its set. Whatever the
order in which they come, a ticket is told what :func:`judge` says of the set of all. Source: ``docs/domain.md``
section 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from schemas.outputs import CustomerContact, CustomerTicket
from streams.entries import Entry
from streams.entries import decode as decode_entries
from streams.entries import encode as encode_entries
from streams.facts import RECOVERY_MS
from streams.history import Contact
from streams.published import Output, encode
from streams.shelf import Shelf, Store

MOST_TICKETS: Final = 200
"""Who has more tickets within the horizon is no person but an integration or a default: its tickets mean nothing to
each other, and are not kept from then on."""

RULE: Final = b"\xff"
"""Key of the changelog record that holds the limit by which customers were judged (milliseconds, as JSON); it is in no
UTF-8 text, so no customer's id."""
_OUTDATED_AT_ONCE: Final = 2_000
"""So many customers are judged anew with a cut, beside those that were touched."""

_decode_ticket: Final = msgspec.json.Decoder(CustomerTicket).decode
_UNKNOWN: Final = -1
"""Nobody knows what the ticket was told."""
CROWD: Final = b"\x00"
"""What is kept of a customer beyond :data:`MOST_TICKETS`."""


def is_note(key: bytes, value: bytes | None) -> bool:
    """Whether a record of the changelog is no customer."""
    return key == RULE


def entry_of(told: CustomerTicket) -> Entry:
    """A ticket as it is kept."""
    return Entry(
        told.ticket_id,
        told.partition,
        told.category,
        told.created_at_ms,
        told.counts,
        told.first_solved_at_ms,
        told.failed_at_ms,
        told.good_at_ms,
    )


def judge(entry: Entry, entries: Iterable[Entry], fcr_ms: int) -> tuple[int, int]:
    """What a customer's tickets say of one: when it was first repeated, when first recovered; 0 for never."""
    repeat_at = recovered_at = 0
    solved_at = entry.first_solved_at
    if not solved_at and not entry.failed_at:
        return 0, 0
    for other in entries:
        if other is entry:
            continue
        created_at = other.created_at
        if (
            solved_at
            and other.counts
            and solved_at < created_at <= solved_at + fcr_ms
            and other.category == entry.category
            and (not repeat_at or created_at < repeat_at)
        ):
            repeat_at = created_at
        for good_at in other.good_at:
            if (not recovered_at or good_at < recovered_at) and any(
                failed_at < good_at <= failed_at + RECOVERY_MS for failed_at in entry.failed_at
            ):
                recovered_at = good_at
    return repeat_at, recovered_at


def is_crowd(entries: Sequence[Entry]) -> bool:
    """Whether these are too many for the tickets of a person."""
    return len(entries) > MOST_TICKETS and sum(not entry.left for entry in entries) > MOST_TICKETS


def contacts(entries: Sequence[Entry], fcr_ms: int) -> list[tuple[Entry, tuple[int, int]]]:
    """What a customer's tickets are told, see :func:`judge`, of each that has not left."""
    # Most have one, of which no other says anything.
    if len(entries) == 1 and not entries[0].left:
        return [(entries[0], (0, 0))]
    crowd = is_crowd(entries)
    return [(entry, (0, 0) if crowd else judge(entry, entries, fcr_ms)) for entry in entries if not entry.left]


def heard(told: Iterable[tuple[str, CustomerTicket]], fcr_ms: int) -> dict[str, Contact]:
    """What all tickets hear of their customers' others, by ticket, where there is anything: the batch computation.

    ``told`` are customers, and what each of their tickets tells.
    """
    by_customer: dict[str, list[Entry]] = {}
    for customer, one in told:
        by_customer.setdefault(customer, []).append(entry_of(one))
    return {
        entry.ticket_id: Contact(customer, *said)
        for customer, entries in by_customer.items()
        for entry, said in contacts(entries, fcr_ms)
        if said != (0, 0)
    }


class Customers:
    """The customers of one partition."""

    def __init__(self, fcr_ms: int, resting: Store | None = None) -> None:
        """``resting``: where customers are kept; by default in memory."""
        self._fcr_ms = fcr_ms
        self._rule: bytes | None = None
        """The rule by which all customers of the changelog were judged, as :data:`RULE` has it."""
        self._outdated: list[bytes] = []
        """Customers that are to be judged anew, by another rule than they were."""
        self._resting: Store = Shelf() if resting is None else resting
        self._touched: dict[bytes, list[bytes]] = {}
        """What was told since the last cut, as it came: taken apart it would take twice the memory."""

    def __len__(self) -> int:
        """How many customers are known."""
        return len(self._resting)

    def tidy(self) -> bool:
        """Let what rests take less memory, for some milliseconds; whether that did anything."""
        return self._resting.tidy()

    def let_go(self) -> None:
        """Drop what holds the memory of a backlog that is done with."""
        self._resting.settle()

    @property
    def pending(self) -> int:
        """How many customers a cut would deal with."""
        return len(self._touched) + len(self._outdated)

    def apply(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        """Take in what tickets tell: keys and values of ``CUSTOMERS``, in their order."""
        touched = self._touched
        for key, value in records:
            touched.setdefault(key, []).append(value)

    def _entries(
        self, key: bytes, rest: bytes | None, values: list[bytes], told: list[tuple[int, Output]]
    ) -> dict[str, Entry] | None:
        """A customer's tickets after what these values told; None of one with more than :data:`MOST_TICKETS`.

        ``rest``: what is kept of the customer. What a ticket has to be told even of such a one is added to ``told``.
        """
        entries: dict[str, Entry] | None = None
        if rest != CROWD:
            entries = {} if rest is None else {entry.ticket_id: entry for entry in decode_entries(rest)}
        for value in values:
            one = _decode_ticket(value)
            if one.forget:
                entries = {}
            elif entries is not None:
                _take(entries, one)
            elif one.moved:
                told.append((one.partition, _contact(key, one.ticket_id, (0, 0))))
        return entries

    def cut(self) -> tuple[dict[int, list[Output]], list[Output]]:
        """What is to be published: contacts by the partition of their ticket, and the changelog."""
        told: list[tuple[int, Output]] = []
        changelog: list[Output] = []
        self._take_outdated()
        # Another one from here on: a dictionary that was emptied is still as large.
        touched, self._touched = self._touched, {}
        while touched:
            key, values = touched.popitem()
            rest = self._resting.get(key)
            if rest is None and len(values) == 1 and self._begin(key, values[0], changelog):
                continue
            entries = self._entries(key, rest, values, told)
            if entries is None:
                continue
            all_of_them = list(entries.values())
            for entry, said in contacts(all_of_them, self._fcr_ms):
                if said != (entry.repeat_at, entry.recovered_at):
                    entry.repeat_at, entry.recovered_at = said
                    told.append((entry.partition, _contact(key, entry.ticket_id, said)))
            tracked = [entry for entry in all_of_them if not entry.left]
            rest = CROWD if is_crowd(tracked) else encode_entries(self._kept(all_of_them, tracked))
            if not tracked:
                self._resting.pop(key)
                changelog.append((key, None))
            else:
                self._resting.put(key, rest)
                changelog.append((key, rest))
        rule = encode(self._fcr_ms)
        if rule != self._rule and changelog and not self._outdated:
            self._rule = rule
            changelog.append((RULE, rule))
        by_partition: dict[int, list[Output]] = {}
        for partition, contact in told:
            by_partition.setdefault(partition, []).append(contact)
        return by_partition, changelog

    def _begin(self, key: bytes, value: bytes, changelog: list[Output]) -> bool:
        """Keep a customer's first ticket, of which no other says anything; whether it was that simple, as for most."""
        one = _decode_ticket(value)
        if one.forget or one.gone or one.left or one.moved:
            return False
        rest = encode_entries([entry_of(one)])
        self._resting.put(key, rest)
        changelog.append((key, rest))
        return True

    def _take_outdated(self) -> None:
        for _ in range(min(_OUTDATED_AT_ONCE, len(self._outdated))):
            key = self._outdated.pop()
            self._touched.setdefault(key, [])

    def _kept(self, entries: list[Entry], tracked: list[Entry]) -> list[Entry]:
        """Without those that have left and say nothing of any that is tracked."""
        if len(tracked) == len(entries):
            return entries
        return [
            entry
            for entry in entries
            if not entry.left or any(judge(one, (entry,), self._fcr_ms) != (0, 0) for one in tracked)
        ]

    def restore(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Take in some records of the changelog, in their order."""
        for key, value in records:
            if value is None:
                self._resting.pop(key)
            elif key == RULE:
                self._rule = value
            else:
                self._resting.put(key, value)

    def restored(self) -> None:
        """The changelog was read. Those judged by another rule are judged anew in the next cuts."""
        if self._rule != encode(self._fcr_ms):
            self._outdated = [key for key, _ in self._resting.items()]


def _take(entries: dict[str, Entry], told: CustomerTicket) -> None:
    """Let a customer's tickets be as one of them tells."""
    known = entries.get(told.ticket_id)
    if told.gone:
        entries.pop(told.ticket_id, None)
    elif told.left:
        if known is not None:
            known.left = True
    else:
        entry = entries[told.ticket_id] = entry_of(told)
        if told.moved:
            entry.repeat_at = _UNKNOWN
        elif known is not None:
            entry.repeat_at, entry.recovered_at = known.repeat_at, known.recovered_at


def _contact(customer: bytes, ticket_id: str, said: tuple[int, int]) -> Output:
    contact = CustomerContact(customer_id=customer.decode(), repeat_at_ms=said[0], recovered_at_ms=said[1])
    return ticket_id.encode(), encode(contact)
