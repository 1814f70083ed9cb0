"""Plain JSON by its bytes: what stands where, without an object for any of it.

All of it is for texts without escapes. Where mypyc compiles it, a constant on the left of ``<<`` is a number of C, of
31 bits, and a conditional expression of a native and another number makes an object: hence some ways of writing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from librt.strings import (
    BytesWriter,
    read_i16_le,
    read_i32_le,
    read_i64_le,
    write_i16_le,
    write_i32_le,
    write_i64_le,
)
from librt.vecs import vec
from mypy_extensions import i64

from schemas.events import LATEST_MS

SPACE: Final = 0x20
QUOTE: Final = 0x22
PLUS: Final = 0x2B
COMMA: Final = 0x2C
MINUS: Final = 0x2D
DOT: Final = 0x2E
ZERO: Final = 0x30
NINE: Final = 0x39
COLON: Final = 0x3A
BACKSLASH: Final = 0x5C
OPEN: Final = 0x7B
CLOSE: Final = 0x7D
TEXT_FOLLOWS: Final = 0x223A22
"""``":"``: the end of a name, and the begin of a text."""
NAME_FOLLOWS: Final = 0x222C22
"""``","``: the end of a text, and the begin of a name."""
_T: Final = 0x54
OPEN_ARRAY: Final = 0x5B
CLOSE_ARRAY: Final = 0x5D
_Z: Final = 0x5A
_NO_BYTE: Final = -1
_NOT_ASCII: Final = 0x80
_WORD: Final = 8
_ONES: Final[i64] = 0x0101_0101_0101_0101
_QUOTES: Final[i64] = 0x2222_2222_2222_2222
_SPACES: Final[i64] = 0x2020_2020_2020_2020
_SEVEN_BYTES: Final[i64] = 0x00FF_FFFF_FFFF_FFFF
_THREE_BYTES: Final[i64] = 0xFF_FFFF
_INSTANT_CHARACTERS: Final = 24
_REST: Final[i64] = int.from_bytes(b":00.000", "little")
"""What follows a minute, before the Z."""
_HIGH_HALVES: Final[i64] = 0x00F0_F0F0_F0F0_F0F0
_NOT_DIGITS: Final[i64] = _HIGH_HALVES | 0x0000_0000_FF00_00FF
"""The bits in which it differs by no digit."""
_SIXES: Final[i64] = 0x0006_0606_0606_0606
"""Added to a digit it stays below 16."""
_MINUTE_MS: Final = 60_000
_SPREAD: Final[i64] = 0x1E37_79B9_7F4A_7C15
_SLOTS: Final = 128
_MOST_DIGITS: Final = 18
_MOST_DEPTH: Final = 8
_LITERALS: Final = (b"true", b"false", b"null")
_MICROSECOND_DIGITS: Final = 6
_NO_DIGITS: Final = -100_000
_DAYS_TO_MARCH: Final = 59
_LATEST_MS: Final[i64] = LATEST_MS


class Words:
    """Some short texts, found by their bytes where they stand in a record."""

    def __init__(self, texts: Sequence[str]) -> None:
        """``texts``: of up to 16 ASCII characters each; an empty one is never found."""
        slots = vec[i64]([-1] * (4 * _SLOTS))
        of_number = vec[i64]([0] * (3 * len(texts)))
        for number, text in enumerate(texts):
            value = text.encode("ascii")
            if not value:
                continue
            first, last = first_word(value, 0, len(value)), last_word(value, 0, len(value))
            slot = _slot(first, len(value))
            while slots[slot] >= 0:
                slot = (slot + 4) % (4 * _SLOTS)
            slots[slot], slots[slot + 1], slots[slot + 2], slots[slot + 3] = number, len(value), first, last
            place = 3 * number
            of_number[place], of_number[place + 1], of_number[place + 2] = len(value), first, last
        self._slots = slots
        """Number, length, first and last word of each."""
        self._of_number = of_number
        """Length, first and last word of each."""

    def find(self, value: bytes, start: i64, end: i64) -> i64:
        """Which of the texts stands from ``start`` to before ``end``; -1 for none."""
        length = end - start
        if length > 2 * _WORD:
            return -1
        first, last = first_word(value, start, end), last_word(value, start, end)
        slots = self._slots
        slot = _slot(first, length)
        while slots[slot] >= 0:
            if slots[slot + 2] == first and slots[slot + 3] == last and slots[slot + 1] == length:
                return slots[slot]
            slot = (slot + 4) % (4 * _SLOTS)
        return -1

    def end_of(self, number: i64, value: bytes, start: i64) -> i64:
        """Where one of the texts ends that begins at ``start``; -1 where it does not."""
        of_number = self._of_number
        end = start + of_number[3 * number]
        if (
            end <= len(value)
            and first_word(value, start, end) == of_number[3 * number + 1]
            and last_word(value, start, end) == of_number[3 * number + 2]
        ):
            return end
        return -1


def is_at(text: bytes, value: bytes, start: i64, end: i64) -> bool:
    """Whether it is this text that stands from ``start`` to before ``end``."""
    length = end - start
    if len(text) != length:
        return False
    place: i64 = 0
    while place + _WORD <= length:
        if read_i64_le(text, place) != read_i64_le(value, start + place):
            return False
        place += _WORD
    while place < length:
        if text[place] != value[start + place]:
            return False
        place += 1
    return True


def _slot(first: i64, length: i64) -> i64:
    return ((first + length) * _SPREAD >> 57 & (_SLOTS - 1)) * 4


def first_word(value: bytes, start: i64, end: i64) -> i64:
    """Up to eight bytes from ``start`` on, as one number."""
    length = end - start
    if length >= _WORD:
        return read_i64_le(value, start)
    if start + _WORD <= len(value):
        return read_i64_le(value, start) & (_SEVEN_BYTES >> 56 - 8 * length)
    word: i64 = 0
    while end > start:
        end -= 1
        word = word << 8 | value[end]
    return word


def last_word(value: bytes, start: i64, end: i64) -> i64:
    """Of more than eight bytes the last eight, as one number."""
    if end - start > _WORD:
        return read_i64_le(value, end - _WORD)
    return 0


def byte_at(value: bytes, place: i64) -> i64:
    """The byte at a place, -1 behind the end."""
    if place < len(value):
        return value[place]
    return _NO_BYTE


def after_spaces(value: bytes, place: i64) -> i64:
    """The first place from this one on where no space stands."""
    while place < len(value) and value[place] == SPACE:
        place += 1
    return place


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def end_of_text(value: bytes, place: i64) -> i64:
    """Where the text that begins here ends: the place of the quote behind it; -1 without one, or where it is not plain:
    something in it is escaped, a control character, or no UTF-8.

    Eight bytes at once: ``(x - _ONES) & ~x & highest_bits`` has its lowest bit in the lowest byte of x that is zero
    (Warren, Hacker's Delight, section 6-1), and is zero without one.
    """
    size: i64 = len(value)
    ones: i64 = _ONES
    highest_bits = ones << 7
    backslashes = BACKSLASH * ones
    begin = place
    odd: i64 = 0
    while place + _WORD <= size:
        word = read_i64_le(value, place)
        quotes = word ^ _QUOTES
        slashes = word ^ backslashes
        found = (quotes - _ONES) & ~quotes & highest_bits
        odd_here = (((slashes - _ONES) & ~slashes) | ((word - _SPACES) & ~word) | word) & highest_bits
        if found:
            lowest = found & -found
            # Of what stands before the quote.
            odd |= odd_here & (lowest - 1)
            end = place + (((lowest - 1) & _ONES) * _ONES >> 56 & 15) - 1
            if odd and not _is_plain(value, begin, end):
                return -1
            return end
        odd |= odd_here
        place += _WORD
    while place < size:
        byte = value[place]
        if byte == QUOTE:
            if odd and not _is_plain(value, begin, place):
                return -1
            return place
        if byte < SPACE or byte == BACKSLASH or byte >= _NOT_ASCII:
            odd = 1
        place += 1
    return -1


def _is_plain(value: bytes, start: i64, end: i64) -> bool:
    """Whether nothing is escaped in a text, no control character in it, and all of it UTF-8."""
    place = start
    while place < end:
        if value[place] < SPACE or value[place] == BACKSLASH:
            return False
        place += 1
    return _is_utf8(value[start:end])


def end_of_number(value: bytes, place: i64) -> i64:
    """Behind the last digit of the short whole number that begins here, -1 where there is none."""
    start = place
    if byte_at(value, place) == MINUS:
        start += 1
    end = _after_digits(value, start)
    if not 1 <= end - start <= _MOST_DIGITS or (byte_at(value, start) == ZERO and end - place > 1):
        return -1
    return end


def _after_digits(value: bytes, place: i64) -> i64:
    while ZERO <= byte_at(value, place) <= NINE:
        place += 1
    return place


def write_part(out: BytesWriter, value: bytes, start: i64, end: i64) -> None:
    """Write a short part of some bytes; a slice of them would be an object first."""
    while start + 8 <= end:
        write_i64_le(out, read_i64_le(value, start))
        start += 8
    if start + 4 <= end:
        write_i32_le(out, read_i32_le(value, start))
        start += 4
    if start + 2 <= end:
        write_i16_le(out, read_i16_le(value, start))
        start += 2
    if start < end:
        out.append(value[start])


def three_at(value: bytes, place: i64) -> i64:
    """The three bytes from a place on, as one number (:data:`TEXT_FOLLOWS`); -1 near the end."""
    if place + _WORD <= len(value):
        return read_i64_le(value, place) & _THREE_BYTES
    return _NO_BYTE


def begin_of_text(value: bytes, place: i64) -> i64:
    """Where the text that stands here, behind spaces, begins; -1 where something else does."""
    place = after_spaces(value, place)
    if byte_at(value, place) == QUOTE:
        return place + 1
    return -1


def end_of_value(value: bytes, place: i64, depth: i64 = _MOST_DEPTH) -> i64:
    """Behind the plain JSON that begins here, of arrays and objects so deep at most; -1 where it is something else."""
    first = byte_at(value, place)
    if first == QUOTE:
        end = end_of_text(value, place + 1)
        if end < 0:
            return -1
        return end + 1
    if first in (OPEN, OPEN_ARRAY):
        if depth == 0:
            return -1
        return _end_of_values(value, place, depth)
    for literal in _LITERALS:
        end = place + len(literal)
        if value[place:end] == literal:
            return end
    end = end_of_number(value, place)
    if end < 0 or byte_at(value, end) != DOT:
        return end
    start = end + 1
    end = _after_digits(value, start)
    if not 1 <= end - start <= _MOST_DIGITS:
        return -1
    return end


def _end_of_values(value: bytes, place: i64, depth: i64) -> i64:
    """Behind the array or object that begins here."""
    is_object = value[place] == OPEN
    closing: i64 = CLOSE_ARRAY
    if is_object:
        closing = CLOSE
    place = after_spaces(value, place + 1)
    if byte_at(value, place) == closing:
        return place + 1
    while True:
        if is_object:
            if byte_at(value, place) != QUOTE:
                return -1
            place = end_of_text(value, place + 1)
            if place < 0:
                return -1
            place = after_spaces(value, place + 1)
            if byte_at(value, place) != COLON:
                return -1
            place = after_spaces(value, place + 1)
        place = end_of_value(value, place, depth - 1)
        if place < 0:
            return -1
        place = after_spaces(value, place)
        separator = byte_at(value, place)
        if separator == closing:
            return place + 1
        if separator != COMMA:
            return -1
        place = after_spaces(value, place + 1)


def number_at(value: bytes, start: i64, end: i64) -> i64:
    """What the digits of :func:`end_of_number` say."""
    found: i64 = 0
    place = start
    if value[start] == MINUS:
        place += 1
    while place < end:
        digit: i64 = value[place] - ZERO
        found = 10 * found + digit
        place += 1
    if value[start] == MINUS:
        return -found
    return found


class Instants:
    """Reads one instant after the other; those of the same minute as the one before it fast, as most are.

    Of the form ``2026-03-02T09:30:00.250Z``.
    """

    def __init__(self) -> None:
        self._first: i64 = 0
        self._second: i64 = 0
        """The 16 characters of the minute that was read last; zeros are none."""
        self._minute_ms: i64 = 0
        """When it began."""

    def ms(self, value: bytes, start: i64, end: i64) -> i64:
        """As :func:`instant_ms`."""
        if end - start != _INSTANT_CHARACTERS or value[end - 1] != _Z:
            return instant_ms(value, start, end)
        first, second = read_i64_le(value, start), read_i64_le(value, start + _WORD)
        # What the digits say, and zeros where no digits stand.
        rest = (read_i64_le(value, start + 2 * _WORD) & _SEVEN_BYTES) ^ _REST
        tens = rest >> 8 & 15
        if (
            first == self._first
            and second == self._second
            and rest & _NOT_DIGITS == 0
            and (rest + _SIXES) & _HIGH_HALVES == 0
            and tens < 6
        ):
            seconds = 10 * tens + (rest >> 16 & 15)
            thousandths = 100 * (rest >> 32 & 15) + 10 * (rest >> 40 & 15) + (rest >> 48 & 15)
            at = self._minute_ms + 1_000 * seconds + thousandths
            if at < _LATEST_MS:
                return at
            return -1
        at = instant_ms(value, start, end)
        if at >= 0:
            self._first, self._second, self._minute_ms = first, second, at - at % _MINUTE_MS
        return at


def _two_digits(value: bytes, place: i64) -> i64:
    """What two digits say; less than 0, and less than what any sum makes positive, where they are none."""
    tens: i64 = value[place] - ZERO
    ones: i64 = value[place + 1] - ZERO
    if 0 <= tens <= 9 and 0 <= ones <= 9:
        return 10 * tens + ones
    return _NO_DIGITS


def instant_ms(value: bytes, start: i64, end: i64) -> i64:
    """The instant, in whole milliseconds since 1970, that a text like ``2026-03-02T09:30:00.250+01:00`` tells.

    -1 where it has another form, does not exist or is out of the contract's range.
    """
    if end - start < 20:
        return -1
    if (
        value[start + 4] != MINUS
        or value[start + 7] != MINUS
        or value[start + 10] != _T
        or value[start + 13] != COLON
        or value[start + 16] != COLON
    ):
        return -1
    year = 100 * _two_digits(value, start) + _two_digits(value, start + 2)
    month, day = _two_digits(value, start + 5), _two_digits(value, start + 8)
    hour, minute = _two_digits(value, start + 11), _two_digits(value, start + 14)
    second = _two_digits(value, start + 17)
    if not (1970 <= year < 2100 and 1 <= month <= 12 and 0 <= hour < 24 and 0 <= minute < 60 and 0 <= second < 60):
        return -1
    if not 1 <= day <= _days_of(year, month):
        return -1
    place = start + 19
    fraction_ms: i64 = 0
    if value[place] == DOT:
        place += 1
        weight: i64 = 100
        first = place
        while place < end and ZERO <= value[place] <= NINE:
            digit: i64 = value[place] - ZERO
            fraction_ms += weight * digit
            weight //= 10
            place += 1
        if not 1 <= place - first <= _MICROSECOND_DIGITS:
            return -1
    offset_minutes: i64 = 0
    if place + 6 == end and (value[place] == PLUS or value[place] == MINUS) and value[place + 3] == COLON:
        hours, minutes = _two_digits(value, place + 1), _two_digits(value, place + 4)
        if not (0 <= hours < 24 and 0 <= minutes < 60):
            return -1
        offset_minutes = 60 * hours + minutes
        if value[place] == MINUS:
            offset_minutes = -offset_minutes
    elif place + 1 != end or value[place] != _Z:
        return -1
    minutes_since = (_days_since(year, month, day) * 24 + hour) * 60 + minute - offset_minutes
    at = (minutes_since * 60 + second) * 1_000 + fraction_ms
    if 0 <= at < _LATEST_MS:
        return at
    return -1


def _days_of(year: i64, month: i64) -> i64:
    if month == 2:
        if year % 4 == 0:
            return 29
        return 28
    return 30 + (month + month // 8) % 2


def _days_since(year: i64, month: i64, day: i64) -> i64:
    """Days since 1970 of a day from 1970 to 2099, in which every fourth year is a leap year.

    Counted from March on: the days before a month are then ``(153 * month + 2) // 5``.
    """
    if month < 3:
        month += 12
        year -= 1
    return 365 * (year - 1970) + (year - 1968) // 4 + (153 * (month - 3) + 2) // 5 + day - 1 + _DAYS_TO_MARCH
