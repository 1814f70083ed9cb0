"""Where the events of a ticket come from: files of events, or the raw archive of the running system in ClickHouse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import AnyEvent, TicketCreated, TicketUpdated, decode
from sources.files import read_batches

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_OF_TICKET: Final = "SELECT DISTINCT value FROM events WHERE ticket_id = {ticket_id:String}"
_OF_CUSTOMERS: Final = """\
SELECT DISTINCT value FROM events
WHERE ticket_id != {ticket_id:String} AND ticket_id IN (
    SELECT ticket_id FROM events
    WHERE type IN ('ticket.created', 'ticket.updated')
        AND JSONExtractString(value, 'customer_id') IN {customers:Array(String)}
)
LIMIT {most:UInt64}"""


class TooManyEventsError(Exception):
    """The customer of a ticket has more events than may be looked at; says what to do instead."""


def read_file(name: str, on_bad: Callable[[int, bytes, str], None]) -> list[AnyEvent]:
    """The events of a file (``-`` is standard input); blank lines and events of unknown types are nothing.

    Of a bad line ``on_bad`` is told its number, from 1, the line and what is wrong with it. Raises
    ``sources.files.InputError``.
    """
    events: list[AnyEvent] = []
    for batch in read_batches(name):
        for number, line in enumerate(batch.lines, batch.first_line):
            try:
                events.append(decode(line))
            except BadRecordError as error:
                if line.strip():
                    on_bad(number, line, str(error))
            except UnknownTypeError:
                pass
    return events


def read_archive(client: Client, ticket_id: str, most_events: int = 0) -> list[AnyEvent]:
    """The archived events of a ticket, and of all other tickets that ever belonged to a customer of it.

    Nothing for a ticket that the archive does not know. Raises ``TooManyEventsError`` where the other tickets have more
    than ``most_events`` (0: as many as there are).
    """
    own = _events(client.query(_OF_TICKET, parameters={"ticket_id": ticket_id}).result_rows)
    told = [event.customer_id for event in own if isinstance(event, TicketCreated | TicketUpdated)]
    customers = sorted({customer for customer in told if customer is not UNSET})
    if not customers:
        return own
    parameters = {"ticket_id": ticket_id, "customers": customers, "most": most_events + 1 if most_events else 2**63}
    others = _events(client.query(_OF_CUSTOMERS, parameters=parameters).result_rows)
    if most_events and len(others) > most_events:
        raise TooManyEventsError(
            f"the customer of ticket {ticket_id} has more than {most_events:,} events on other tickets; "
            f"`deskpulse explain --ticket {ticket_id}` looks at all of them"
        )
    return own + others


def _events(rows: Sequence[Sequence[str]]) -> list[AnyEvent]:
    """The archive holds accepted records only."""
    return [decode(value.encode()) for (value,) in rows]
