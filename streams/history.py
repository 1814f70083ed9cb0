"""A ticket's history: the set of its events, packed.

An event is one record of 32 bytes, big-endian, so that the bytes of records compare as history order does:

====== ===== ===========================================================
bytes  type  holds
====== ===== ===========================================================
0-7    u64   ``at`` in milliseconds since 1970
8-15   u64   ``seq`` + 2**63
16-23  8 B   XXH3-64 of ``id``
24     u8    kind (:data:`CREATED` …)
25     u8    code: status, author and visibility, kind of survey, or whether a
             deletion erases
26-27  u16   a name's number (customer, channel, score), 0 for none
28-31  u32   a name's number (attributes, author, survey, ticket), 0 for none
====== ===== ===========================================================

Texts stand once in the ticket's list of names. Of an erased ticket (a deletion with ``erase``) the deletion is all that
is kept: no other event, no name, whatever came before it or comes after.

The packed history is also the value of the ticket's changelog record, so a ticket is restored from its last record
alone.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Final, NamedTuple

import msgspec
from librt.strings import BytesWriter, read_i64_be, write_i32_be, write_i64_be
from librt.vecs import append, vec
from msgspec import UNSET
from mypy_extensions import i32, i64, mypyc_attr, u8
from xxhash import xxh3_64_digest

from schemas.events import (
    AnyEvent,
    MessageSent,
    SurveyAnswered,
    SurveySent,
    TicketCreated,
    TicketDeleted,
    TicketMerged,
    TicketUpdated,
)
from streams.patches import patch_of

SIZE: Final = 32
_SEQ: Final = 8
_DIGEST: Final = 16
KIND: Final = 24
"""Where in a record its kind stands."""
SIGN: Final[i64] = -(2**63)
"""What turns ``seq`` into ``seq`` + 2**63, both in 64 bits."""
ROW: Final = Struct(">Q16xBBHI")
"""What the facts read of a record: at, kind, code, b, c."""
ROWS: Final[Callable[[bytes], Iterator[tuple[int, int, int, int, int]]]] = ROW.iter_unpack

CREATED: Final = 1
UPDATED: Final = 2
MERGED: Final = 3
DELETED: Final = 4
MESSAGE: Final = 5
SURVEY_SENT: Final = 6
SURVEY_ANSWERED: Final = 7

STATUSES: Final = ("new", "open", "pending", "on_hold", "solved", "closed")
STATUS_CODE: Final[dict[str, int]] = {name: code for code, name in enumerate(STATUSES)}
SOLVED: Final = 4
"""Codes from here on are solved or closed."""

CUSTOMER: Final = 0
AGENT: Final = 1
BOT: Final = 2
INTERNAL: Final = 8
"""Flag of a message that the customer does not see."""
AUTHOR_CODE: Final[dict[str, int]] = {"customer": CUSTOMER, "agent": AGENT, "bot": BOT, "system": 3}

ERASES: Final = 1
"""The code of a deletion that erases."""

SURVEY_KINDS: Final = ("csat", "nps", "ces")
SURVEY_CODE: Final[dict[str, int]] = {name: code for code, name in enumerate(SURVEY_KINDS)}

KNOWN: Final = 0
"""The event was there already."""
ADDED: Final = 1
REPLACED: Final = 2
"""An event of this id was there, with a content that is later in history order."""

MOST_EVENTS: Final = 32_768
"""More than people can make of a ticket. What one publishes has to fit into a record (``LARGEST_RECORD_BYTES``)."""
MOST_NAME_BYTES: Final = 1_048_576
"""So much text a ticket can have, for the same reason."""
_FEW_RECORDS: Final = 50
"""Up to so many are put in order by insertion."""
_FEW_NAMES: Final = 100
"""So many can't be too long together, whatever they are."""
MOST_NAMES: Final = 65_535
"""A ticket's names are numbered in 16 bits where space is short."""

VERSION: Final = 1
WITH_CONTACT: Final = 2
"""The version of a history that holds a contact."""
_HEADER: Final = Struct(">BI")
_CONTACT: Final = Struct(">HQQ")
_decode_names: Final = msgspec.msgpack.Decoder(list[str]).decode
_digest: Final = xxh3_64_digest
_encode_names: Final = msgspec.msgpack.Encoder().encode


class HistoryFullError(ValueError):
    """A ticket has more events, or more or longer names, than its history can hold."""


class UnreadableHistoryError(ValueError):
    """A changelog record that this version can't read."""


class Contact(NamedTuple):
    """What the customer's other tickets say of this one (``streams.customers``)."""

    customer: str
    """Whose tickets they are."""
    repeat_at: int
    """When the first of them that repeats this one was created, milliseconds since 1970; 0 for none."""
    recovered_at: int
    """The first good answer on them that follows a failure of this one; 0 for none."""


@mypyc_attr(acyclic=True)
class Incoming:
    """One event on its way into a history: what its record holds, with names instead of their numbers."""

    __slots__ = ("_writer", "at", "b", "c", "code", "digest", "kind", "seq")

    def __init__(self, at: i64, seq: i64, digest: i64, kind: i64, code: i64, b: str, c: str) -> None:
        self.at = at
        self.seq = seq
        self.digest = digest
        self.kind = kind
        self.code = code
        self.b = b
        """'' for none, as ``c``."""
        self.c = c
        self._writer = BytesWriter()

    def record(self, b: i64, c: i64) -> bytes:
        """Its record, with the numbers of its names."""
        writer = self._writer
        writer.truncate(0)
        write_record(writer, self.at, self.seq, self.digest, self.kind, self.code, b, c)
        return writer.getvalue()


def write_record(out: BytesWriter, at: i64, seq: i64, digest: i64, kind: i64, code: i64, b: i64, c: i64) -> None:
    """Write a record; ``b`` and ``c`` are numbers of names."""
    write_i64_be(out, at)
    write_i64_be(out, seq ^ SIGN)
    write_i64_be(out, digest)
    out.append(u8(kind))
    out.append(u8(code))
    out.append(u8(b >> 8))
    out.append(u8(b & 255))
    write_i32_be(out, i32(c))


def digest_of(event_id: bytes) -> i64:
    """The XXH3-64 of an event's id, as the record holds it."""
    return read_i64_be(_digest(event_id), 0)


def incoming(event: AnyEvent, at: int) -> Incoming:
    """An event that happened at ``at`` (milliseconds)."""
    kind: i64 = DELETED
    code: i64 = 0
    b = c = ""
    if type(event) is MessageSent:
        kind = MESSAGE
        code = AUTHOR_CODE[event.author] | (INTERNAL if event.visibility == "internal" else 0)
        b = "" if event.channel is UNSET else event.channel
        c = event.author_id
    elif type(event) is TicketUpdated:
        kind = UPDATED
        code = 0 if event.status is UNSET else STATUS_CODE[event.status] + 1
        b = "" if event.customer_id is UNSET else event.customer_id
        c = patch_of(event)
    elif type(event) is TicketCreated:
        kind = CREATED
        code = STATUS_CODE[event.status]
        b = event.customer_id
        c = patch_of(event)
    elif type(event) is SurveySent:
        kind = SURVEY_SENT
        code = SURVEY_CODE[event.kind]
        c = event.survey_id
    elif type(event) is SurveyAnswered:
        kind = SURVEY_ANSWERED
        code = SURVEY_CODE[event.kind]
        low, high = event.scale
        b = f"{event.score!r},{low!r},{high!r}"
        c = event.survey_id
    elif type(event) is TicketMerged:
        kind = MERGED
        c = event.into
    elif erases(event):
        code = ERASES
    return Incoming(at, event.seq, digest_of(event.id.encode()), kind, code, b, c)


@mypyc_attr(acyclic=True)
class History:
    """The set of one ticket's events while it is worked on."""

    __slots__ = ("_disordered", "_last_at", "_name_bytes", "contact", "erased", "names", "records")

    def __init__(self, names: list[str] | None = None, records: bytes = b"", contact: Contact | None = None) -> None:
        self.contact = contact
        """The newest; it is one of the set, too, but has no place in its order."""
        self.names = [] if names is None else names
        self.records = records
        self._disordered = False
        self._last_at: i64 = -1
        """When the last of the records happened, -1 while it is to be looked for."""
        self._name_bytes = -1
        self.erased = len(records) == SIZE and records[KIND] == DELETED and records[KIND + 1] == ERASES
        """Whether all that is kept is that it was erased. Its names stay until it is packed, for those who have to tell
        others of it."""

    def __len__(self) -> int:
        """How many distinct events."""
        return len(self.records) // SIZE

    @property
    def first_at(self) -> int:
        """When the first of the events happened, milliseconds since 1970; they have to be in order."""
        return int.from_bytes(self.records[:8], "big")

    def add(self, event: AnyEvent, at: int) -> int:
        """Add one event that happened at ``at`` (milliseconds): :data:`ADDED`, :data:`KNOWN` or :data:`REPLACED`.

        Of two contents under one id (a producer's error) the one that is first in history order holds, so that the
        order of arrival decides nothing. Once the ticket is erased everything but an earlier erasure is known. Raises
        :class:`HistoryFullError`.
        """
        return self.take(incoming(event, at))

    def take(self, event: Incoming) -> int:
        """As :meth:`add`."""
        erasing = event.kind == DELETED and event.code == ERASES
        if self.erased and not erasing:
            return KNOWN
        records = self.records
        place = self._place_of(event.digest)
        if place >= 0 and not erasing:
            at = read_i64_be(records, place)
            if event.at > at or (event.at == at and event.seq >= read_i64_be(records, place + _SEQ) ^ SIGN):
                return KNOWN
            record = self._pack(event)
            self.records = records[:place] + records[place + SIZE :]
            self._last_at = -1
            self._append(record, event.at)
            return REPLACED
        if len(records) >= MOST_EVENTS * SIZE and event.kind != DELETED:
            raise HistoryFullError(
                f"the ticket has {MOST_EVENTS:,} events already; its producer seems to repeat itself"
            )
        record = self._pack(event)
        if erasing:
            return self._erase(record)
        self._append(record, event.at)
        return ADDED

    def _erase(self, record: bytes) -> int:
        """Keep this erasure alone, or the one that is there already: the first in history order."""
        if self.erased:
            if record >= self.records:
                return KNOWN
            self.records = record
            return REPLACED
        self.records = record
        self.contact = None
        self.erased = True
        self._disordered = False
        return ADDED

    def _place_of(self, digest: i64) -> i64:
        """Where the record of an event begins, -1 where there is none."""
        records = self.records
        place: i64 = 0
        while place < len(records):
            if read_i64_be(records, place + _DIGEST) == digest:
                return place
            place += SIZE
        return -1

    def _append(self, record: bytes, at: i64) -> None:
        records = self.records
        if records:
            last_at = self._last_at
            if last_at < 0:
                last_at = read_i64_be(records, len(records) - SIZE)
            if at < last_at or (at == last_at and records[-SIZE:] > record):
                self._disordered = True
        self.records = records + record
        self._last_at = at

    def put_in_order(self) -> None:
        """Put the records in history order; to be called before they are read. Adding leaves them as they come."""
        if self._disordered:
            self.records = in_order(self.records)
            self._disordered = False
            self._last_at = -1

    def _pack(self, event: Incoming) -> bytes:
        # One after the other: the second is numbered after the first.
        b = self.number(event.b)
        return event.record(b, self.number(event.c))

    def number(self, name: str) -> i64:
        """The number of a name, 0 for the empty one. Raises :class:`HistoryFullError`."""
        if not name:
            return 0
        names = self.names
        for place, known in enumerate(names):
            if known == name:
                return place + 1
        if len(names) >= MOST_NAMES:
            raise HistoryFullError(f"the ticket has more than {MOST_NAMES} distinct people, surveys and attributes")
        if len(names) >= _FEW_NAMES:
            if self._name_bytes < 0:
                self._name_bytes = sum([len(held.encode()) for held in names])
            if self._name_bytes + len(name.encode()) > MOST_NAME_BYTES:
                raise HistoryFullError(
                    f"the ticket's people, surveys and attributes take over {MOST_NAME_BYTES:,} bytes"
                )
            self._name_bytes += len(name.encode())
        names.append(name)
        return len(names)

    def hear(self, contact: Contact) -> bool:
        """Take in what the other tickets of a customer whom this one has named say; whether it is news."""
        told = contact if contact.repeat_at or contact.recovered_at else None
        if self.erased or told == self.contact:
            return False
        self.contact = told
        return True

    def encode(self) -> bytes:
        """The changelog value; :func:`decode` reads it."""
        names = _encode_names([] if self.erased else self.names)
        told = self.contact
        out = BytesWriter()
        out.append(VERSION if told is None else WITH_CONTACT)
        write_i32_be(out, i32(len(names)))
        if told is not None:
            out.write(_CONTACT.pack(self.names.index(told.customer), told.repeat_at, told.recovered_at))
        out.write(names)
        out.write(self.records)
        return out.getvalue()


def in_order(records: bytes) -> bytes:
    """Packed records in history order."""
    number: i64 = len(records) // SIZE
    if number > _FEW_RECORDS:
        return b"".join(sorted([records[i : i + SIZE] for i in range(0, len(records), SIZE)]))
    # By insertion, without an object for each: most stand where they belong, after some of another topic.
    order = vec[i64]()
    place: i64 = 0
    while place < number:
        at = read_i64_be(records, place * SIZE)
        order = append(order, place)
        before = place
        while before > 0:
            other = order[before - 1]
            other_at = read_i64_be(records, other * SIZE)
            if other_at < at or (
                other_at == at
                and records[other * SIZE : (other + 1) * SIZE] <= records[place * SIZE : (place + 1) * SIZE]
            ):
                break
            order[before] = other
            before -= 1
        order[before] = place
        place += 1
    writer = BytesWriter()
    place = 0
    while place < number:
        begin = order[place]
        end = begin
        while place < number and order[place] == end:
            end += 1
            place += 1
        writer.write(records[begin * SIZE : end * SIZE])
    return writer.getvalue()


def erases(event: AnyEvent) -> bool:
    """Whether the event erases its ticket."""
    return type(event) is TicketDeleted and event.erase


def decode(value: bytes) -> tuple[list[str], bytes, Contact | None]:
    """The names, the records and the contact of a changelog value.

    Raises :class:`UnreadableHistoryError` for a record of another version or a damaged one.
    """
    try:
        version, length = _HEADER.unpack_from(value)
        if version not in (VERSION, WITH_CONTACT):
            raise UnreadableHistoryError(
                f"history of version {version}; this deskpulse reads versions {VERSION} and {WITH_CONTACT}"
            )
        begin = _HEADER.size + (_CONTACT.size if version == WITH_CONTACT else 0)
        names = _decode_names(value[begin : begin + length])
        contact = None
        if version == WITH_CONTACT:
            number, repeat_at, recovered_at = _CONTACT.unpack_from(value, _HEADER.size)
            contact = Contact(names[number], repeat_at, recovered_at)
        return names, value[begin + length :], contact
    except (ValueError, IndexError, struct.error, msgspec.DecodeError) as error:
        if isinstance(error, UnreadableHistoryError):
            raise
        raise UnreadableHistoryError(f"damaged history of {len(value)} bytes: {error}") from error


def score_of(text: str) -> tuple[float, float, float]:
    """Score, lowest and highest of a packed answer."""
    known = _scores.get(text)
    if known is None:
        if len(_scores) >= _MOST_SCORES:
            _scores.clear()
        score, low, high = text.split(",")
        known = _scores[text] = float(score), float(low), float(high)
    return known


_MOST_SCORES: Final = 1_000
_scores: Final[dict[str, tuple[float, float, float]]] = {}
"""Few are met, again and again."""
