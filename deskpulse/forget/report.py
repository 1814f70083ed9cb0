"""What was found, done and proved."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from deskpulse.forget.state import Kept


class Remainder(Struct, frozen=True):
    """Something that is left."""

    where: str
    """A topic or a table."""
    what: str
    records: int | None = None
    """How many; None where that is not counted, and there may be none."""
    until_ms: int | None = None
    """When it is gone at the latest, milliseconds since 1970; None: never by itself."""
    places: tuple[str, ...] = ()
    """``partition:offset`` of each."""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "where": self.where,
            "what": self.what,
            "records": self.records,
            "until": None if self.until_ms is None else _instant(self.until_ms),
            "places": list(self.places),
        }


class Report(Struct):
    """Of one run; the customer is not named in it."""

    dry_run: bool
    tickets: dict[str, Kept] = {}
    """Every ticket that names the customer, and what the workers kept of it before."""
    published: int = 0
    """Tickets whose erasure was published by this run."""
    deleted: dict[str, int] = {}
    """Rows deleted, by table."""
    rests: list[Remainder] = []
    """What goes by itself, by retention or compaction."""
    traces: list[Remainder] = []
    """What should not be there."""
    undone: list[str] = []
    """What could not be done or looked at, in words that say what to do."""

    @property
    def ok(self) -> bool:
        """Whether everything is done, and nothing is left but what goes by itself."""
        return self.dry_run or not (self.traces or self.undone)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "ok": self.ok,
            "dry_run": self.dry_run,
            "tickets": {ticket_id: str(kept) for ticket_id, kept in sorted(self.tickets.items())},
            "published": self.published,
            "deleted": self.deleted,
            "rests": [rest.document() for rest in self.rests],
            "traces": [trace.document() for trace in self.traces],
            "undone": self.undone,
        }


def _instant(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
