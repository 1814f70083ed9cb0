"""What is kept of a customer's tickets.

Not compiled: mypyc leaves out how a struct is to be encoded (``array_like``), and a build would write another changelog
than the sources.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import Struct


class Entry(Struct, array_like=True, gc=False):
    """One ticket of a customer. Times are milliseconds since 1970, 0 for none."""

    ticket_id: str
    partition: int
    category: str
    created_at: int
    counts: bool
    first_solved_at: int
    failed_at: list[int]
    good_at: list[int]
    left: bool = False
    repeat_at: int = 0
    """What the ticket was told, both; :data:`streams.customers._UNKNOWN` where it has to be told anew."""
    recovered_at: int = 0


_decode: Final = msgspec.msgpack.Decoder(list[Entry]).decode
_decode_maps: Final = msgspec.msgpack.Decoder(list[dict[str, Any]]).decode
encode: Final = msgspec.msgpack.Encoder().encode


def decode(value: bytes) -> list[Entry]:
    """The inverse of ``encode``. Compiled workers of the first release wrote the fields by their names."""
    try:
        return _decode(value)
    except msgspec.ValidationError:
        return [Entry(**fields) for fields in _decode_maps(value)]
