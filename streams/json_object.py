"""Writing flat JSON objects field by field, in memory that is used again.

An object of Python for each record and an encoder that walks over its fields took several times as long; what is read
back is decoded by the contract (``schemas.outputs``), which leaves out the same: what is zero or unknown.
"""

from __future__ import annotations

from typing import Final

import msgspec
from librt.strings import BytesWriter, read_i16_le, read_i32_le, write_i16_le, write_i32_le
from mypy_extensions import i16, i64, u8

from streams.json_bytes import BACKSLASH, CLOSE, COLON, COMMA, DOT, MINUS, OPEN, QUOTE, SPACE, ZERO

_encode: Final = msgspec.json.encode
_FIRST: Final[i16] = OPEN | QUOTE << 8
"""What stands before the first name, before the next ones, and behind each: two characters as one number."""
_NEXT: Final[i16] = COMMA | QUOTE << 8
_NAMED: Final[i16] = QUOTE | COLON << 8
_PAIRS: Final = b"".join([b"%02d" % number for number in range(100)])
_FOURS: Final = b"".join([b"%04d" % number for number in range(10_000)])


class JsonObject:
    """One object after the other: :meth:`begin`, fields, :meth:`end`. Names are ASCII. Not for several threads."""

    def __init__(self) -> None:
        self._out = BytesWriter()
        self._before: i16 = _FIRST

    def begin(self) -> None:
        """Begin an object."""
        self._out.truncate(0)
        self._before = _FIRST

    def end(self) -> bytes:
        """The object; it has at least one field."""
        self._out.append(CLOSE)
        return self._out.getvalue()

    def raw(self, name: bytes, value: bytes) -> None:
        """A field whose value is JSON already."""
        self._name(name)
        self._out.write(value)

    def fields(self, written: bytes) -> None:
        """Fields that are written already, as they stand between the braces of an object that has some."""
        if written:
            self._out.append(u8(self._before & 0xFF))
            self._out.write(written)
            self._before = _NEXT

    def text(self, name: bytes, value: str) -> None:
        """A text, left out where it is empty."""
        if value:
            self.utf8(name, value.encode())

    def utf8(self, name: bytes, value: bytes) -> None:
        """A text, by its UTF-8."""
        self._name(name)
        write_text(self._out, value)

    def count(self, name: bytes, value: i64) -> None:
        """A whole number, left out where it is 0."""
        if value != 0:
            self.integer(name, value)

    def integer(self, name: bytes, value: i64) -> None:
        """A whole number."""
        self._name(name)
        self._digits(value)

    def mark(self, name: bytes, value: bool) -> None:
        """True, left out where it is false."""
        if value:
            self.raw(name, b"true")

    def flag(self, name: bytes, value: bool | None) -> None:
        """True or false, left out where it is None."""
        if value is not None:
            self.raw(name, b"true" if value else b"false")

    def seconds(self, name: bytes, ms: int | None) -> None:
        """Milliseconds as seconds, left out where they are None."""
        if ms is not None:
            self._name(name)
            self._seconds(ms)

    def _name(self, name: bytes) -> None:
        out = self._out
        write_i16_le(out, self._before)
        out.write(name)
        write_i16_le(out, _NAMED)
        self._before = _NEXT

    def _digits(self, value: i64) -> None:
        out = self._out
        if value < 0:
            out.append(MINUS)
            value = -value
        if value >= 10_000:
            self._digits(value // 10_000)
            write_i32_le(out, read_i32_le(_FOURS, 4 * (value % 10_000)))
        elif value >= 100:
            self._digits(value // 100)
            write_i16_le(out, read_i16_le(_PAIRS, 2 * (value % 100)))
        elif value >= 10:
            write_i16_le(out, read_i16_le(_PAIRS, 2 * value))
        else:
            out.append(u8(ZERO + value))

    def _seconds(self, ms: i64) -> None:
        """As a float is written: with a fraction, and no zeros behind its first digit."""
        out = self._out
        if ms < 0:
            out.append(MINUS)
            ms = -ms
        self._digits(ms // 1_000)
        out.append(DOT)
        fraction = ms % 1_000
        out.append(u8(ZERO + fraction // 100))
        fraction %= 100
        if fraction:
            out.append(u8(ZERO + fraction // 10))
            fraction %= 10
            if fraction:
                out.append(u8(ZERO + fraction))


def write_text(out: BytesWriter, value: bytes) -> None:
    """Write a text, by its UTF-8, as JSON."""
    if _is_escaped(value):
        out.write(_encode(value.decode()))
    else:
        out.append(QUOTE)
        out.write(value)
        out.append(QUOTE)


def _is_escaped(value: bytes) -> bool:
    """Whether JSON writes any character of a text in another way."""
    place: i64 = 0
    while place < len(value):
        character = value[place]
        if character < SPACE or character in (QUOTE, BACKSLASH):
            return True
        place += 1
    return False
