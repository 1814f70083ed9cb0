"""One ticket in the state: its history, what it has told others, and when time alone will change it.

At rest a ticket is one ``bytes`` object: a header, its contributions, what it has raised, its packed history. This is
the changelog's value, too (``streams.changelog``), so nothing has to be derived to restore a ticket.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from librt.strings import read_i64_le
from mypy_extensions import i64, mypyc_attr

from streams import history
from streams.history import History

_HEADER: Final = Struct("<QIIHQ")
"""When the ticket is due (0: never), the lengths of its packed contributions and of what it has raised, the customer
that it told of itself, and what it told. It takes ``_HEADER_BYTES``."""
_HEADER_BYTES: Final = 26
_LENGTH_MASK: Final = (1 << 32) - 1


@mypyc_attr(acyclic=True)
class Told:
    """What a ticket has told others; all of it follows from its history, the configuration and the time."""

    __slots__ = ("contributions", "customer", "raised", "summary", "to_customer")

    def __init__(
        self,
        contributions: bytes = b"",
        raised: bytes = b"",
        customer: int = 0,
        summary: int = 0,
        to_customer: bytes = b"",
    ) -> None:
        self.contributions = contributions
        """To the figures (``contributions.pack``)."""
        self.raised = raised
        """Of service-level agreements (``raised.pack``)."""
        self.customer = customer
        """The number of the name of the customer whose tickets know of it, 0 for nobody."""
        self.summary = summary
        """A hash of what they know."""
        self.to_customer = to_customer
        """What that is (``streams.summaries``); not kept with a ticket at rest."""


@mypyc_attr(acyclic=True)
class Ticket:
    """A ticket while it is worked on."""

    __slots__ = ("changed", "due", "history", "told")

    def __init__(self, kept: History, told: Told, due: int) -> None:
        self.history = kept
        self.told = told
        self.due = due
        self.changed = False
        """Whether its set of events differs from what was there at the last cut."""


_NOTHING: Final = Told()


def new(names: list[str] | None = None, records: bytes = b"") -> Ticket:
    """A ticket that has told nothing yet, of no events or of these."""
    return Ticket(History(names, records), _NOTHING, 0)


def wake(resting: bytes) -> Ticket:
    """The ticket of :func:`rest`."""
    due, length, raised_length, customer, summary = _HEADER.unpack_from(resting)
    middle = _HEADER_BYTES + length
    end = middle + raised_length
    told = Told(resting[_HEADER_BYTES:middle], resting[middle:end], customer, summary)
    return Ticket(History(*history.decode(resting[end:])), told, due)


def rest(due: int, told: Told, encoded_history: bytes) -> bytes:
    """A ticket at rest."""
    header = _HEADER.pack(due, len(told.contributions), len(told.raised), told.customer, told.summary)
    return header + told.contributions + told.raised + encoded_history


def history_of(resting: bytes) -> bytes:
    """The packed history of a ticket at rest."""
    _, length, raised_length, _, _ = _HEADER.unpack_from(resting)
    return resting[_HEADER_BYTES + length + raised_length :]


def contributions_of(resting: bytes) -> bytes:
    """The contributions of a ticket at rest, packed."""
    # Natively, as the next: of all tickets they are asked when they are restored.
    length = read_i64_le(resting, 8) & _LENGTH_MASK
    return resting[_HEADER_BYTES : _HEADER_BYTES + length]


def due_of(resting: bytes) -> i64:
    """When a ticket at rest is due, 0 for never."""
    return read_i64_le(resting, 0)
