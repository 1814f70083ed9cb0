"""Values by key in a few large buffers: the tickets at rest.

A million values of some hundred bytes that are replaced again and again, as objects of their own among short-lived ones
of the same size, leave the memory full of holes: 3 to 5 KiB a ticket were measured where 0.8 were in use. Here a value
is written behind the last one, the one that it replaces becomes waste, and when a part of everything is waste, the
buffer with the most of it is emptied into the last one (the log-structured way: Rosenblum and Ousterhout, 1991). The
index is one array of numbers (open addressing, linear probing), for the same reason: a dictionary would hold two small
objects for each key, which keep their neighbours' memory from being given back.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from struct import Struct
from typing import Final, Protocol

_CHUNK: Final = 1 << 20
"""Bytes of a buffer; a larger value gets one of its own."""
_WASTE: Final = 0.2
"""The part of all buffers that may be waste."""
_HEADER: Final = Struct("<HI")
"""Length of the key and of the value; the two follow."""
_HEADER_SIZE: Final = 6
_OFFSET_BITS: Final = 20
_OFFSET_MASK: Final = (1 << _OFFSET_BITS) - 1
_PLACE_BITS: Final = 36
_PLACE_MASK: Final = (1 << _PLACE_BITS) - 1
"""A slot of the index holds 26 bits of the key's hash and the place of the entry: buffer (from 1) and offset. More than
62 bits would be slow: compiled code keeps such numbers as objects."""
_HASH_MASK: Final = (1 << 26) - 1
_FREE: Final = 0
_LEFT: Final = 1
"""A slot whose key has gone: what was probed past it still is to be found."""
_SLOTS: Final = 1 << 10


class Store(Protocol):
    """Where tickets at rest are: a :class:`Shelf`, or the disk (``streams.disk``)."""

    def __len__(self) -> int: ...
    def get(self, key: bytes) -> bytes | None: ...  # noqa: D102
    def put(self, key: bytes, value: bytes) -> None: ...  # noqa: D102
    def pop(self, key: bytes) -> None: ...  # noqa: D102
    def items(self) -> Iterator[tuple[bytes, bytes]]: ...  # noqa: D102


class Shelf:
    """A mapping from bytes to bytes."""

    def __init__(self) -> None:
        self._index = array("Q", bytes(8 * _SLOTS))
        self._taken = 0
        """Slots that are not free, those of keys that have gone included."""
        self._count = 0
        self._chunks: list[bytes | bytearray] = [b""]
        self._used: list[int] = [0]
        """How many bytes of each buffer are in use."""
        self._empty: list[int] = []
        """Numbers of buffers that may be given again."""
        self._last = 0
        self._growing = bytearray()
        """The last buffer."""
        self._written = 0
        self._in_use = 0

    def __len__(self) -> int:
        """How many values."""
        return self._count

    def __contains__(self, key: bytes) -> bool:
        """Whether there is a value of this key."""
        return self._find(key) >= 0

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values. What is replaced meanwhile may come twice, keys that come or go may not."""
        for number in range(1, len(self._chunks)):
            chunk = self._chunks[number]
            offset = 0
            while offset < len(chunk):
                key_length, length = _HEADER.unpack_from(chunk, offset)
                begin = offset + _HEADER_SIZE
                middle = begin + key_length
                end = middle + length
                key = bytes(chunk[begin:middle])
                if self._is_at(key, number << _OFFSET_BITS | offset):
                    yield key, bytes(chunk[middle:end])
                offset = end

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None without one."""
        slot = self._find(key)
        if slot < 0:
            return None
        place = self._index[slot] & _PLACE_MASK
        chunk = self._chunks[place >> _OFFSET_BITS]
        offset = place & _OFFSET_MASK
        key_length, length = _HEADER.unpack_from(chunk, offset)
        start = offset + _HEADER_SIZE + key_length
        return bytes(chunk[start : start + length])

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        entry = _HEADER.pack(len(key), len(value)) + key + value
        slot = self._find(key)
        if slot >= 0:
            self._waste(slot)
            place = self._write(entry)
            self._index[slot] = (self._index[slot] & ~_PLACE_MASK) | place
        else:
            place = self._write(entry)
            self._take(hash(key) & _HASH_MASK, place)
            self._count += 1
            if 5 * self._taken > 3 * len(self._index):
                self._rebuild()
        if self._written - self._in_use > max(_CHUNK, _WASTE * self._written):
            self._empty_one()

    def pop(self, key: bytes) -> None:
        """Forget a key; nothing happens when there is none."""
        slot = self._find(key)
        if slot >= 0:
            self._waste(slot)
            self._index[slot] = _LEFT
            self._count -= 1

    def _find(self, key: bytes) -> int:
        """The slot of a key, -1 without one."""
        index = self._index
        mask = len(index) - 1
        wanted = hash(key) & _HASH_MASK
        slot = wanted & mask
        length = len(key)
        while True:
            held = index[slot]
            if held == _FREE:
                return -1
            if held >> _PLACE_BITS == wanted and held != _LEFT:
                chunk = self._chunks[(held & _PLACE_MASK) >> _OFFSET_BITS]
                offset = held & _OFFSET_MASK
                begin = offset + _HEADER_SIZE
                if chunk[begin : begin + length] == key and _HEADER.unpack_from(chunk, offset)[0] == length:
                    return slot
            slot = (slot + 1) & mask

    def _is_at(self, key: bytes, place: int) -> bool:
        slot = self._find(key)
        return slot >= 0 and self._index[slot] & _PLACE_MASK == place

    def _take(self, hashed: int, place: int) -> None:
        """Put a place into the first free slot for a hash."""
        index = self._index
        mask = len(index) - 1
        slot = hashed & mask
        while index[slot] != _FREE:
            slot = (slot + 1) & mask
        index[slot] = hashed << _PLACE_BITS | place
        self._taken += 1

    def _rebuild(self) -> None:
        """Make room: an index of about a third taken, without the slots of keys that have gone."""
        old = self._index
        size = _SLOTS
        while size < 3 * self._count:
            size *= 2
        self._index = array("Q", bytes(8 * size))
        self._taken = 0
        for held in old:
            if held > _LEFT:
                self._take(held >> _PLACE_BITS, held & _PLACE_MASK)

    def _waste(self, slot: int) -> None:
        place = self._index[slot] & _PLACE_MASK
        number = place >> _OFFSET_BITS
        key_length, length = _HEADER.unpack_from(self._chunks[number], place & _OFFSET_MASK)
        size = _HEADER_SIZE + key_length + length
        self._used[number] -= size
        self._in_use -= size

    def _write(self, entry: bytes) -> int:
        """Where the entry was written."""
        size = len(entry)
        if not self._last or len(self._growing) + size > _CHUNK:
            self._begin_chunk()
        place = self._last << _OFFSET_BITS | len(self._growing)
        self._growing += entry
        self._used[self._last] += size
        self._written += size
        self._in_use += size
        return place

    def _begin_chunk(self) -> None:
        if self._last:
            self._chunks[self._last] = bytes(self._growing)  # without the room to grow
        self._growing = bytearray()
        if self._empty:
            self._last = self._empty.pop()
            self._chunks[self._last] = self._growing
        else:
            self._last = len(self._chunks)
            self._chunks.append(self._growing)
            self._used.append(0)

    def _empty_one(self) -> None:
        """Write what is in use of the emptiest buffer behind the last one, and drop the buffer."""
        number, least = 0, 2.0
        for candidate in range(1, len(self._chunks)):
            if candidate != self._last and len(self._chunks[candidate]):
                part = self._used[candidate] / len(self._chunks[candidate])
                if part < least:
                    number, least = candidate, part
        if not number:
            return
        chunk = self._chunks[number]
        offset = 0
        while offset < len(chunk):
            key_length, length = _HEADER.unpack_from(chunk, offset)
            end = offset + _HEADER_SIZE + key_length + length
            key = bytes(chunk[offset + _HEADER_SIZE : offset + _HEADER_SIZE + key_length])
            slot = self._find(key)
            if slot >= 0 and self._index[slot] & _PLACE_MASK == number << _OFFSET_BITS | offset:
                place = self._write(bytes(chunk[offset:end]))
                self._index[slot] = (self._index[slot] & ~_PLACE_MASK) | place
            offset = end
        self._written -= len(chunk)
        self._in_use -= self._used[number]
        self._used[number] = 0
        self._chunks[number] = b""
        self._empty.append(number)
