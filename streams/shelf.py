"""Values by key in a few large buffers: the tickets at rest.

A million values of some hundred bytes that are replaced again and again, as objects of their own among short-lived ones
of the same size, leave the memory full of holes: 3 to 5 KiB a ticket were measured where 0.8 were in use. Here what was
put last is a dictionary; when it has grown to the size of a buffer it is written as one, what it replaces becomes
waste, and when a part of everything is waste, the buffers with the most of it are written anew without it (the
log-structured way: Rosenblum and Ousterhout, 1991). The index is one array of numbers (open addressing, linear
probing), for the same reason: a dictionary would hold two small objects for each key, which keep their neighbours'
memory from being given back.

What lies there can be packed, when there is time for it (``Shelf.tidy``): tickets are much alike, and then take about a
third.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Protocol

from librt.strings import BytesWriter, read_i64_le, write_i64_le
from librt.vecs import append, vec
from mypy_extensions import i64

from streams.packing import Packer

_CHUNK: Final = 1 << 20
"""Bytes of a buffer at most; a larger value gets one of its own."""
_WASTE_PERCENT: Final = 20
"""The part of all buffers that may be waste."""
_HEADER_BYTES: Final = 8
_KEY_SHIFT: Final = 32
_PACKED: Final = 1 << 31
_VALUE_MASK: Final = _PACKED - 1
"""An entry begins with one number, the length of the key above that of the value (and a bit that tells whether it is
packed); the two follow."""
_OFFSET_BITS: Final = 20
_OFFSET_MASK: Final = (1 << _OFFSET_BITS) - 1
_PLACE_BITS: Final = 36
_PLACE_MASK: Final = (1 << _PLACE_BITS) - 1
"""A slot of the index holds 26 bits of the key's hash and the place of the entry: buffer (from 1) and offset."""
_HASH_MASK: Final = (1 << 26) - 1
_FREE: Final = 0
_LEFT: Final = 1
"""A slot whose key has gone: what was probed past it still is to be found."""
_SLOTS: Final = 1 << 10
_AT_ONCE: Final = 8
"""So many buffers are written anew together at most."""
_TIDIED_AT_ONCE: Final = 4
"""So many are packed together at most."""


class Store(Protocol):
    """Where tickets at rest are: a :class:`Shelf`, or the disk (``streams.disk``)."""

    def __len__(self) -> int: ...
    def get(self, key: bytes) -> bytes | None: ...  # noqa: D102
    def put(self, key: bytes, value: bytes) -> None: ...  # noqa: D102
    def pop(self, key: bytes) -> None: ...  # noqa: D102
    def tidy(self) -> bool: ...  # noqa: D102
    def settle(self) -> None: ...  # noqa: D102
    def items(self) -> Iterator[tuple[bytes, bytes]]: ...  # noqa: D102


class Shelf:
    """A mapping from bytes to bytes."""

    def __init__(self) -> None:
        self._fresh: dict[bytes, bytes] = {}
        """What was put last; of these keys the buffers may hold older values."""
        self._fresh_bytes: i64 = 0
        """At least what it takes: what was replaced in it still counts."""
        self._index: vec[i64] = _slots(_SLOTS)
        self._taken: i64 = 0
        """Slots that are not free, those of keys that have gone included."""
        self._count: i64 = 0
        """How many keys are in the index."""
        self._chunks: list[bytes] = [b""]
        self._used: vec[i64] = vec[i64]([0])
        """How many bytes of each buffer are in use."""
        self._plain: vec[i64] = vec[i64]([0])
        """Whether a buffer has something that was not packed yet, 0 or 1."""
        self._packer: Packer | None = None
        self._empty: list[int] = []
        """Numbers of buffers that may be given again."""
        self._written: i64 = 0
        self._in_use: i64 = 0
        self._writer = BytesWriter()
        """Memory in which buffers are written, one after the other."""

    def __len__(self) -> int:
        """How many values. Goes through what was put last."""
        count = self._count
        for key in self._fresh:
            if self._find(key) < 0:
                count += 1
        return count

    def __contains__(self, key: bytes) -> bool:
        """Whether there is a value of this key."""
        return key in self._fresh or self._find(key) >= 0

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values; nothing may be put or forgotten meanwhile."""
        fresh = self._fresh
        for number in range(1, len(self._chunks)):
            chunk = self._chunks[number]
            offset: i64 = 0
            while offset < len(chunk):
                lengths = read_i64_le(chunk, offset)
                begin = offset + _HEADER_BYTES
                middle = begin + (lengths >> _KEY_SHIFT)
                end = middle + (lengths & _VALUE_MASK)
                key = chunk[begin:middle]
                if key not in fresh and self._slot_of(key, number << _OFFSET_BITS | offset) >= 0:
                    yield key, self._value(lengths, chunk[middle:end])
                offset = end
        yield from fresh.items()

    def get(self, key: bytes) -> bytes | None:
        """The value of a key, None without one."""
        value = self._fresh.get(key)
        if value is not None:
            return value
        slot = self._find(key)
        if slot < 0:
            return None
        place = self._index[slot] & _PLACE_MASK
        chunk = self._chunks[place >> _OFFSET_BITS]
        offset = place & _OFFSET_MASK
        begin = offset + _HEADER_BYTES + len(key)
        lengths = read_i64_le(chunk, offset)
        return self._value(lengths, chunk[begin : begin + (lengths & _VALUE_MASK)])

    def _value(self, lengths: i64, held: bytes) -> bytes:
        packer = self._packer
        return packer.unpack(held) if packer is not None and lengths & _PACKED else held

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value of a key."""
        self._fresh[key] = value
        self._fresh_bytes += _HEADER_BYTES + len(key) + len(value)
        if self._fresh_bytes > _CHUNK:
            self._settle(_CHUNK // 2)

    def pop(self, key: bytes) -> None:
        """Forget a key; nothing happens when there is none."""
        self._fresh.pop(key, None)
        slot = self._find(key)
        if slot >= 0:
            self._waste(slot)
            self._index[slot] = _LEFT
            self._count -= 1

    def _find(self, key: bytes) -> i64:
        """The slot of a key in the index; without one, the free slot ``n`` where it would be as ``-1 - n``."""
        index = self._index
        mask = len(index) - 1
        hashed: i64 = hash(key)
        wanted = hashed & _HASH_MASK
        slot = wanted & mask
        length: i64 = len(key)
        while True:
            held = index[slot]
            if held == _FREE:
                return -1 - slot
            if held >> _PLACE_BITS == wanted and held != _LEFT:
                chunk = self._chunks[(held & _PLACE_MASK) >> _OFFSET_BITS]
                offset = held & _OFFSET_MASK
                begin = offset + _HEADER_BYTES
                # A buffer that is being written is still empty: what is in it is another key, of the same hash.
                if (
                    offset < len(chunk)
                    and read_i64_le(chunk, offset) >> _KEY_SHIFT == length
                    and chunk[begin : begin + length] == key
                ):
                    return slot
            slot = (slot + 1) & mask

    def _slot_of(self, key: bytes, place: i64) -> i64:
        """The slot of a key whose entry is at this place, -1 if it is not there."""
        index = self._index
        mask = len(index) - 1
        hashed: i64 = hash(key)
        slot = hashed & _HASH_MASK & mask
        while True:
            held = index[slot]
            if held & _PLACE_MASK == place:
                return slot
            if held == _FREE:
                return -1
            slot = (slot + 1) & mask

    def _waste(self, slot: i64) -> None:
        place = self._index[slot] & _PLACE_MASK
        number = place >> _OFFSET_BITS
        lengths = read_i64_le(self._chunks[number], place & _OFFSET_MASK)
        size = _HEADER_BYTES + (lengths >> _KEY_SHIFT) + (lengths & _VALUE_MASK)
        self._used[number] -= size
        self._in_use -= size

    def settle(self) -> None:
        """Write what was put last as a buffer, however little it is, unless there is hardly anything here."""
        if self._packer is not None:
            self._settle(1)
        self._writer = BytesWriter()

    def _settle(self, least: i64) -> None:
        """Write what was put last as a buffer, where it takes so much: most may have been replaced there already."""
        fresh = self._fresh
        size: i64 = 0
        for key, value in fresh.items():
            size += _HEADER_BYTES + len(key) + len(value)
        self._fresh_bytes = size
        if size < least:
            return
        self._make_room(len(fresh))
        number = self._begin_chunk()
        writer = self._writer
        for key, value in fresh.items():
            key_length: i64 = len(key)
            length: i64 = len(value)
            offset = len(writer)
            if offset and offset + _HEADER_BYTES + key_length + length > _CHUNK:
                self._end_chunk(number, writer)
                number = self._begin_chunk()
                offset = 0
            write_i64_le(writer, key_length << _KEY_SHIFT | length)
            writer.write(key)
            writer.write(value)
            self._plain[number] = 1
            slot = self._find(key)
            if slot >= 0:
                self._waste(slot)
                self._index[slot] = (self._index[slot] & ~_PLACE_MASK) | number << _OFFSET_BITS | offset
            else:
                hashed: i64 = hash(key)
                self._index[-1 - slot] = (hashed & _HASH_MASK) << _PLACE_BITS | number << _OFFSET_BITS | offset
                self._taken += 1
                self._count += 1
        self._end_chunk(number, writer)
        self._fresh = {}
        self._fresh_bytes = 0
        while self._written - self._in_use > max(_CHUNK, self._written * _WASTE_PERCENT // 100):
            self._drop_waste()

    def _make_room(self, more: i64) -> None:
        """Let the index be at most seven tenths taken with so many keys more, by leaving out those that have gone."""
        old = self._index
        if 10 * (self._taken + more) <= 7 * len(old):
            return
        size: i64 = _SLOTS
        while 10 * (self._count + more) > 4 * size:
            size *= 2
        index = _slots(size)
        mask = size - 1
        for held in old:
            if held > _LEFT:
                slot = (held >> _PLACE_BITS) & mask
                while index[slot] != _FREE:
                    slot = (slot + 1) & mask
                index[slot] = held
        self._index = index
        self._taken = self._count

    def _begin_chunk(self) -> i64:
        """The number of a new buffer."""
        if self._empty:
            return self._empty.pop()
        self._chunks.append(b"")
        self._used = append(self._used, 0)
        self._plain = append(self._plain, 0)
        return len(self._chunks) - 1

    def _end_chunk(self, number: i64, writer: BytesWriter) -> None:
        """A buffer was written; all of it is in use."""
        size = len(writer)
        if not size:
            self._empty.append(number)
            return
        self._chunks[number] = writer.getvalue()
        writer.truncate(0)
        self._used[number] = size
        self._written += size
        self._in_use += size

    def _drop_waste(self) -> None:
        """Write the emptiest buffers anew without their waste, as many as fit into one."""
        target = self._begin_chunk()
        writer = BytesWriter()
        for _ in range(_AT_ONCE):
            number = self._emptiest()
            if not number or (len(writer) and len(writer) + self._used[number] > _CHUNK):
                break
            self._move(number, target, writer, None)
        self._end_chunk(target, writer)

    def _emptiest(self) -> i64:
        """The buffer with the greatest part of waste, 0 where none has any."""
        found: i64 = 0
        least: i64 = 1
        least_of: i64 = 1
        for number in range(1, len(self._chunks)):
            size: i64 = len(self._chunks[number])
            used = self._used[number]
            if used * least_of < least * size:
                found, least, least_of = number, used, size
        return found

    def _move(self, number: i64, target: i64, writer: BytesWriter, packer: Packer | None) -> None:
        """Write what is in use of a buffer into another one, packed where a packer makes it smaller, and drop it."""
        index = self._index
        chunk = self._chunks[number]
        size: i64 = len(chunk)
        offset: i64 = 0
        if packer is None and self._plain[number]:
            self._plain[target] = 1
        while offset < size:
            lengths = read_i64_le(chunk, offset)
            begin = offset + _HEADER_BYTES
            middle = begin + (lengths >> _KEY_SHIFT)
            end = middle + (lengths & _VALUE_MASK)
            slot = self._slot_of(chunk[begin:middle], number << _OFFSET_BITS | offset)
            if slot >= 0:
                index[slot] = (index[slot] & ~_PLACE_MASK) | target << _OFFSET_BITS | len(writer)
                packed = b""
                if packer is not None and not lengths & _PACKED:
                    packed = packer.pack(chunk[middle:end])
                length: i64 = len(packed)
                if 0 < length < end - middle:
                    write_i64_le(writer, (lengths >> _KEY_SHIFT) << _KEY_SHIFT | _PACKED | length)
                    writer.write(chunk[begin:middle])
                    writer.write(packed)
                else:
                    writer.write(chunk[offset:end])
            offset = end
        self._drop(number)

    def _drop(self, number: i64) -> None:
        """Give up a buffer, of which nothing is looked for any more."""
        self._written -= len(self._chunks[number])
        self._in_use -= self._used[number]
        self._chunks[number] = b""
        self._used[number] = 0
        self._plain[number] = 0
        self._empty.append(number)

    def tidy(self) -> bool:
        """Pack what is in some buffers, which takes some milliseconds; whether any was not packed."""
        target: i64 = 0
        writer = BytesWriter()
        tidied: i64 = 0
        for number in range(1, len(self._chunks)):
            if self._plain[number] and tidied < _TIDIED_AT_ONCE:
                if not tidied:
                    target = self._begin_chunk()
                elif len(writer) + self._used[number] > _CHUNK:
                    break
                if self._packer is None:
                    self._packer = Packer(_values(self._chunks[number]))
                self._move(number, target, writer, self._packer)
                tidied += 1
        if tidied:
            self._end_chunk(target, writer)
        return tidied > 0


def _values(chunk: bytes) -> list[bytes]:
    """What is in a buffer of which nothing is packed."""
    found: list[bytes] = []
    offset: i64 = 0
    while offset < len(chunk):
        lengths = read_i64_le(chunk, offset)
        middle = offset + _HEADER_BYTES + (lengths >> _KEY_SHIFT)
        offset = middle + (lengths & _VALUE_MASK)
        found.append(chunk[middle:offset])
    return found


def _slots(number: i64) -> vec[i64]:
    return vec[i64]([0] * number)
