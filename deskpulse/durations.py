"""Durations as people write them in settings and options: ``250ms``, ``90s``, ``15m``, ``4h``, ``2d``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer

_UNIT_MS: Final = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_WRITTEN: Final = re.compile(r"(\d+)(ms|s|m|h|d)")
EXPECTED: Final = 'expected a duration with its unit, like "250ms", "90s", "15m", "4h" or "2d"'
UNLIMITED: Final = "unlimited"


def parse_duration(written: object) -> timedelta:
    """A duration from its text; one that is a ``timedelta`` already is taken as it is.

    Raises ``ValueError`` for all else, numbers without a unit included, with what would be right.
    """
    if isinstance(written, timedelta):
        return written
    match = _WRITTEN.fullmatch(written.strip()) if isinstance(written, str) else None
    if match is None:
        raise ValueError(EXPECTED)
    try:
        return timedelta(milliseconds=int(match[1]) * _UNIT_MS[match[2]])
    except OverflowError:
        raise ValueError("too long; expected at most 999999999d") from None


def format_duration(duration: timedelta) -> str:
    """The text of a duration in its largest whole unit; what :func:`parse_duration` reads."""
    ms = duration_ms(duration)
    unit = next(unit for unit, size in _UNIT_MS.items() if ms % size == 0 and (ms or unit == "s"))
    return f"{ms // _UNIT_MS[unit]}{unit}"


def duration_ms(duration: timedelta) -> int:
    """Whole milliseconds."""
    return duration // timedelta(milliseconds=1)


def _parse_or_unlimited(written: object) -> timedelta | None:
    if written is None or written == UNLIMITED:
        return None
    try:
        return parse_duration(written)
    except ValueError as error:
        raise ValueError(f'{error}, or "{UNLIMITED}"') from None


def _format_or_unlimited(duration: Any) -> str:
    return UNLIMITED if duration is None else format_duration(duration)


Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str, when_used="json")
]
"""A field that is written like ``"15m"`` and is a ``timedelta``."""
MaybeDuration = Annotated[
    timedelta | None,
    BeforeValidator(_parse_or_unlimited),
    PlainSerializer(_format_or_unlimited, return_type=str, when_used="json"),
]
"""The same, where ``"unlimited"`` is None."""
