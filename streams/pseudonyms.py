"""Pseudonyms: a person's id replaced by a keyed hash, before it reaches state, topics or tables.

The hash is BLAKE2b with a key, 128 bits, written as ``~`` and 32 hexadecimal digits. Who has the key can compute the
pseudonym of an id (``deskpulse forget`` does), nobody can compute the id of a pseudonym, and without the key nobody can
try ids out. A pseudonym of a pseudonym is itself: what was replaced before it was archived is read back as it is.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any, Final

from msgspec import UNSET
from msgspec.structs import replace

from schemas.events import AnyEvent, MessageSent, TicketCreated, TicketUpdated

MARK: Final = "~"
"""What a pseudonym begins with."""
_BYTES: Final = 16
_PSEUDONYM: Final = re.compile(rf"{MARK}[0-9a-f]{{{2 * _BYTES}}}").fullmatch
_PURPOSE: Final = b"deskpulse.person"
"""So that nothing else that is ever hashed with the same key has the same hashes."""


class Pseudonyms:
    """Replaces customers' ids, and agents' too where that is wanted."""

    def __init__(self, key: str, *, agents: bool = False) -> None:
        """``key``: a secret of any length; with another one everybody has another pseudonym."""
        self._agents = agents
        secret = blake2b(key.encode(), digest_size=blake2b.MAX_KEY_SIZE).digest()
        self._hash = blake2b(key=secret, digest_size=_BYTES, person=_PURPOSE)

    def __repr__(self) -> str:
        """Without the key."""
        return f"Pseudonyms(agents={self._agents})"

    def of(self, person: str) -> str:
        """The pseudonym of an id; of a pseudonym itself."""
        if person.startswith(MARK) and _PSEUDONYM(person):
            return person
        hashed = self._hash.copy()
        hashed.update(person.encode())
        return MARK + hashed.hexdigest()

    def hide(self, event: AnyEvent) -> AnyEvent:
        """The event with pseudonyms: ``customer_id``, a customer's ``author_id``, ``actor``; where agents have some,
        ``agent_id`` and an agent's ``author_id``.

        An ``actor`` always has one: nothing says whether it is a customer.
        """
        if isinstance(event, MessageSent):
            if event.author == "customer" or (self._agents and event.author == "agent"):
                return replace(event, author_id=self.of(event.author_id))
            return event
        hidden: dict[str, Any] = {}
        if isinstance(event, TicketCreated):
            hidden["customer_id"] = self.of(event.customer_id)
        elif isinstance(event, TicketUpdated):
            if event.customer_id is not UNSET:
                hidden["customer_id"] = self.of(event.customer_id)
            if event.actor is not UNSET:
                hidden["actor"] = self.of(event.actor)
        else:
            return event
        if self._agents and event.agent_id is not UNSET:
            hidden["agent_id"] = self.of(event.agent_id)
        return replace(event, **hidden) if hidden else event
