"""The workers' state as Kafka holds it: which tickets name the customer, and whether anything is left of them."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from confluent_kafka import Message

from deskpulse.forget.logs import Logs
from deskpulse.forget.person import Person
from schemas.outputs import CUSTOMER_TICKETS, HISTORIES
from streams import changelog, ticket
from streams.customers import CROWD, RULE
from streams.entries import decode as decode_entries
from streams.history import DELETED, ERASES, KIND, SIZE, decode


class Kept(StrEnum):
    """What the workers keep of a ticket."""

    history = "history"
    erased = "erased"
    """Its erasure alone."""
    left = "left"
    """That it has left the horizon."""
    nothing = "nothing"


class State:
    """The changelogs, read to their ends for one customer and some tickets."""

    def __init__(self, person: Person, tickets: Iterable[str]) -> None:
        """``tickets``: those that are the customer's, as far as known; more are found."""
        self._person = person
        self.tickets = dict.fromkeys(tickets, Kept.nothing)
        """What is kept of each."""
        self.last_at: dict[str, int] = {}
        """When the last event of a ticket happened, milliseconds since 1970, where its history is kept."""
        self.naming: set[str] = set()
        """Tickets whose state names the customer."""
        self.superseded = 0
        """Records that name the customer or tell of the tickets, and wait to be compacted."""
        self.telling: set[bytes] = set()
        """Keys of the customer step under which the customer, or one of the tickets, is known."""

    def read(self, logs: Logs) -> None:
        """Read both changelogs; raises ``KafkaException`` and ``UnreadableHistoryError``."""
        self._read_customers(logs)
        self._read_tickets(logs)

    def _read_customers(self, logs: Logs) -> None:
        met = 0

        def take(message: Message) -> None:
            nonlocal met
            key, value = message.key() or b"", message.value()
            if key == RULE:
                return
            found: set[str] = set()
            if value and value != CROWD:
                found = {entry.ticket_id for entry in decode_entries(value)}
            if key in self._person.keys:
                self.tickets |= dict.fromkeys(found - self.tickets.keys(), Kept.nothing)
                tells = bool(value)
            else:
                tells = not found.isdisjoint(self.tickets)
            met += tells
            (self.telling.add if tells else self.telling.discard)(key)

        logs.read(CUSTOMER_TICKETS, take)
        self.superseded += met - len(self.telling)

    def _read_tickets(self, logs: Logs) -> None:
        newest: set[str] = set()
        met = 0
        asked = {ticket_id.encode() for ticket_id in self.tickets}

        def take(message: Message) -> None:
            nonlocal met
            key, value = message.key() or b"", message.value()
            if not changelog.is_of_ticket(key):
                return
            packed = history_of(value)
            names = packed is not None and self._person.in_history(packed)
            if not names and key not in asked:
                return
            asked.add(key)
            ticket_id = key.decode()
            kept = self.tickets[ticket_id] = _kept(value, packed)
            if kept is Kept.history and packed is not None:
                met += 1
                newest.add(ticket_id)
                self.last_at[ticket_id] = int.from_bytes(decode(packed)[1][-SIZE:][:8], "big")
            else:
                newest.discard(ticket_id)
            (self.naming.add if names else self.naming.discard)(ticket_id)

        logs.read(HISTORIES, take)
        self.superseded += met - len(newest)


def history_of(value: bytes | None) -> bytes | None:
    """The packed history in a ticket's record of the changelog, None of one that holds none."""
    if not value or value[0] == changelog.LEFT:
        return None
    return ticket.history_of(value[changelog.PREFIX_BYTES :]) if value[0] == changelog.TICKET else value


def _kept(value: bytes | None, packed: bytes | None) -> Kept:
    if packed is None:
        return Kept.nothing if value is None else Kept.left
    records = decode(packed)[1]
    is_erasure = len(records) == SIZE and records[KIND] == DELETED and records[KIND + 1] == ERASES
    return Kept.erased if is_erasure else Kept.history
