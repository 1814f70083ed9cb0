"""One ticket in the state: its history, what it has told others, and when time alone will change it.

At rest a ticket is one ``bytes`` object: a header, its contributions, what it has raised, its packed history. This is
the changelog's value, too (``streams.changelog``), so nothing has to be derived to restore a ticket.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter, read_i32_le, read_i64_le, write_i32_le, write_i64_le
from mypy_extensions import i32, i64, mypyc_attr, u8

from streams import history
from streams.history import History

_HEADER_BYTES: Final = 26
"""Of the header, little-endian: when the ticket is due (8 bytes, 0 for never), the lengths of its packed contributions
and of what it has raised (4 each), the customer that it told of itself (2), and what it told (8)."""
_RAISED: Final = 12
_CUSTOMER: Final = 16
_SUMMARY: Final = 18


@mypyc_attr(acyclic=True)
class Told:
    """What a ticket has told others; all of it follows from its history, the configuration and the time."""

    __slots__ = ("contributions", "customer", "raised", "summary", "to_customer")

    def __init__(
        self,
        contributions: bytes = b"",
        raised: bytes = b"",
        customer: int = 0,
        summary: i64 = 0,
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


def new() -> Ticket:
    """A ticket without events."""
    return Ticket(History(), _NOTHING, 0)


def wake(resting: bytes) -> Ticket:
    """The ticket of :func:`rest`."""
    middle = _after_contributions(resting)
    end = middle + i64(read_i32_le(resting, _RAISED))
    customer: i64 = resting[_CUSTOMER] | resting[_CUSTOMER + 1] << 8
    told = Told(resting[_HEADER_BYTES:middle], resting[middle:end], customer, read_i64_le(resting, _SUMMARY))
    return Ticket(History(*history.decode(resting[end:])), told, due_of(resting))


def rest(due: int, told: Told, encoded_history: bytes) -> bytes:
    """A ticket at rest."""
    customer: i64 = told.customer
    out = BytesWriter()
    write_i64_le(out, due)
    write_i32_le(out, i32(len(told.contributions)))
    write_i32_le(out, i32(len(told.raised)))
    out.append(u8(customer & 0xFF))
    out.append(u8(customer >> 8))
    write_i64_le(out, told.summary)
    out.write(told.contributions)
    out.write(told.raised)
    out.write(encoded_history)
    return out.getvalue()


def history_of(resting: bytes) -> bytes:
    """The packed history of a ticket at rest."""
    return resting[_after_contributions(resting) + i64(read_i32_le(resting, _RAISED)) :]


def contributions_of(resting: bytes) -> bytes:
    """The contributions of a ticket at rest, packed."""
    return resting[_HEADER_BYTES : _after_contributions(resting)]


def _after_contributions(resting: bytes) -> i64:
    return _HEADER_BYTES + i64(read_i32_le(resting, 8))


def due_of(resting: bytes) -> i64:
    """When a ticket at rest is due, 0 for never."""
    return read_i64_le(resting, 0)
