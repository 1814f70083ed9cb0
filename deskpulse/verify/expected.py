"""What the system is to hold: everything derived anew from the tickets of the archive, at once and without any state.

The same pure functions as the workers' (as ``streams.batch``'s), but none of what a worker carries along: no cuts, no
withdrawals, no timers, no order of arrival.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from deskpulse.verify.archive import Kept
from schemas.events import INPUT_TOPICS
from schemas.outputs import SlaEvent, TicketFacts
from streams.attributes import AttributeGraph, Dimensions
from streams.calendars import DAY_MS
from streams.cells import backlog_changes, expand
from streams.config import DomainConfig
from streams.contributions import contributions, pack
from streams.customers import Entry, contacts, entry_of, of_facts
from streams.facts import Facts, facts
from streams.history import Contact, History, decode
from streams.partition import Partition
from streams.published import ticket_facts
from streams.raised import events, raised
from streams.raised import pack as pack_raised
from streams.watermark import Watermark

_MINUTE_MS: Final = 60_000
_NEVER: Final = 2**63
_PACKED_AT_ONCE: Final = 4_000_000
"""Bytes of contributions that are added to the cells together: adding one costs as much as adding many."""

Progress = Callable[[int, int], None]


class Ticket(NamedTuple):
    """One ticket as it is to be."""

    record: TicketFacts
    """Its facts as of the time that was asked for."""
    sla: list[SlaEvent]
    """What holds of its service-level agreements at its partition's time."""
    overdue_ms: int | None
    """When its facts changed although nothing happened, if that lies between the time asked for and the partition's."""


class Expected:
    """What follows from some tickets.

    ``times`` are the partitions' watermarks, in milliseconds since 1970; a partition that is not there has time 0.
    """

    def __init__(self, tickets: Mapping[str, Kept], times: Mapping[int, int], config: DomainConfig) -> None:
        self.dimensions = Dimensions(config.dimensions)
        self.partitions: dict[int, Partition] = {}
        """Cells and backlog, once all tickets were asked for with :meth:`ticket` and :meth:`finish` was called."""
        self._tickets = tickets
        self._times = times
        self._config = config
        self._graph = AttributeGraph(self.dimensions, config.policies)
        self._contacts: dict[str, Contact] = {}
        self._waiting: dict[int, list[bytes]] = {}
        self._waiting_bytes = 0
        for number in sorted({kept.partition for kept in tickets.values()} | set(times)):
            now = times.get(number, 0)
            watermark = Watermark(INPUT_TOPICS, 0, event_clock=True, start=now)
            partition = Partition(number, config, self.dimensions, self._graph, watermark)
            for panes in partition.panes.values():
                panes.advance(now // _MINUTE_MS)
            self.partitions[number] = partition

    def meet_customers(self, on_progress: Progress) -> None:
        """Find out what the tickets of each customer mean for each other; to be called first."""
        by_customer: dict[str, list[Entry]] = {}
        left_at: dict[str, int] = {}
        for done, (ticket_id, kept) in enumerate(self._tickets.items(), 1):
            found, _ = self._facts(kept, self._times.get(kept.partition, 0), None)
            told = of_facts(ticket_id, found)
            if told is not None:
                by_customer.setdefault(found.customer, []).append(entry_of(told))
                if self._config.horizon_ms is not None and not found.open:
                    left_at[ticket_id] = found.last_at + self._config.horizon_ms
            on_progress(done, len(self._tickets))
        fcr_ms = self._config.fcr_days * DAY_MS
        for customer, entries in by_customer.items():
            for entry, said in contacts(entries, fcr_ms):
                # A ticket that has left the horizon hears no more of the others.
                until = left_at.get(entry.ticket_id, _NEVER)
                repeat_at, recovered_at = [at if at < until else 0 for at in said]
                if repeat_at or recovered_at:
                    self._contacts[entry.ticket_id] = Contact(customer, repeat_at, recovered_at)

    def ticket(self, ticket_id: str, as_of_ms: int | None) -> Ticket:
        """One ticket as of ``as_of_ms`` (None: its partition's time); counts it in the cells. To be asked for once."""
        kept = self._tickets[ticket_id]
        contact = self._contacts.get(ticket_id)
        now = self._times.get(kept.partition, 0)
        asked = now if as_of_ms is None else as_of_ms
        then, history = self._facts(kept, asked, contact)
        # What the workers did on time alone after the look was noticed stands in the ticket's newest facts.
        latest = then if asked >= now else self._facts(kept, now, contact)[0]
        self._count(kept.partition, latest)
        policies = self._config.policies
        return Ticket(
            ticket_facts(ticket_id, then, history.names, len(history), self._graph),
            events(ticket_id, b"", pack_raised(raised(latest, policies)), latest, policies) if latest.sla else [],
            self._overdue(then, now),
        )

    def finish(self) -> None:
        """Count what is not counted yet."""
        for number, packed in self._waiting.items():
            told = b"".join(packed)
            if told:
                self._add(self.partitions[number], told)
        self._waiting = {}
        self._waiting_bytes = 0

    def _facts(self, kept: Kept, now: int, contact: Contact | None) -> tuple[Facts, History]:
        history = History(*decode(kept.history))
        found = facts(history.records, history.names, now, self._graph, self._config, contact)
        return found, history

    def _overdue(self, found: Facts, now: int) -> int | None:
        horizon = self._config.horizon_ms
        if horizon is not None and not found.open:
            now = min(now, found.last_at + horizon)
        return found.changes_at if found.changes_at is not None and found.changes_at <= now else None

    def _count(self, number: int, found: Facts) -> None:
        packed = pack(contributions(found, self._config.policies.business))
        self._waiting.setdefault(number, []).append(packed)
        self._waiting_bytes += len(packed)
        if self._waiting_bytes > _PACKED_AT_ONCE:
            self.finish()

    def _add(self, partition: Partition, packed: bytes) -> None:
        minutes, low_keys, amounts = expand(packed, 1)
        for panes in partition.panes.values():
            panes.add(minutes, low_keys, amounts)
        for dimensions, what, value in backlog_changes(packed):
            partition.backlog.add(dimensions, what, value, 1)
