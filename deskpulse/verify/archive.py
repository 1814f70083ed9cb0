"""Reading the raw archive: every ticket's set of events, packed as the workers pack it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.verify.differences import ARCHIVE, Differences
from deskpulse.verify.looks import Look
from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import decode_at
from streams.history import History, HistoryFullError, decode

_RECORDS_AT_ONCE: Final = 50_000
_PLACES: Final = "SELECT _topic, _partition, count() FROM events GROUP BY ALL ORDER BY ALL"
_RECORDS: Final = """\
SELECT _offset, _key, ticket_id, value FROM events
WHERE _topic = {topic:String} AND _partition = {partition:Int32} AND _offset > {after:Int64} AND _offset < {end:UInt64}
ORDER BY _offset LIMIT {most:UInt64}"""
_NO_END: Final = 2**63 - 1


class Kept(NamedTuple):
    """One ticket of the archive: small, since all are held."""

    partition: int
    history: bytes
    """Its events (``streams.history.History.encode``)."""


class Archive(NamedTuple):
    """What the archive holds."""

    tickets: dict[str, Kept]
    records: int
    """How many records count, repeated ones included."""
    refused: int
    """How many were left out, since the workers refused them."""


def read(client: Client, look: Look, differences: Differences, on_progress: Callable[[int, int], None]) -> Archive:
    """All tickets whose events came before the look, without what the workers refused.

    ``on_progress`` hears how many records were read, and of how many.
    """
    places = client.query(_PLACES).result_rows
    total = sum(count for _, _, count in places)
    refused = set(look.refused)
    tickets: dict[str, Kept] = {}
    strays: set[str] = set()
    read_so_far = counted = left_out = 0
    for topic, partition, _ in places:
        for block in _blocks(client, topic, partition, look.end_of(topic, partition)):
            touched: dict[str, History] = {}
            for offset, key, ticket_id, value in block:
                # A record under another key is refused, too; the archive says so itself.
                if (topic, partition, offset) in refused or key != ticket_id:
                    left_out += 1
                    continue
                history = touched.get(ticket_id)
                if history is None:
                    known = tickets.get(ticket_id)
                    if known is not None and known.partition != partition:
                        strays.add(ticket_id)
                    history = touched[ticket_id] = History() if known is None else History(*decode(known.history))
                try:
                    history.add(*decode_at(value.encode()))
                    counted += 1
                except (BadRecordError, UnknownTypeError, HistoryFullError):
                    left_out += 1
            for ticket_id, history in touched.items():
                history.put_in_order()
                first = tickets.get(ticket_id)
                tickets[ticket_id] = Kept(partition if first is None else first.partition, history.encode())
            read_so_far += len(block)
            on_progress(read_so_far, total)
    for ticket_id in sorted(strays):
        found = "several; its events were published under different keys or with different partitioners"
        differences.add(ARCHIVE, f"ticket {ticket_id}", "partition", "one for all of its events", found)
    return Archive(tickets, counted, left_out)


def _blocks(client: Client, topic: str, partition: int, end: int | None) -> Iterator[list[Any]]:
    after = -1
    while True:
        parameters = {
            "topic": topic,
            "partition": partition,
            "after": after,
            "end": _NO_END if end is None else end,
            "most": _RECORDS_AT_ONCE,
        }
        rows = list(client.query(_RECORDS, parameters=parameters).result_rows)
        if rows:
            yield rows
            after = rows[-1][0]
        if len(rows) < _RECORDS_AT_ONCE:
            return
