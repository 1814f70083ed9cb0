"""Records as events: what is plainly right is seen natively; what is wrong with others the contract says."""

from __future__ import annotations

from typing import Final

import msgspec
from mypy_extensions import i64

from schemas.events import EPOCH, LATEST, AnyEvent, at_ms, decode, decoder
from streams.calendars import DAY_MS

_decode: Final = decoder.decode
_EPOCH: Final = EPOCH
_LATEST_DAYS: Final = (LATEST - EPOCH).days


def decode_at(value: bytes | None) -> tuple[AnyEvent, int]:
    """Decode one record's value: the event, and its ``at`` in milliseconds (``at_ms``).

    Raises what ``schemas.events.decode`` raises.
    """
    if value is not None and value.isascii():
        try:
            event = _decode(value)
        except (msgspec.DecodeError, RecursionError):
            pass  # The contract says what is wrong with it.
        else:
            since = event.at - _EPOCH
            days: i64 = since.days
            if 0 <= days < _LATEST_DAYS:
                seconds: i64 = since.seconds
                microseconds: i64 = since.microseconds
                return event, days * DAY_MS + seconds * 1_000 + microseconds // 1_000
    event = decode(value)
    return event, at_ms(event.at)
