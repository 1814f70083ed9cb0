"""One ticket in the state: its history, what it has contributed, and when time alone will change it.

At rest a ticket is one ``bytes`` object: a header, its contributions, its packed history (which is the changelog
value). A million tickets are then a million objects that the garbage collector does not look at.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from streams import history
from streams.history import History

_HEADER: Final = Struct("<QI")
"""When the ticket is due (0: never), and the length of its packed contributions."""


class Ticket:
    """A ticket while it is worked on."""

    __slots__ = ("changed", "due", "history", "told")

    def __init__(self, kept: History, told: bytes, due: int) -> None:
        self.history = kept
        self.told = told
        """What it has contributed, packed (``contributions.pack``)."""
        self.due = due
        self.changed = False
        """Whether its set of events differs from what the changelog holds."""


def new() -> Ticket:
    """A ticket without events."""
    return Ticket(History(), b"", 0)


def wake(resting: bytes) -> Ticket:
    """The ticket of :func:`rest`."""
    due, length = _HEADER.unpack_from(resting)
    end = _HEADER.size + length
    names, records = history.decode(resting[end:])
    return Ticket(History(names, records), resting[_HEADER.size : end], due)


def rest(due: int, told: bytes, encoded_history: bytes) -> bytes:
    """A ticket at rest."""
    return _HEADER.pack(due, len(told)) + told + encoded_history


def due_of(resting: bytes) -> int:
    """When a ticket at rest is due, 0 for never."""
    due: int = _HEADER.unpack_from(resting)[0]
    return due
