"""Facts and SLA events of ClickHouse, ticket by ticket, beside what they are to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.recompute.archive import Kept
from deskpulse.recompute.ticket_rows import Row, SlaRows, as_rows, chunks, plain
from deskpulse.recompute.tickets import Tickets
from deskpulse.verify.differences import FACTS, SLA, Differences, instant
from deskpulse.verify.expected import Expected, Ticket
from deskpulse.verify.looks import Look
from schemas import outputs


class Compared(NamedTuple):
    """How much was compared."""

    facts: int
    sla_events: int
    moved: int
    """Tickets that the system worked on after the look: left out."""
    behind: int
    """Tickets of which late events came after they were backfilled: left out."""
    unknown: int
    """Tickets of which rows have left the tables: left out."""


def compare(
    client: Client,
    tickets: Mapping[str, Kept],
    expected: Expected,
    complete: Tickets | None,
    look: Look,
    lossy: bool,
    differences: Differences,
    on_progress: Callable[[int, int], None],
) -> Compared:
    """Compare every ticket, and count each in ``expected``'s cells on the way.

    ``complete`` are the tickets as a backfill sees them, with the events that came too late: what backfilled rows are
    compared with. ``lossy``: rows have left the tables since, so a ticket of which there are fewer than there were is
    left out.
    """
    one = _Comparison(expected, complete, look, lossy, differences)
    ids = sorted(tickets)
    place = 0
    for upto, rows, sla in chunks(client):
        end = place
        while end < len(ids) and (upto is None or ids[end] <= upto):
            end += 1
        one.chunk(ids[place:end], rows, sla)
        place = end
        on_progress(place, len(ids))
    return Compared(one.facts, one.sla_events, one.moved, one.behind, one.unknown)


class _Comparison:
    def __init__(
        self, expected: Expected, complete: Tickets | None, look: Look, lossy: bool, differences: Differences
    ) -> None:
        self.facts = self.sla_events = self.moved = self.behind = self.unknown = 0
        self._expected = expected
        self._complete = complete
        self._look = look
        self._lossy = lossy
        self._differences = differences

    def chunk(self, ids: Sequence[str], rows: dict[str, Row], sla: SlaRows) -> None:
        found: dict[str, Ticket] = {}
        for ticket_id in ids:
            row = rows.get(ticket_id)
            found[ticket_id] = self._expected.ticket(ticket_id, None if row is None else row["as_of"])
        behind = self._look_at_backfilled(rows, found)
        self.behind += len(behind)
        wanted = as_rows({ticket_id: ticket.record for ticket_id, ticket in found.items()})
        for ticket_id in sorted(found.keys() | rows.keys()):
            ticket, row = found.get(ticket_id), rows.get(ticket_id)
            if ticket_id in behind:
                continue
            if row is not None and self._has_moved(row):
                self.moved += 1
            elif self._lossy and (row is None or row["events"] > (ticket.record.events if ticket else 0)):
                self.unknown += 1
            else:
                self._facts_of(ticket_id, ticket, wanted.get(ticket_id), row)
                self._sla_of(ticket_id, ticket, sla.get(ticket_id, {}))
        for ticket_id in sorted(sla.keys() - found.keys() - rows.keys()):
            self._sla_of(ticket_id, None, sla[ticket_id])

    def _look_at_backfilled(self, rows: dict[str, Row], found: dict[str, Ticket]) -> set[str]:
        """Expect of backfilled rows what a backfill makes; returns the tickets that have more events since then."""
        behind: set[str] = set()
        tickets = self._complete
        if tickets is None:
            return behind
        for ticket_id, row in rows.items():
            if row["_backfilled_at"] is None or ticket_id not in tickets.kept:
                continue
            facts, history = tickets.facts(ticket_id, row["as_of"])
            record = tickets.record(ticket_id, facts, history)
            if record.events > row["events"]:
                behind.add(ticket_id)
            # Nobody notices what time alone changes in a ticket that has left.
            found[ticket_id] = Ticket(record, tickets.sla(ticket_id, facts), None)
        return behind

    def _has_moved(self, row: Row) -> bool:
        end = self._look.end_of(outputs.FACTS, row["_partition"])
        return end is not None and bool(row["_offset"] >= end)

    def _facts_of(self, ticket_id: str, ticket: Ticket | None, wanted: Row | None, row: Row | None) -> None:
        where = f"ticket {ticket_id}"
        differ = self._differences.add
        self.facts += row is not None
        if ticket is None or wanted is None:
            differ(FACTS, where, "events", "none in the archive", row and row["events"])
        elif row is None:
            differ(FACTS, where, "events", wanted["events"], None)
        else:
            for name, value in wanted.items():
                if (there := plain(row[name])) != value:
                    differ(FACTS, where, name, value, there)
            if ticket.overdue_ms is not None:
                differ(FACTS, where, "as_of", f"at least {instant(ticket.overdue_ms)}", instant(row["as_of"]))

    def _sla_of(self, ticket_id: str, ticket: Ticket | None, found: dict[tuple[str, int, int, str], int]) -> None:
        self.sla_events += len(found)
        events = [] if ticket is None else ticket.sla
        wanted = {(event.target, event.started_at_ms, event.instance, event.kind): event.at_ms for event in events}
        for key in sorted(wanted.keys() | found.keys()):
            if wanted.get(key) != found.get(key):
                target, started_at, number, kind = key
                name = f"{target} {kind}, instance {number} from {instant(started_at)}"
                told = [None if at is None else instant(at) for at in (wanted.get(key), found.get(key))]
                self._differences.add(SLA, f"ticket {ticket_id}", name, *told)
