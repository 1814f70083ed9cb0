"""Times, durations and foreign text, as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from streams.calendars import zone_of

_SHOWN_CHARACTERS: Final = 120
_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


def instant(ms: int | None) -> str | None:
    """Milliseconds since 1970 as RFC 3339 in UTC, like ``2026-06-01T10:15:00Z``; milliseconds only where there are."""
    if ms is None:
        return None
    at = datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{at}.{ms % 1000:03}Z" if ms % 1000 else f"{at}Z"


def seconds(value: float | None) -> float | None:
    """Seconds as a JSON number: a whole number without a fraction."""
    return int(value) if value is not None and value == int(value) else value


def seconds_of(ms: int | None) -> float | None:
    """The same of milliseconds."""
    return None if ms is None else seconds(ms / 1000)


def duration(ms: int) -> str:
    """A duration as people read it: ``0s``, ``12m 30s``, ``2d 16h 50m``."""
    return _in_units(ms, _UNITS)


def business(ms: int) -> str:
    """The same of time within opening hours, where a day is no unit: ``0s``, ``12m 30s``, ``64h 50m``."""
    return _in_units(ms, _UNITS[1:])


def _in_units(ms: int, units: tuple[tuple[str, int], ...]) -> str:
    parts = []
    left = abs(ms)
    for unit, size in units:
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number}{unit}")
    return ("-" if ms < 0 else "") + (" ".join(parts) or "0s")


def printable(text: str) -> str:
    """Text of an event, without what a terminal would obey, and not too long."""
    clean = "".join(c if c.isprintable() else "�" for c in text)
    return clean if len(clean) <= _SHOWN_CHARACTERS else clean[: _SHOWN_CHARACTERS - 1] + "…"


class LocalTime:
    """Shows instants on the clock of one zone; its abbreviation tells apart the hour that comes twice."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._zone = zone_of(zone)

    def __call__(self, ms: int) -> str:
        """Like ``Mon 2026-06-01 12:12:30 CEST``; ``ms`` are milliseconds since 1970."""
        at = datetime.fromtimestamp(ms // 1000, self._zone)
        fraction = f".{ms % 1000:03}" if ms % 1000 else ""
        return at.strftime(f"%a %Y-%m-%d %H:%M:%S{fraction} %Z")
