"""What the workers are to hold: all that follows from the tickets of the archive, at once and without any state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from deskpulse.recompute.tickets import Tickets
from schemas.events import INPUT_TOPICS
from schemas.outputs import SlaEvent, TicketFacts
from streams.facts import Facts
from streams.partition import Partition
from streams.watermark import Watermark

_MINUTE_MS: Final = 60_000
_PACKED_AT_ONCE: Final = 4_000_000
"""Bytes of contributions that are added to the cells together: adding one costs as much as adding many."""


class Ticket(NamedTuple):
    """One ticket as it is to be."""

    record: TicketFacts
    """Its facts as of the time that was asked for."""
    sla: list[SlaEvent]
    """What holds of its service-level agreements at its partition's time."""
    overdue_ms: int | None
    """When its facts changed although nothing happened, if that lies between the time asked for and the partition's."""


class Expected:
    """What follows from some tickets, each of which has met its customer's others.

    ``times`` are the partitions' watermarks, in milliseconds since 1970; a partition that is not there has time 0.
    """

    def __init__(self, tickets: Tickets, times: Mapping[int, int]) -> None:
        self.config = tickets.config
        self.partitions: dict[int, Partition] = {}
        """Cells and backlog, once all tickets were asked for with :meth:`ticket` and :meth:`finish` was called."""
        self._tickets = tickets
        self._waiting: dict[int, list[bytes]] = {}
        self._waiting_bytes = 0
        for number in sorted({kept.partition for kept in tickets.kept.values()} | set(times)):
            now = times.get(number, 0)
            watermark = Watermark(INPUT_TOPICS, 0, event_clock=True, start=now)
            partition = Partition(number, tickets.config, watermark, tickets.teller)
            for panes in partition.panes.values():
                panes.advance(now // _MINUTE_MS)
            self.partitions[number] = partition

    def ticket(self, ticket_id: str, as_of_ms: int | None) -> Ticket:
        """One ticket as of ``as_of_ms`` (None: its partition's time); counts it in the cells. To be asked for once."""
        tickets = self._tickets
        now = tickets.now_of(ticket_id)
        asked = now if as_of_ms is None else as_of_ms
        then, history = tickets.facts(ticket_id, asked)
        # What the workers did on time alone after the look was noticed stands in the ticket's newest facts.
        latest = then if asked >= now else tickets.facts(ticket_id, now)[0]
        self._count(tickets.kept[ticket_id].partition, tickets.teller.contributions(latest))
        return Ticket(
            tickets.record(ticket_id, then, history), tickets.sla(ticket_id, latest), self._overdue(then, now)
        )

    def finish(self) -> None:
        """Count what is not counted yet."""
        for number, packed in self._waiting.items():
            self.partitions[number].count(b"".join(packed))
        self._waiting = {}
        self._waiting_bytes = 0

    def _overdue(self, found: Facts, now: int) -> int | None:
        horizon = self._tickets.config.horizon_ms
        if horizon is not None and not found.open:
            now = min(now, found.last_at + horizon)
        return found.changes_at if found.changes_at is not None and found.changes_at <= now else None

    def _count(self, number: int, packed: bytes) -> None:
        self._waiting.setdefault(number, []).append(packed)
        self._waiting_bytes += len(packed)
        if self._waiting_bytes > _PACKED_AT_ONCE:
            self.finish()
