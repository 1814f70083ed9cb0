"""Values by key in a few large buffers: the tickets at rest.

A million values of some hundred bytes that are replaced again and again, as objects of their own among short-lived ones
of the same size, leave the memory full of holes: 3 to 5 KiB a ticket were measured where 0.8 were in use. Here a value
is written behind the last one, the one that it replaces becomes waste, and when a part of everything is waste, the
buffer with the most of it is emptied into the last one (the log-structured way: Rosenblum and Ousterhout, 1991).
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import Final

_CHUNK: Final = 1 << 20
"""Bytes of a buffer; a larger value gets one of its own."""
_WASTE: Final = 0.2
"""The part of all buffers that may be waste."""
_HEADER: Final = Struct("<HI")
"""Length of the key and of the value; the two follow."""
_PLACE_BITS: Final = 32


class Shelf:
    """A mapping from bytes to bytes."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}
        """Key to number of its buffer and offset in it."""
        self._chunks: dict[int, bytes | bytearray] = {}
        self._used: dict[int, int] = {}
        """Buffer to how many of its bytes are in use."""
        self._last = -1
        self._growing = bytearray()
        """The last buffer."""
        self._written = 0
        self._in_use = 0

    def __len__(self) -> int:
        """How many values."""
        return len(self._places)

    def __contains__(self, key: bytes) -> bool:
        """Whether there is a value of this key."""
        return key in self._places

    def __iter__(self) -> Iterator[bytes]:
        """The keys, in the order in which they first came."""
        return iter(self._places)

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None without one."""
        place = self._places.get(key)
        if place is None:
            return None
        chunk = self._chunks[place >> _PLACE_BITS]
        offset = place & ((1 << _PLACE_BITS) - 1)
        key_length, length = _HEADER.unpack_from(chunk, offset)
        start = offset + _HEADER.size + key_length
        return bytes(chunk[start : start + length])

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._waste(key)
        self._write(key, _HEADER.pack(len(key), len(value)) + key + value)
        if self._written - self._in_use > max(_CHUNK, _WASTE * self._written):
            self._empty_one()

    def pop(self, key: bytes) -> None:
        """Forget a key; nothing happens when there is none."""
        self._waste(key)
        self._places.pop(key, None)

    def _waste(self, key: bytes) -> None:
        place = self._places.get(key)
        if place is not None:
            number = place >> _PLACE_BITS
            key_length, length = _HEADER.unpack_from(self._chunks[number], place & ((1 << _PLACE_BITS) - 1))
            size = _HEADER.size + key_length + length
            self._used[number] -= size
            self._in_use -= size

    def _write(self, key: bytes, entry: bytes) -> None:
        size = len(entry)
        if self._last < 0 or len(self._growing) + size > _CHUNK:
            if self._last >= 0:
                self._chunks[self._last] = bytes(self._growing)  # without the room to grow
            self._last += 1
            self._growing = bytearray()
            self._chunks[self._last] = self._growing
            self._used[self._last] = 0
        self._places[key] = self._last << _PLACE_BITS | len(self._growing)
        self._growing += entry
        self._used[self._last] += size
        self._written += size
        self._in_use += size

    def _empty_one(self) -> None:
        """Write what is in use of the emptiest buffer behind the last one, and drop the buffer."""
        number = min(self._used, key=lambda n: self._used[n] / len(self._chunks[n]) if n != self._last else 2.0)
        chunk = self._chunks.pop(number)
        used = self._used.pop(number)
        self._written -= len(chunk)
        self._in_use -= used
        offset = 0
        while offset < len(chunk):
            key_length, length = _HEADER.unpack_from(chunk, offset)
            end = offset + _HEADER.size + key_length + length
            key = bytes(chunk[offset + _HEADER.size : offset + _HEADER.size + key_length])
            if self._places.get(key) == number << _PLACE_BITS | offset:
                self._write(key, bytes(chunk[offset:end]))
            offset = end
