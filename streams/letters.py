"""What tickets tell their customers' other tickets, on its way: many summaries in one record of ``CUSTOMERS``.

A record for each took a tenth of a backlog's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from librt.strings import BytesWriter
from msgspec import Raw

from streams.json_bytes import CLOSE_ARRAY, COMMA, OPEN_ARRAY
from streams.json_object import write_text
from streams.partitioner import partition_of
from streams.published import Output

_MOST_BYTES: Final = 65_536
"""So long a letter grows, and by one summary beyond it."""
_NO_KEY: Final = b""
_decode: Final = msgspec.json.Decoder(list[tuple[str, Raw]]).decode


def letters(told: Sequence[Output], partitions: int) -> dict[int, list[Output]]:
    """The records for summaries (customer, JSON of a ``CustomerTicket``), by partition, in their order.

    ``partitions``: so many the topic has. A customer's summaries are all in one of them, by Kafka's partitioner.
    """
    waiting: dict[int, BytesWriter] = {}
    made: dict[int, list[Output]] = {}
    for customer, summary in told:
        assert summary is not None  # there are no tombstones among them
        number = partition_of(customer, partitions)
        letter = waiting.get(number)
        if letter is None:
            letter = waiting[number] = BytesWriter()
        letter.append(COMMA if len(letter) else OPEN_ARRAY)
        letter.append(OPEN_ARRAY)
        write_text(letter, customer)
        letter.append(COMMA)
        letter.write(summary)
        letter.append(CLOSE_ARRAY)
        if len(letter) > _MOST_BYTES:
            made.setdefault(number, []).append(_ended(letter))
    for number, letter in waiting.items():
        if len(letter):
            made.setdefault(number, []).append(_ended(letter))
    return made


def _ended(letter: BytesWriter) -> Output:
    letter.append(CLOSE_ARRAY)
    value = letter.getvalue()
    letter.truncate(0)
    return _NO_KEY, value


def opened(key: bytes, value: bytes) -> list[tuple[bytes, bytes]]:
    """The summaries of one record, each with its customer.

    The key says whose it is where the record is one summary: a mark of ``deskpulse forget``, or of a worker of before
    there were letters.
    """
    if value[:1] != b"[":
        return [(key, value)]
    return [(customer.encode(), bytes(summary)) for customer, summary in _decode(value)]
