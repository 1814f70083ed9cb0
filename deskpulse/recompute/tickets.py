"""The facts of some tickets, derived anew from their events: with what their customers' other tickets say of them.

The same pure functions as the workers' (as ``streams.batch``'s), but none of what a worker carries along: no cuts, no
withdrawals, no timers, no order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from deskpulse.recompute.archive import Kept
from schemas.outputs import CustomerTicket, SlaEvent, TicketFacts
from streams.calendars import DAY_MS
from streams.config import DomainConfig
from streams.customers import heard
from streams.facts import Facts
from streams.history import Contact, History, decode
from streams.raised import events
from streams.summaries import Summaries
from streams.telling import Teller

_NEVER: Final = 2**63

Progress = Callable[[int, int], None]


class Tickets:
    """Some tickets with their events.

    ``times`` are the partitions' watermarks, in milliseconds since 1970; a partition that is not there has time 0.
    """

    def __init__(self, tickets: Mapping[str, Kept], times: Mapping[int, int], config: DomainConfig) -> None:
        self.teller = Teller(config)
        self.kept = tickets
        self.config = config
        self._times = times
        self._contacts: dict[str, Contact] = {}

    def time_of(self, partition: int) -> int:
        """The time of a partition."""
        return self._times.get(partition, 0)

    def now_of(self, ticket_id: str) -> int:
        """The time of the ticket's partition."""
        return self.time_of(self.kept[ticket_id].partition)

    def events_of(self, ticket_id: str) -> int:
        """How many different events the ticket has."""
        return len(self._history(ticket_id))

    def is_erased(self, ticket_id: str) -> bool:
        """Whether its erasure is all that is kept of it."""
        return self._history(ticket_id).erased

    def _history(self, ticket_id: str) -> History:
        return History(*decode(self.kept[ticket_id].history))

    def meet_customers(self, on_progress: Progress, *, as_workers_do: bool) -> None:
        """Find out what the tickets of each customer mean for each other; to be called first.

        ``as_workers_do``: a ticket that has left the horizon hears no more of the others.
        """
        told: list[tuple[str, CustomerTicket]] = []
        left_at: dict[str, int] = {}
        summaries = Summaries()
        for done, (ticket_id, kept) in enumerate(self.kept.items(), 1):
            found, _ = self._facts(kept, self.now_of(ticket_id), None)
            summary = summaries.decoded(ticket_id, found)
            if summary is not None:
                told.append((found.customer, summary))
                if as_workers_do and self.config.horizon_ms is not None and not found.open:
                    left_at[ticket_id] = found.last_at + self.config.horizon_ms
            on_progress(done, len(self.kept))
        for ticket_id, said in heard(told, self.config.fcr_days * DAY_MS).items():
            until = left_at.get(ticket_id, _NEVER)
            repeat_at, recovered_at = [at if at < until else 0 for at in said[1:]]
            if repeat_at or recovered_at:
                self._contacts[ticket_id] = Contact(said.customer, repeat_at, recovered_at)

    def facts(self, ticket_id: str, now_ms: int) -> tuple[Facts, History]:
        """The facts of a ticket as of a time, and its events."""
        return self._facts(self.kept[ticket_id], now_ms, self._contacts.get(ticket_id))

    def _facts(self, kept: Kept, now_ms: int, contact: Contact | None) -> tuple[Facts, History]:
        history = History(*decode(kept.history))
        history.contact = contact
        return self.teller.facts(history, now_ms), history

    def record(self, ticket_id: str, found: Facts, history: History) -> TicketFacts:
        """The facts as they are published."""
        return self.teller.record(ticket_id, history, found)

    def sla(self, ticket_id: str, found: Facts) -> list[SlaEvent]:
        """What holds of the ticket's service-level agreements."""
        return events(ticket_id, b"", self.teller.raised(found), found, self.teller.policy_names) if found.sla else []
