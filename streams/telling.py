"""What a ticket tells others at a cut: facts, figures, service levels, its customer's other tickets.

All of it follows from the ticket's facts; of what accumulates, only the difference to what was told before is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from librt.strings import BytesWriter, read_i64_be
from xxhash import xxh3_64_digest

from schemas.outputs import CustomerTicket, TicketFacts
from streams.attributes import AttributeGraph, Dimensions, Patch
from streams.config import DomainConfig
from streams.contributions import change, contributions
from streams.facts import Facts, facts
from streams.facts_record import FactsRecords
from streams.history import History
from streams.live import SlaLabels
from streams.patches import forget_patches
from streams.policies import PolicyNames
from streams.published import Output, encode
from streams.raised import events as sla_events
from streams.raised import raised
from streams.sla import BREACHED, RETRACTED
from streams.summaries import Summaries
from streams.ticket import Ticket, Told


@dataclass
class Making:
    """What a cut gathers while it goes from ticket to ticket."""

    histories: list[Output] = field(default_factory=list)
    facts: list[Output] = field(default_factory=list)
    sla_events: list[Output] = field(default_factory=list)
    customers: list[Output] = field(default_factory=list)
    added: BytesWriter = field(default_factory=BytesWriter)
    """Contributions, packed: what comes to the figures."""
    withdrawn: BytesWriter = field(default_factory=BytesWriter)
    """What goes."""


class Teller:
    """Derives what the tickets of one partition tell."""

    def __init__(self, config: DomainConfig, partition: int = 0, patches: dict[str, Patch] | None = None) -> None:
        """``patches``: what the partitions of one worker share, see ``AttributeGraph``."""
        self.dimensions = Dimensions(config.dimensions)
        self.policy_names = PolicyNames(config.policies)
        self.sla_events: dict[SlaLabels, int] = {}
        """How many were raised."""
        self._partition = partition
        self._config = config
        self._business = config.policies.business
        self._patches: dict[str, Patch] = {} if patches is None else patches
        self._graph = self._new_graph()
        self._facts_records = FactsRecords()
        self._summaries = Summaries()

    def _new_graph(self) -> AttributeGraph:
        return AttributeGraph(self.dimensions, self._config.policies, self._patches)

    def restored(self, used: set[int]) -> None:
        """Numbers are restored (``Dimensions.restore``), and these are in use."""
        self.dimensions.restored(used)
        self._graph = self._new_graph()

    def let_go(self) -> None:
        """Drop what was worked out of patches; it is worked out again where it is met."""
        forget_patches()
        self._graph.let_go()
        self._graph = self._new_graph()

    def facts(self, kept: History, now: int) -> Facts:
        """A ticket's facts at ``now``; its records are in order."""
        return facts(kept.records, kept.names, now, self._graph, self._config, kept.contact)

    def told(self, found: Facts) -> Told:
        """What a ticket tells others with these facts."""
        summary = self._summaries.of_facts(found)
        if not summary:
            return Told(self.contributions(found))
        known = read_i64_be(xxh3_64_digest(summary), 0)
        return Told(self.contributions(found), self.raised(found), found.customer_number, known, summary)

    def contributions(self, found: Facts) -> bytes:
        """What a ticket with these facts contributes to the figures, packed (``streams.contributions``)."""
        return contributions(found, self._business)

    def raised(self, found: Facts) -> bytes:
        """What it has raised of service-level agreements, packed (``streams.raised``)."""
        return raised(found, self.policy_names) if found.sla else b""

    def tell(self, key: bytes, held: Ticket, found: Facts, told: Told, making: Making) -> bool:
        """Tell what differs from what the ticket has told before; whether figures or service levels do."""
        before = held.told
        counts = told.contributions != before.contributions
        if counts:
            gone, come = change(before.contributions, told.contributions)
            making.withdrawn.write(gone)
            making.added.write(come)
        raises = told.raised != before.raised
        if raises:
            self._raise(key, before.raised, told.raised, found, making)
        if told.summary != before.summary or told.customer != before.customer:
            self._tell_customer(key, found, held.history.names, before, told, making)
        return counts or raises

    def publish(self, key: bytes, kept: History, found: Facts, making: Making) -> None:
        """Publish the facts."""
        record = self._facts_records.encoded(key, found, kept.names, len(kept))
        making.facts.append((key, record))

    def record(self, ticket_id: str, kept: History, found: Facts) -> TicketFacts:
        """The published facts of one ticket."""
        return self._facts_records.decoded(ticket_id, found, kept.names, len(kept))

    def leave(self, key: bytes, customer: str, making: Making) -> None:
        """Tell the customer's other tickets that one has left."""
        left = CustomerTicket(ticket_id=key.decode(), partition=self._partition, left=True)
        making.customers.append((customer.encode(), encode(left)))

    def _raise(self, key: bytes, before: bytes, after: bytes, found: Facts, making: Making) -> None:
        for event in sla_events(key.decode(), before, after, found, self.policy_names):
            making.sla_events.append((key, encode(event)))
            labels = SlaLabels(
                RETRACTED if event.withdraws == BREACHED else event.kind,
                event.target,
                event.policy,
                event.channel,
                event.priority,
            )
            if not event.withdraws or event.withdraws == BREACHED:
                self.sla_events[labels] = self.sla_events.get(labels, 0) + 1

    def _tell_customer(
        self, key: bytes, found: Facts, names: list[str], before: Told, told: Told, making: Making
    ) -> None:
        moved = bool(before.customer) and before.customer != told.customer
        if moved:
            gone = CustomerTicket(ticket_id=key.decode(), partition=self._partition, gone=True)
            making.customers.append((names[before.customer - 1].encode(), encode(gone)))
        if told.to_customer:
            record = self._summaries.record(key, self._partition, told.to_customer, moved)
            making.customers.append((found.customer.encode(), record))
