"""Whom to forget: where a customer's id, or its pseudonym, stands in what deskpulse keeps. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec.structs import fields

from schemas.events import EVENT_TYPES
from streams.history import CREATED, CUSTOMER, INTERNAL, MESSAGE, ROWS, UPDATED, decode
from streams.pseudonyms import Pseudonyms

_OF_PERSONS: Final = frozenset(("customer_id", "author_id", "actor"))
_OF_OTHERS: Final = frozenset(field.name for struct in EVENT_TYPES for field in fields(struct)) - _OF_PERSONS
"""Fields of the contract that name no customer; one that the contract does not know may."""


class Person:
    """A customer, by the id and by its pseudonym where there is a key."""

    def __init__(self, customer: str, pseudonyms: Pseudonyms | None) -> None:
        self.ids = frozenset((customer,) if pseudonyms is None else (customer, pseudonyms.of(customer)))
        self.keys = frozenset(one.encode() for one in self.ids)

    def __repr__(self) -> str:
        """Without the id."""
        return "Person(…)"

    def in_history(self, packed: bytes) -> bool:
        """Whether a packed history names the customer: as such, as an author, or nobody knows as what any more."""
        if not any(key in packed for key in self.keys):
            return False
        names, records, contact = decode(packed)
        mine = {number for number, name in enumerate(names, 1) if name in self.ids}
        persons: set[int] = set()
        others: set[int] = set()
        for _, kind, code, b, c in ROWS(records):
            if kind in (CREATED, UPDATED):
                persons.add(b)
                others.add(c)
            elif kind == MESSAGE:
                others.add(b)
                (persons if code & ~INTERNAL == CUSTOMER else others).add(c)
            else:
                others.update((b, c))
        heard = contact is not None and contact.customer in self.ids
        return heard or bool(mine & persons or mine - others)

    def in_event(self, value: bytes) -> bool:
        """Whether the record of an event names the customer: as such, as an author, as an actor, or in a field that the
        contract does not know. A record that is no JSON object names whoever stands in its bytes."""
        there = any(key in value for key in self.keys)
        if not there and b"\\" not in value:
            return False
        try:
            event = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return there
        if not isinstance(event, dict):
            return self._within(event)
        by_another = event.get("author") not in ("customer", None)
        return any(
            self._within(held)
            for name, held in event.items()
            if name not in _OF_OTHERS and not (name == "author_id" and by_another)
        )

    def _within(self, held: Any) -> bool:
        below: Iterable[Any] = held.values() if isinstance(held, dict) else held if isinstance(held, list) else ()
        return (isinstance(held, str) and held in self.ids) or any(map(self._within, below))
