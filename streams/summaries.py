"""What a ticket tells its customer's other tickets (``schemas.outputs.CustomerTicket``)."""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.outputs import CustomerTicket
from streams.facts import Facts
from streams.json_object import JsonObject

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder(CustomerTicket).decode


class Summaries:
    """Makes summaries and their records, one after the other."""

    def __init__(self) -> None:
        self._record = JsonObject()

    def of_facts(self, facts: Facts) -> bytes:
        """What others have to know of a ticket, as JSON without its id; empty where it counts for nobody."""
        if facts.created is None or facts.deleted or facts.state is None:
            return b""
        record = self._record
        record.begin()
        record.integer(b"created_at_ms", facts.created.at)
        record.text(b"category", facts.category)
        record.mark(b"counts", facts.merged_into is None)
        if facts.first_solve is not None:
            record.count(b"first_solved_at_ms", facts.first_solve.at)
        if facts.failures:
            record.raw(b"failed_at_ms", _encode([at for at, _ in facts.failures]))
        if facts.good_at:
            record.raw(b"good_at_ms", _encode(facts.good_at))
        return record.end()

    def record(self, key: bytes, partition: int, summary: bytes, moved: bool = False) -> bytes:
        """What the ticket of a key tells. ``moved``: it was another customer's before."""
        record = self._record
        record.begin()
        record.utf8(b"ticket_id", key)
        record.count(b"partition", partition)
        record.fields(summary[1:-1])
        record.mark(b"moved", moved)
        return record.end()

    def decoded(self, ticket_id: str, facts: Facts) -> CustomerTicket | None:
        """What a ticket with these facts tells; None where it counts for nobody."""
        summary = self.of_facts(facts)
        return _decode(self.record(ticket_id.encode(), 0, summary)) if summary else None
