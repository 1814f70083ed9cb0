"""What tickets tell their customers' other tickets, on its way: many summaries in one record of ``CUSTOMERS``.

A record for each took a tenth of a backlog's time.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw

from streams.partitioner import partition_of
from streams.published import Output, encode

_MOST_BYTES: Final = 65_536
"""So long a letter grows, and by one summary beyond it."""
_NO_KEY: Final = b""
_decode: Final = msgspec.json.Decoder(list[tuple[str, Raw]]).decode


def letters(told: Iterable[Output], partitions: int) -> dict[int, list[Output]]:
    """The records for summaries (customer, JSON of a ``CustomerTicket``), by partition, in their order.

    ``partitions``: so many the topic has. A customer's summaries are all in one of them, by Kafka's partitioner.
    """
    waiting: dict[int, list[bytes]] = {}
    size: dict[int, int] = {}
    made: dict[int, list[Output]] = {}
    for customer, summary in told:
        number = partition_of(customer, partitions)
        pair = b"[%s,%s]" % (encode(customer.decode()), summary)
        pairs = waiting.setdefault(number, [])
        pairs.append(pair)
        size[number] = size.get(number, 0) + len(pair)
        if size[number] > _MOST_BYTES:
            made.setdefault(number, []).append(_letter(pairs))
            waiting[number] = []
            size[number] = 0
    for number, pairs in waiting.items():
        if pairs:
            made.setdefault(number, []).append(_letter(pairs))
    return made


def _letter(pairs: list[bytes]) -> Output:
    return _NO_KEY, b"[%s]" % b",".join(pairs)


def opened(key: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    """The summaries of one record, each with its customer.

    The key says whose it is where the record is one summary: a mark of ``deskpulse forget``, or of a worker of before
    there were letters.
    """
    if value[:1] != b"[":
        return [(key, value)]
    return [(customer.encode(), bytes(summary)) for customer, summary in _decode(value)]
