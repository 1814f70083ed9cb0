"""What the changelog of a partition's tickets (``support.histories``) holds, key by key.

============ ==================================================================================================
key          value
============ ==================================================================================================
ticket's id  The ticket at rest (``streams.ticket``), with what it has told, under a fingerprint of the rules by
             which that was derived: version 3. Or: it has left the horizon, and when: version 0. Of versions 1
             and 2, its history alone.
empty        The partition's watermark.
``ff`` + n   The combination of dimensions that is number n in what tickets have told, as JSON.
``fe``       The names of policies, by number, as JSON.
============ ==================================================================================================

No ticket's id is empty, and none begins with the bytes ``fe`` or ``ff``: these are in no UTF-8 text.
"""

from __future__ import annotations

from typing import Final

import msgspec

from streams import history
from streams.config import FINGERPRINT_BYTES
from streams.history import UnreadableHistoryError
from streams.published import Output, encode

CLOCK: Final = b""
POLICIES: Final = b"\xfe"
COMBINATION: Final = b"\xff"
"""What the key of a combination begins with."""
LEFT: Final = 0
TICKET: Final = 3
READABLE: Final = (LEFT, history.VERSION, history.WITH_CONTACT, TICKET)
"""First bytes of a ticket's values that are read."""
PREFIX_BYTES: Final = 1 + FINGERPRINT_BYTES
"""What stands before a ticket at rest."""

_decode_names: Final = msgspec.json.Decoder(list[str]).decode
_decode_named: Final = msgspec.json.Decoder(dict[str, str]).decode


def prefix(fingerprint: bytes) -> bytes:
    """What a ticket's value begins with, under these rules."""
    return bytes((TICKET,)) + fingerprint


def is_of_ticket(key: bytes) -> bool:
    """Whether it is a ticket's id."""
    return key not in (CLOCK, POLICIES) and key[:1] != COMBINATION


def is_note(key: bytes, value: bytes | None) -> bool:
    """Whether it is no ticket that is tracked: what is not kept with the tickets."""
    return value is None or value[0] == LEFT or not is_of_ticket(key)


def left_record(key: bytes, at: int) -> Output:
    """A ticket left at ``at`` (milliseconds)."""
    return key, bytes((LEFT,)) + at.to_bytes(8, "big")


def clock_record(watermark: int) -> Output:
    """The partition's watermark (milliseconds)."""
    return CLOCK, watermark.to_bytes(8, "big")


def combination_record(number: int, named: dict[str, str]) -> Output:
    """What a number stands for."""
    return COMBINATION + number.to_bytes(4, "big"), encode(named)


def policies_record(names: list[str]) -> Output:
    """Which numbers policies have."""
    return POLICIES, encode(names)


def milliseconds(value: bytes) -> int:
    """The time in a clock's value, or in that of a ticket that has left behind its first byte."""
    return int.from_bytes(value, "big")


def combination(key: bytes, value: bytes) -> tuple[int, dict[str, str]]:
    """The inverse of :func:`combination_record`."""
    return int.from_bytes(key[1:], "big"), _decode_named(value)


def policy_names(value: bytes) -> list[str]:
    """The inverse of :func:`policies_record`."""
    return _decode_names(value)


def unreadable(key: bytes, value: bytes) -> UnreadableHistoryError:
    """A ticket's value of a version that is not :data:`READABLE`."""
    return UnreadableHistoryError(
        f"the changelog's record of ticket {key.decode(errors='replace')!r} is of version "
        f"{value[0] if value else 'none'}; this deskpulse reads versions {', '.join(map(str, READABLE))}. "
        "Was it written by a newer deskpulse?"
    )
