"""Reading the raw archive: every ticket's set of events, packed as the workers pack it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from clickhouse_connect.driver.client import Client

from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import decode, decode_at
from streams import history as histories
from streams.history import ADDED, History, HistoryFullError
from streams.pseudonyms import Pseudonyms

FILES: Final = "files"
"""What stands for the topic of events that no worker has read: ``deskpulse backfill`` took them from files."""
_RECORDS_AT_ONCE: Final = 50_000
_PLACES: Final = "SELECT _topic, _partition, count() FROM events WHERE {chosen} GROUP BY ALL ORDER BY ALL"
_RECORDS: Final = """\
SELECT _offset, _key, ticket_id, value FROM events
WHERE _topic = {{topic:String}} AND _partition = {{partition:Int32}}
    AND _offset > {{after:Int64}} AND _offset < {{end:UInt64}} AND {chosen}
ORDER BY _offset LIMIT {{most:UInt64}}"""
_NO_END: Final = 2**63 - 1
_REFUSED: Final = -1

Place = tuple[str, int, int]
"""Topic, partition and offset of a record."""
Progress = Callable[[int, int], None]


class Kept(NamedTuple):
    """One ticket of the archive: small, since all are held."""

    partition: int
    history: bytes
    """Its events (``streams.history.History.encode``)."""


class Apart(NamedTuple):
    """Events of one ticket that no worker took in: they came late, or from files."""

    partition: int
    values: list[bytes]


class Archive(NamedTuple):
    """What the archive holds."""

    tickets: dict[str, Kept]
    """With the events that the workers took in."""
    apart: dict[str, Apart]
    """What else there is of tickets."""
    records: int
    """How many records count, repeated ones included."""
    refused: int
    """How many were left out, since the workers refused them; late ones included."""
    strays: list[str]
    """Tickets whose events lie in several partitions."""

    def complete(self) -> dict[str, Kept]:
        """All tickets with all of their events, also those that no worker took in."""
        complete = dict(self.tickets)
        for ticket_id, apart in self.apart.items():
            complete[ticket_id], _ = with_events(complete.get(ticket_id) or nothing(apart.partition), apart.values)
        return complete


def nothing(partition: int) -> Kept:
    """A ticket without events."""
    return Kept(partition, History().encode())


def with_events(kept: Kept, values: Iterable[bytes]) -> tuple[Kept, list[bytes]]:
    """A ticket with more events, and those of them that it did not have."""
    history = History(*histories.decode(kept.history))
    new = [value for value in values if _add(history, value) == ADDED]
    history.put_in_order()
    return Kept(kept.partition, history.encode()), new


def _add(history: History, value: bytes) -> int:
    """Add what a record says (``History.add``); ``_REFUSED`` where the workers refuse it."""
    try:
        return history.add(*decode_at(value))
    except (BadRecordError, UnknownTypeError, HistoryFullError):
        return _REFUSED


def _hidden(value: bytes, pseudonyms: Pseudonyms) -> bytes:
    try:
        return msgspec.json.encode(pseudonyms.hide(decode(value)))
    except (BadRecordError, UnknownTypeError):
        return value  # It is refused all the same.


def read(
    client: Client,
    end_of: Callable[[str, int], int | None],
    refused: Collection[Place],
    late: Collection[Place],
    on_progress: Progress,
    only: str = "",
    pseudonyms: Pseudonyms | None = None,
) -> Archive:
    """All tickets and their events, without what the workers refused.

    ``end_of`` says of a topic and partition which offset and what follows it is not to be read, None where all is.
    ``refused`` holds all records that count nowhere, ``late`` those of them that were refused as late; ``only`` is a
    table of the ``ticket_id`` that are to be read, '' for all. ``on_progress`` hears how many records were read, and of
    how many. ``pseudonyms`` replaces persons' ids where the archive does not have pseudonyms already.
    """
    chosen = f"ticket_id IN {only}" if only else "true"
    places = client.query(_PLACES.format(chosen=chosen))
    total = sum(count for _, _, count in places.result_rows)
    late, dead = set(late), set(refused).difference(late)
    tickets: dict[str, Kept] = {}
    apart: dict[str, Apart] = {}
    strays: set[str] = set()
    read_so_far = counted = left_out = 0
    for topic, partition, _ in places.result_rows:
        newest = -1
        for block in _blocks(client, topic, partition, end_of(topic, partition), chosen):
            touched: dict[str, History] = {}
            for offset, key, ticket_id, archived in block:
                if offset == newest:
                    continue  # Inserted again after a fault, and not merged yet.
                newest = offset
                value = archived.encode() if pseudonyms is None else _hidden(archived.encode(), pseudonyms)
                place = topic, partition, offset
                # A record under another key is refused, too; the archive says so itself.
                if place in dead or key != ticket_id:
                    left_out += 1
                    continue
                if place in late or topic == FILES:
                    left_out += topic != FILES
                    apart.setdefault(ticket_id, Apart(partition, [])).values.append(value)
                    continue
                history = touched.get(ticket_id)
                if history is None:
                    known = tickets.get(ticket_id)
                    if known is not None and known.partition != partition:
                        strays.add(ticket_id)
                    history = touched[ticket_id] = (
                        History() if known is None else History(*histories.decode(known.history))
                    )
                if _add(history, value) == _REFUSED:
                    left_out += 1
                else:
                    counted += 1
            for ticket_id, history in touched.items():
                history.put_in_order()
                first = tickets.get(ticket_id)
                tickets[ticket_id] = Kept(partition if first is None else first.partition, history.encode())
            read_so_far += len(block)
            on_progress(read_so_far, total)
    return Archive(tickets, apart, counted, left_out, sorted(strays))


def _blocks(client: Client, topic: str, partition: int, end: int | None, chosen: str) -> Iterator[list[Any]]:
    query = _RECORDS.format(chosen=chosen)
    after = -1
    while True:
        parameters = {
            "topic": topic,
            "partition": partition,
            "after": after,
            "end": _NO_END if end is None else end,
            "most": _RECORDS_AT_ONCE,
        }
        rows = list(client.query(query, parameters=parameters).result_rows)
        if rows:
            yield rows
            after = rows[-1][0]
        if len(rows) < _RECORDS_AT_ONCE:
            return
