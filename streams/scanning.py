"""Plain records read without an object for each of their values: from JSON to what a history takes.

A record is plain where no text is escaped, no number has an exponent and nothing but spaces is between them, and where
it is of one of the types that nearly all events are of. :meth:`Scanner.read` takes such a record, or says no; what it
says no to, odd or wrong, is for the contract to decode (``schemas.events``), which gives the same for what it takes (a
property test). Interpreted it would be far slower than that, so it is for the compiled domain only.
"""

from __future__ import annotations

from typing import Final, get_args

from librt.strings import BytesWriter
from librt.vecs import vec
from mypy_extensions import i64, u8

from schemas.events import (
    MOST_NAME_CHARACTERS,
    MessageSent,
    Priority,
    SurveySent,
    TicketCreated,
    TicketUpdated,
)
from schemas.outputs import ATTRIBUTES
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
from streams.json_bytes import (
    CLOSE,
    COLON,
    COMMA,
    NAME_FOLLOWS,
    OPEN,
    QUOTE,
    TEXT_FOLLOWS,
    Instants,
    Words,
    after_spaces,
    begin_of_text,
    byte_at,
    end_of_number,
    end_of_text,
    end_of_value,
    is_at,
    number_at,
    three_at,
    write_part,
)
from streams.patches import CODES, CREATION

_FIRST_CODE: Final[i64] = ord(CODES[0])
_CREATION: Final[i64] = ord(CREATION)


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
_TAGS: Final = {
    kind: str(of.__struct_config__.tag)
    for kind, of in (
        (CREATED, TicketCreated),
        (UPDATED, TicketUpdated),
        (MESSAGE, MessageSent),
        (SURVEY_SENT, SurveySent),
    )
}
_NAMES: Final = Words(_FIELDS)
_KINDS: Final = Words([_TAGS.get(kind, "") for kind in range(max(_TAGS) + 1)])
_STATUSES: Final = Words(STATUSES)
_PRIORITIES: Final = Words(get_args(Priority))
_AUTHORS: Final = Words([*AUTHOR_CODE])
_VISIBILITIES: Final = Words(("public", "internal"))
_SURVEY_KINDS: Final = Words(SURVEY_KINDS)


class Scanner:
    """Reads one record after the other."""

    def __init__(self) -> None:
        self.event = Incoming(0, 0, 0, 0, 0, "", "")
        """What was read last."""
        self._starts = vec[i64]([0] * len(_FIELDS))
        """Where the values of the known fields begin; before which bytes they end."""
        self._ends = vec[i64]([0] * len(_FIELDS))
        self._followers = vec[i64]([0] * (len(_FIELDS) + 1))
        """Which field came last time after each (from the second on) and at the beginning: mostly it does so again."""
        self._instants = Instants()
        self._patches = BytesWriter()
        self._seen: i64 = 0
        """A bit for each known field that the record has."""

    def let_go(self) -> None:
        """Let go of what was read last."""
        self.event.b = self.event.c = ""

    def read(self, value: bytes, key: bytes) -> bool:
        """Whether the record is plain, right, and of the ticket whose id is ``key``; then it is in :attr:`event`."""
        if not self._find_fields(value) or not self._has_all(_OF_ALL):
            return False
        if not is_at(key, value, self._starts[_TICKET_ID], self._ends[_TICKET_ID]):
            return False
        at = self._instants.ms(value, self._starts[_AT], self._ends[_AT])
        if at < 0:
            return False
        event = self.event
        event.at = at
        event.seq = 0
        if self._has(_SEQ):
            event.seq = number_at(value, self._starts[_SEQ], self._ends[_SEQ])
        event.kind = self._which(_KINDS, value, _TYPE)
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
        """Note where the known fields stand; whether it is an object, and nothing but spaces between what is in it."""
        starts, ends, followers = self._starts, self._ends, self._followers
        seen: i64 = 0
        if byte_at(value, 0) != OPEN:
            return False
        follows: i64 = 0
        start = begin_of_text(value, 1)
        while start >= 0:
            field = followers[follows]
            end = _NAMES.end_of(field, value, start)
            # Nearly always no space is between them.
            is_text = end >= 0 and three_at(value, end) == TEXT_FOLLOWS
            if not is_text:
                end = end_of_text(value, start)
                if end < 0:
                    return False
                field = _NAMES.find(value, start, end)
                is_text = three_at(value, end) == TEXT_FOLLOWS
                if field >= 0:
                    followers[follows] = field
            follows = field + 1
            if is_text:
                start = end + 3
            else:
                start = after_spaces(value, end + 1)
                if byte_at(value, start) != COLON:
                    return False
                start = after_spaces(value, start + 1)
                is_text = byte_at(value, start) == QUOTE
                if is_text:
                    start += 1
            if is_text:
                if field == _SEQ:
                    return False
                end = end_of_text(value, start)
                place = end + 1
            elif field == _SEQ:
                end = end_of_number(value, start)
                place = end
            elif field < 0:
                end = end_of_value(value, start)
                place = end
            else:
                return False
            if end < 0:
                return False
            if field >= 0:
                # Longer ids, and names that may be too long, are for the contract to judge.
                if seen >> field & 1 or not 1 <= end - start <= MOST_NAME_CHARACTERS:
                    return False
                seen |= 1 << field
                starts[field] = start
                ends[field] = end
            if is_text and three_at(value, end) == NAME_FOLLOWS:
                start = end + 3
                continue
            place = after_spaces(value, place)
            separator = byte_at(value, place)
            if separator == CLOSE:
                self._seen = seen
                return place + 1 == len(value)
            if separator != COMMA:
                return False
            start = begin_of_text(value, place + 1)
        return False

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
        return value[self._starts[field] : self._ends[field]].decode()

    def _message(self, value: bytes, event: Incoming) -> bool:
        if not self._has_all(_OF_MESSAGE):
            return False
        author = self._which(_AUTHORS, value, _AUTHOR)
        visibility = self._which(_VISIBILITIES, value, _VISIBILITY)
        if author < 0 or visibility < 0:
            return False
        event.code = author | INTERNAL * visibility
        event.b = self._text(value, _CHANNEL)
        event.c = self._text(value, _AUTHOR_ID)
        return True

    def _survey(self, value: bytes, event: Incoming) -> bool:
        if not self._has_all(_OF_SURVEY):
            return False
        event.code = self._which(_SURVEY_KINDS, value, _KIND)
        event.b = ""
        event.c = self._text(value, _SURVEY_ID)
        return event.code >= 0

    def _ticket(self, value: bytes, event: Incoming) -> bool:
        creation = event.kind == CREATED
        if creation and not self._has_all(_OF_CREATION):
            return False
        if self._has(_PRIORITY) and self._which(_PRIORITIES, value, _PRIORITY) < 0:
            return False
        event.code = 0
        if self._has(_STATUS):
            status = self._which(_STATUSES, value, _STATUS)
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
        patch = self._patches
        patch.truncate(0)
        if creation:
            patch.append(u8(_CREATION))
        separator = OPEN
        for field in range(_ATTRIBUTES):
            if self._has(field):
                patch.append(separator)
                patch.append(QUOTE)
                patch.append(u8(_FIRST_CODE + field))
                patch.append(QUOTE)
                patch.append(COLON)
                # With the quotes around it.
                write_part(patch, value, self._starts[field] - 1, self._ends[field] + 1)
                separator = COMMA
        patch.append(CLOSE)
        return patch.getvalue().decode()
