"""In which partition Kafka's own producers put a key.

Producers of input events need librdkafka's setting ``"partitioner": "murmur2_random"``; its default (CRC32) would put
a ticket's events elsewhere than a Java client does, and a ticket would be in two partitions.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i32_le
from mypy_extensions import i64

_SEED: Final[i64] = 0x9747B28C
_M: Final[i64] = 0x5BD1E995
_MASK: Final[i64] = 0xFFFFFFFF


def murmur2(data: bytes) -> i64:
    """The unsigned 32-bit MurmurHash2 of Kafka's Java client (``org.apache.kafka.common.utils.Utils.murmur2``)."""
    size: i64 = len(data)
    h = _SEED ^ size
    whole = size & ~3
    at: i64 = 0
    while at < whole:
        k = _times_m(i64(read_i32_le(data, at)))
        h = _times_m(h) ^ _times_m(k ^ k >> 24)
        at += 4
    if at < size:
        rest: i64 = 0
        end = size
        while end > at:
            end -= 1
            rest = rest << 8 | data[end]
        h = _times_m(h ^ rest)
    h = _times_m(h ^ h >> 13)
    return h ^ h >> 15


def _times_m(number: i64) -> i64:
    """The lowest 32 bits of the product."""
    return (number & _MASK) * _M & _MASK


def partition_of(key: bytes, partitions: int) -> int:
    """The partition of a record with this key in a topic of so many partitions."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
