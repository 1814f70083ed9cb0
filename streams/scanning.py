"""Plain records read without an object for each of their values: from JSON to what a history takes.

A record is plain where it is one flat object of unescaped ASCII, compact or with spaces, and of one of the types that
nearly all events are of. :meth:`Scanner.read` takes such a record, or says no; whatever it says no to, odd or wrong, is
for the contract to decode (``streams.decoding``), which gives the same for what it takes (a property test). Interpreted
it would be far slower than that, so it is for the compiled domain only.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import intern
from typing import Final, get_args

from librt.strings import BytesWriter, read_i64_le
from librt.vecs import vec
from mypy_extensions import i64, u8

from schemas.events import (
    EPOCH,
    LATEST,
    MOST_NAME_CHARACTERS,
    MessageSent,
    Priority,
    SurveySent,
    TicketCreated,
    TicketUpdated,
)
from schemas.outputs import ATTRIBUTES
from streams.calendars import DAY_MS
from streams.history import (
    AUTHOR_CODE,
    CREATED,
    INTERNAL,
    MESSAGE,
    STATUSES,
    SURVEY_KINDS,
    SURVEY_SENT,
    UPDATED,
    Incoming,
    digest_of,
)

_ONES: Final[i64] = 0x0101_0101_0101_0101
_QUOTES: Final[i64] = 0x2222_2222_2222_2222
_SPACES: Final[i64] = 0x2020_2020_2020_2020
_SEVEN_BYTES: Final[i64] = 0x00FF_FFFF_FFFF_FFFF
_intern: Final = intern
_SPACE: Final = 0x20
_QUOTE: Final = 0x22
_COMMA: Final = 0x2C
_MINUS: Final = 0x2D
_DOT: Final = 0x2E
_ZERO: Final = 0x30
_NINE: Final = 0x39
_COLON: Final = 0x3A
_BACKSLASH: Final = 0x5C
_PLUS: Final = 0x2B
_T: Final = 0x54
_Z: Final = 0x5A
_FIRST_CODE: Final = 0x61
_OPEN: Final = 0x7B
_CLOSE: Final = 0x7D
_NO_BYTE: Final = -1
_SPREAD: Final[i64] = 0x1E37_79B9_7F4A_7C15
_SLOTS: Final = 128
_WORD: Final = 8
_MOST_DIGITS: Final = 18
_LATEST_MS: Final[i64] = (LATEST - EPOCH).days * DAY_MS
_DAYS_TO_MARCH: Final = 59
_MICROSECOND_DIGITS: Final = 6
_NO_DIGITS: Final = -100_000


class Words:
    """Some short texts, found by their bytes where they stand in a record."""

    def __init__(self, texts: Sequence[str]) -> None:
        """``texts``: of up to 16 ASCII characters each; an empty one is never found."""
        slots = vec[i64]([-1] * (4 * _SLOTS))
        for number, text in enumerate(texts):
            value = text.encode("ascii")
            if not value:
                continue
            first, last = _first_word(value, 0, len(value)), _last_word(value, 0, len(value))
            slot = _slot(first, len(value))
            while slots[slot] >= 0:
                slot = (slot + 4) % (4 * _SLOTS)
            slots[slot], slots[slot + 1], slots[slot + 2], slots[slot + 3] = number, len(value), first, last
        self._slots = slots
        """Number, length, first and last word of each."""

    def find(self, value: bytes, start: i64, end: i64) -> i64:
        """Which of the texts stands from ``start`` to before ``end``; -1 for none."""
        length = end - start
        if length > 2 * _WORD:
            return -1
        first, last = _first_word(value, start, end), _last_word(value, start, end)
        slots = self._slots
        slot = _slot(first, length)
        while slots[slot] >= 0:
            if slots[slot + 2] == first and slots[slot + 3] == last and slots[slot + 1] == length:
                return slots[slot]
            slot = (slot + 4) % (4 * _SLOTS)
        return -1


def _slot(first: i64, length: i64) -> i64:
    return ((first + length) * _SPREAD >> 57 & (_SLOTS - 1)) * 4


def _first_word(value: bytes, start: i64, end: i64) -> i64:
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


def _last_word(value: bytes, start: i64, end: i64) -> i64:
    """Of more than eight bytes the last eight, as one number."""
    if end - start > _WORD:
        return read_i64_le(value, end - _WORD)
    return 0


# The attributes have the numbers of their places in patches.
_FIELDS: Final = (
    *ATTRIBUTES, "type", "id", "ticket_id", "at", "seq", "customer_id", "status", "actor", "author", "author_id",
    "visibility", "survey_id", "kind",
)  # fmt: skip
"""Fewer than 31: their bits are made as numbers of C."""
_CHANNEL: Final[i64] = _FIELDS.index("channel")
_PRIORITY: Final[i64] = _FIELDS.index("priority")
_ATTRIBUTES: Final[i64] = len(ATTRIBUTES)
_TYPE: Final[i64] = _FIELDS.index("type")
_ID: Final[i64] = _FIELDS.index("id")
_TICKET_ID: Final[i64] = _FIELDS.index("ticket_id")
_AT: Final[i64] = _FIELDS.index("at")
_SEQ: Final[i64] = _FIELDS.index("seq")
_CUSTOMER_ID: Final[i64] = _FIELDS.index("customer_id")
_STATUS: Final[i64] = _FIELDS.index("status")
_AUTHOR: Final[i64] = _FIELDS.index("author")
_AUTHOR_ID: Final[i64] = _FIELDS.index("author_id")
_VISIBILITY: Final[i64] = _FIELDS.index("visibility")
_SURVEY_ID: Final[i64] = _FIELDS.index("survey_id")
_KIND: Final[i64] = _FIELDS.index("kind")
_OF_ALL: Final[i64] = 1 << _TYPE | 1 << _ID | 1 << _TICKET_ID | 1 << _AT
"""A bit for each field that an event of each type has to have."""
_OF_MESSAGE: Final[i64] = 1 << _AUTHOR | 1 << _AUTHOR_ID | 1 << _VISIBILITY
_OF_SURVEY: Final[i64] = 1 << _SURVEY_ID | 1 << _KIND
_OF_CREATION: Final[i64] = 1 << _CUSTOMER_ID | 1 << _CHANNEL | 1 << _PRIORITY
_ANY_ATTRIBUTE: Final[i64] = (1 << _ATTRIBUTES) - 1
_TYPES: Final = {CREATED: TicketCreated, UPDATED: TicketUpdated, MESSAGE: MessageSent, SURVEY_SENT: SurveySent}
_VISIBILITIES: Final = ("public", "internal")


class Scanner:
    """Reads one record after the other."""

    def __init__(self) -> None:
        self.event = Incoming(0, 0, 0, 0, 0, "", "")
        """What was read last."""
        self._starts = vec[i64]([0] * len(_FIELDS))
        """Where the values of the known fields begin; before which bytes they end."""
        self._ends = vec[i64]([0] * len(_FIELDS))
        self._seen: i64 = 0
        """A bit for each known field that the record has."""
        self._fields = Words(_FIELDS)
        tags = {kind: str(of.__struct_config__.tag) for kind, of in _TYPES.items()}
        self._kinds = Words([tags.get(kind, "") for kind in range(max(tags) + 1)])
        self._statuses = Words(STATUSES)
        self._priorities = Words(get_args(Priority))
        self._authors = Words([*AUTHOR_CODE])
        self._visibilities = Words(_VISIBILITIES)
        self._survey_kinds = Words(SURVEY_KINDS)

    def read(self, value: bytes, key: bytes) -> bool:
        """Whether the record is plain, right, and of the ticket whose id is ``key``; then it is in :attr:`event`."""
        if not self._find_fields(value):
            return False
        if not self._has_all(_OF_ALL):
            return False
        if value[self._starts[_TICKET_ID] : self._ends[_TICKET_ID]] != key:
            return False
        at = instant_ms(value, self._starts[_AT], self._ends[_AT])
        if at < 0:
            return False
        event = self.event
        event.at = at
        event.seq = 0
        if self._has(_SEQ):
            event.seq = _number(value, self._starts[_SEQ], self._ends[_SEQ])
        event.kind = self._which(self._kinds, value, _TYPE)
        if event.kind == MESSAGE:
            right = self._message(value, event)
        elif event.kind == CREATED or event.kind == UPDATED:
            right = self._ticket(value, event)
        else:
            right = event.kind == SURVEY_SENT and self._survey(value, event)
        if right:
            event.digest = digest_of(value[self._starts[_ID] : self._ends[_ID]])
        return right

    def _find_fields(self, value: bytes) -> bool:
        """Note where the known fields stand; whether the record is plain."""
        self._seen = 0
        place: i64 = 0
        separator: i64 = _OPEN
        while separator != _CLOSE:
            if byte_at(value, place) != separator:
                return False
            start = after_spaces(value, place + 1)
            if byte_at(value, start) != _QUOTE:
                return False
            start += 1
            end = end_of_text(value, start)
            if end < 0:
                return False
            field = self._fields.find(value, start, end)
            place = after_spaces(value, end + 1)
            if byte_at(value, place) != _COLON:
                return False
            start = after_spaces(value, place + 1)
            if (byte_at(value, start) == _QUOTE) == (field == _SEQ):
                return False
            if field == _SEQ:
                end = end_of_number(value, start)
                place = end
            else:
                start += 1
                end = end_of_text(value, start)
                place = end + 1
            if end < 0:
                return False
            if field >= 0:
                # Longer ids and names of other lengths are for the contract to judge.
                if self._has(field) or not 1 <= end - start <= MOST_NAME_CHARACTERS:
                    return False
                self._seen |= 1 << field
                self._starts[field] = start
                self._ends[field] = end
            place = after_spaces(value, place)
            separator = byte_at(value, place)
            if separator != _COMMA and separator != _CLOSE:
                return False
        return place + 1 == len(value)

    def _has(self, field: i64) -> bool:
        return (self._seen >> field & 1) != 0

    def _has_all(self, fields: i64) -> bool:
        return self._seen & fields == fields

    def _which(self, words: Words, value: bytes, field: i64) -> i64:
        return words.find(value, self._starts[field], self._ends[field])

    def _text(self, value: bytes, field: i64) -> str:
        """What a field holds, '' without it."""
        if not self._has(field):
            return ""
        return value[self._starts[field] : self._ends[field]].decode("ascii")

    def _message(self, value: bytes, event: Incoming) -> bool:
        if not self._has_all(_OF_MESSAGE):
            return False
        author = self._which(self._authors, value, _AUTHOR)
        visibility = self._which(self._visibilities, value, _VISIBILITY)
        if author < 0 or visibility < 0:
            return False
        event.code = author | INTERNAL * visibility
        event.b = self._text(value, _CHANNEL)
        event.c = _intern(self._text(value, _AUTHOR_ID))
        return True

    def _survey(self, value: bytes, event: Incoming) -> bool:
        if not self._has_all(_OF_SURVEY):
            return False
        event.code = self._which(self._survey_kinds, value, _KIND)
        event.b = ""
        event.c = self._text(value, _SURVEY_ID)
        return event.code >= 0

    def _ticket(self, value: bytes, event: Incoming) -> bool:
        creation = event.kind == CREATED
        if creation and not self._has_all(_OF_CREATION):
            return False
        if self._has(_PRIORITY) and self._which(self._priorities, value, _PRIORITY) < 0:
            return False
        event.code = 0
        if self._has(_STATUS):
            status = self._which(self._statuses, value, _STATUS)
            if status < 0:
                return False
            event.code = status
            if not creation:
                event.code += 1
        event.b = self._text(value, _CUSTOMER_ID)
        event.c = self._patch(value, creation)
        return True

    def _patch(self, value: bytes, creation: bool) -> str:
        """As ``patches.patch_of``."""
        if not self._seen & _ANY_ATTRIBUTE:
            return ""
        patch = BytesWriter()
        if creation:
            patch.append(_PLUS)
        separator = _OPEN
        for field in range(_ATTRIBUTES):
            if self._has(field):
                patch.append(separator)
                patch.append(_QUOTE)
                patch.append(u8(_FIRST_CODE + field))
                patch.append(_QUOTE)
                patch.append(_COLON)
                # With the quotes around it.
                place = self._starts[field] - 1
                end = self._ends[field]
                while place <= end:
                    patch.append(value[place])
                    place += 1
                separator = _COMMA
        patch.append(_CLOSE)
        # The same text in many patches is one object.
        return _intern(patch.getvalue().decode("ascii"))


def byte_at(value: bytes, place: i64) -> i64:
    """The byte at a place, -1 behind the end."""
    if place < len(value):
        return value[place]
    return _NO_BYTE


def after_spaces(value: bytes, place: i64) -> i64:
    """The first place from this one on where no space stands."""
    while place < len(value) and value[place] == _SPACE:
        place += 1
    return place


def end_of_text(value: bytes, place: i64) -> i64:
    """Where the text that begins here ends: the place of the quote behind it, -1 where it is not plain ASCII.

    Eight bytes at once: ``(x - _ONES) & ~x & highest_bits`` has its lowest bit in the lowest byte of x that is zero
    (Warren, Hacker's Delight, section 6-1), and is zero without one.
    """
    size: i64 = len(value)
    ones: i64 = _ONES
    backslashes = _BACKSLASH * ones
    highest_bits = ones << 7
    while place + _WORD <= size:
        word = read_i64_le(value, place)
        quotes = word ^ _QUOTES
        slashes = word ^ backslashes
        found = (
            ((quotes - _ONES) & ~quotes)
            | ((slashes - _ONES) & ~slashes)
            | ((word - _SPACES) & ~word)  # A control character.
            | word  # Beyond ASCII.
        ) & highest_bits
        if found:
            lowest = found & -found
            place += (((lowest - 1) & _ONES) * _ONES >> 56 & 15) - 1
            if value[place] == _QUOTE:
                return place
            return -1
        place += _WORD
    while place < size:
        byte: i64 = value[place]
        if byte == _QUOTE:
            return place
        if byte == _BACKSLASH or not _SPACE <= byte < 0x80:
            return -1
        place += 1
    return -1


def end_of_number(value: bytes, place: i64) -> i64:
    """Behind the last digit of the short whole number that begins here, -1 where there is none."""
    start = place
    if byte_at(value, place) == _MINUS:
        start += 1
    end = start
    while _ZERO <= byte_at(value, end) <= _NINE:
        end += 1
    if not 1 <= end - start <= _MOST_DIGITS or (byte_at(value, start) == _ZERO and end - place > 1):
        return -1
    return end


def _number(value: bytes, start: i64, end: i64) -> i64:
    number: i64 = 0
    place = start
    if value[start] == _MINUS:
        place += 1
    while place < end:
        digit: i64 = value[place] - _ZERO
        number = 10 * number + digit
        place += 1
    if value[start] == _MINUS:
        return -number
    return number


def _two_digits(value: bytes, place: i64) -> i64:
    """What two digits say; less than 0, and less than what any sum makes positive, where they are none."""
    tens: i64 = value[place] - _ZERO
    ones: i64 = value[place + 1] - _ZERO
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
        value[start + 4] != _MINUS
        or value[start + 7] != _MINUS
        or value[start + 10] != _T
        or value[start + 13] != _COLON
        or value[start + 16] != _COLON
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
    if value[place] == _DOT:
        place += 1
        weight: i64 = 100
        first = place
        while place < end and _ZERO <= value[place] <= _NINE:
            digit: i64 = value[place] - _ZERO
            fraction_ms += weight * digit
            weight //= 10
            place += 1
        if not 1 <= place - first <= _MICROSECOND_DIGITS:
            return -1
    offset_minutes: i64 = 0
    if place + 6 == end and (value[place] == _PLUS or value[place] == _MINUS) and value[place + 3] == _COLON:
        hours, minutes = _two_digits(value, place + 1), _two_digits(value, place + 4)
        if not (0 <= hours < 24 and 0 <= minutes < 60):
            return -1
        offset_minutes = 60 * hours + minutes
        if value[place] == _MINUS:
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
