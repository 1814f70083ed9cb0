"""What is not as it is to be: counted, and the first ones of each kind kept to be shown."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from msgspec import Struct

ARCHIVE: Final = "archive"
FACTS: Final = "facts"
MINUTE_CELLS: Final = "minute_cells"
HOUR_CELLS: Final = "hour_cells"
SLA: Final = "sla"
GAUGES: Final = "gauges"
KINDS: Final = (ARCHIVE, FACTS, MINUTE_CELLS, HOUR_CELLS, SLA, GAUGES)


class Difference(Struct, frozen=True):
    """One value that is not as it is to be; ``None`` is one that is not there."""

    kind: str
    """One of :data:`KINDS`."""
    where: str
    """Which ticket, cell or group, for people."""
    name: str
    """The fact, measure or metric."""
    expected: Any
    """What the archive says."""
    found: Any
    """What the system holds."""


class Differences:
    """All differences of one comparison; ``shown`` of each kind are kept."""

    def __init__(self, shown: int) -> None:
        self.kept: list[Difference] = []
        self.by_kind: dict[str, int] = dict.fromkeys(KINDS, 0)
        self._shown = shown

    @property
    def total(self) -> int:
        """How many there are, shown or not."""
        return sum(self.by_kind.values())

    def add(self, kind: str, where: str, name: str, expected: Any, found: Any) -> None:
        """Note one."""
        self.by_kind[kind] += 1
        if self.by_kind[kind] <= self._shown:
            self.kept.append(Difference(kind, where, name, expected, found))


def instant(ms: int) -> str:
    """A time in milliseconds since 1970, for people."""
    at = datetime.fromtimestamp(ms / 1000, UTC)
    return at.isoformat(timespec="milliseconds" if ms % 1000 else "seconds").replace("+00:00", "Z")
