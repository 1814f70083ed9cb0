"""Which tickets a backfill looks at, and which of them it may write: those that the workers have let go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.backfill.period import Period
from deskpulse.backfill.tables import TICKETS
from deskpulse.recompute.tickets import Tickets
from streams.calendars import DAY_MS
from streams.config import DomainConfig
from streams.facts import RECOVERY_MS

# All tickets that can count in the period: those that lived in it, and those whose customers' tickets they judge. What
# a closed ticket was before the period it still is, unless the archive knows more of it than its facts do.
_CHOOSE: Final = f"""\
INSERT INTO {TICKETS}
SELECT e.ticket_id FROM
(
    SELECT ticket_id, min(at) AS first_at, max(at) AS last_at, count() AS records
    FROM events WHERE _key = ticket_id GROUP BY ticket_id
) AS e
LEFT JOIN (SELECT ticket_id, events, status FROM ticket_facts FINAL) AS f ON e.ticket_id = f.ticket_id
WHERE first_at < fromUnixTimestamp64Milli({{until:Int64}}) AND (last_at >= fromUnixTimestamp64Milli({{since:Int64}})
    OR e.records > f.events OR f.status NOT IN ('solved', 'closed'))"""  # noqa: S608 (this program's own names)
_KNOWN: Final = f"""\
SELECT ticket_id, events,
    status NOT IN ('solved', 'closed') AND NOT deleted AND merged_into IS NULL AND created_at IS NOT NULL,
    _backfilled_at IS NOT NULL
FROM ticket_facts FINAL WHERE ticket_id IN {TICKETS}"""  # noqa: S608
_GONE: Final = f"""\
SELECT count(), min(ticket_id) FROM ticket_facts FINAL
WHERE created_at < fromUnixTimestamp64Milli({{until:Int64}}) AND as_of >= fromUnixTimestamp64Milli({{since:Int64}})
    AND ticket_id NOT IN (SELECT ticket_id FROM events) AND ticket_id NOT IN {TICKETS}"""  # noqa: S608
_ARRIVALS: Final = """\
SELECT ticket_id, min(toUnixTimestamp64Milli(_produced_at)) AS came_at, any(toUnixTimestamp64Milli(at))
FROM events WHERE ticket_id IN {tickets:Array(String)} AND _key = ticket_id
GROUP BY ticket_id, id ORDER BY ticket_id, came_at"""
_TICKETS_AT_ONCE: Final = 1_000


class Known(NamedTuple):
    """What the facts in ClickHouse say of a ticket."""

    events: int
    open: bool
    backfilled: bool


class IncompleteError(RuntimeError):
    """The archive lacks events of the period; says of which tickets and what to do."""


def choose(client: Client, period: Period, config: DomainConfig) -> None:
    """Fill the table of the tickets that are looked at."""
    # A repeat contact and a recovery come at most so long after what they judge.
    after_ms = max(RECOVERY_MS, config.fcr_days * DAY_MS)
    client.command(_CHOOSE, parameters={"since": period.since_ms, "until": period.until_ms + after_ms})


def known(client: Client) -> dict[str, Known]:
    """What ClickHouse knows of the tickets that are looked at."""
    return {row[0]: Known(row[1], bool(row[2]), bool(row[3])) for row in client.query(_KNOWN).result_rows}


def check_complete(client: Client, period: Period, tickets: Tickets, facts: Mapping[str, Known]) -> None:
    """Raise :class:`IncompleteError` where tickets have more events than are there."""
    parameters = {"since": period.since_ms, "until": period.until_ms}
    ((gone, example),) = client.query(_GONE, parameters=parameters).result_rows
    short = [
        ticket_id
        for ticket_id, one in facts.items()
        if one.events > tickets.events_of(ticket_id) and not tickets.is_erased(ticket_id)
    ]
    if gone or short:
        example = min(short) if short else example
        raise IncompleteError(
            f"of {gone + len(short):,} tickets of the period, like {example}, the archive has fewer events than their "
            "facts were made of: its retention (clickhouse.retention.events) has removed some; give the FILEs that "
            "have them"
        )


def left(client: Client, tickets: Tickets, facts: Mapping[str, Known]) -> set[str]:
    """The tickets that have left the horizon: no worker will write a row of them.

    What the workers know of a ticket are the first of its events to come, as many as its facts have.
    """
    horizon = tickets.config.horizon_ms
    if horizon is None:
        return {ticket_id for ticket_id, one in facts.items() if one.backfilled}
    found: set[str] = set()
    more: list[str] = []
    for ticket_id in tickets.kept:
        one = facts.get(ticket_id)
        if one is not None and one.backfilled:
            found.add(ticket_id)
        elif one is None or one.events >= tickets.events_of(ticket_id):
            now, _ = tickets.facts(ticket_id, tickets.now_of(ticket_id))
            if not now.open and now.last_at + horizon <= tickets.now_of(ticket_id):
                found.add(ticket_id)
        elif not one.open:
            more.append(ticket_id)
    for start in range(0, len(more), _TICKETS_AT_ONCE):
        some = more[start : start + _TICKETS_AT_ONCE]
        came: dict[str, list[int]] = {}
        for ticket_id, _, at in client.query(_ARRIVALS, parameters={"tickets": some}).result_rows:
            came.setdefault(ticket_id, []).append(at)
        for ticket_id in some:
            first = came.get(ticket_id, [])[: facts[ticket_id].events]
            if first and max(first) + horizon <= tickets.now_of(ticket_id):
                found.add(ticket_id)
    return found
