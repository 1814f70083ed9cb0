"""Events of new tickets, packed while they wait for the cut that derives them.

In a backlog nearly all events are of tickets that are not known yet. As objects of their tickets they would lie all
over the memory, and each event that comes would wait for some of them to be there; here one is a row of five numbers
behind the row of the event before it, whatever ticket that was of.
"""

from __future__ import annotations

from random import getrandbits
from typing import Final

from librt.strings import BytesWriter
from librt.vecs import vec
from mypy_extensions import i64

from streams import history, ticket
from streams.history import CREATED, DELETED, SURVEY_SENT, Incoming, write_record
from streams.json_bytes import first_word, last_word
from streams.ticket import Ticket

_ROW: Final = 5
"""Numbers of a row: ``at``, ``seq``, digest, what (the numbers of its names, kind, code), place of the row before."""
_CHUNK_BITS: Final = 10
_CHUNK_ROWS: Final = 1 << _CHUNK_BITS
_CHUNK_MASK: Final = _CHUNK_ROWS - 1
_NAME_BITS: Final = 24
_NAME_MASK: Final = (1 << _NAME_BITS) - 1
_NO_ROW: Final = -1
_COUNT_BITS: Final = 8
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
_SLOT: Final = 4
"""Numbers of a slot: a ticket's number + 1 (0: none), first and last word and length of its key."""
_FEW_BITS: Final = 8
_SHORT_KEY: Final = 16
"""A key of so many bytes is told by its two words and its length."""
MOST_EVENTS: Final = 48
"""Of one ticket: their names are never too many or too long for its history (:class:`history.HistoryFullError`)."""
_AT_ONCE: Final = 8
"""So many tickets' rows are fetched together."""
_ROWS_SIZE: Final = _ROW * MOST_EVENTS
"""Numbers of the rows of one ticket."""


class Waiting:
    """The new tickets of one partition, until a cut."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        """Of all tickets, in the order in which they came, also of those that were taken out."""
        self._out = 0
        """How many were taken out."""
        # As long as nobody knows them, nobody can make keys that meet in the table.
        self._first_factor: i64 = getrandbits(62) | 1
        self._last_factor: i64 = getrandbits(62) | 1
        self._make_slots(_FEW_BITS)
        self._ends = vec[i64]([0] * (1 << _FEW_BITS - 1))
        """Of each ticket the place of its last row, and below that how many there are; 0 where it was taken out."""
        self._chunks: list[vec[i64]] = []
        self._rows = vec[i64]()
        """The last chunk."""
        self._row_count: i64 = 0
        self._name_numbers: dict[str, int] = {"": 0}
        self._names: list[str] = [""]
        self._event = Incoming(0, 0, 0, 0, 0, "", "")
        self._fetched = vec[i64]([0] * (_AT_ONCE * _ROWS_SIZE))
        """Rows of some tickets, of each as they came."""
        self._first_fetched: i64 = 0
        self._end_fetched: i64 = 0
        self._next = vec[i64]([0] * (2 * _AT_ONCE))
        """Of each of them the place of the row that is fetched next, and how many are still to be fetched."""
        self._order = vec[i64]([0] * MOST_EVENTS)
        """Where in it each row of one ticket begins, in history order."""
        self._writer = BytesWriter()

    def __len__(self) -> int:
        """How many tickets wait."""
        return len(self.keys) - self._out

    def add(self, key: bytes, event: Incoming) -> bool:
        """Add an event of a ticket that waits already; False where none does, or too many of its events."""
        number = self._slots[self._find(key)] - 1
        if number < 0:
            return False
        end = self._ends[number]
        count = end & _COUNT_MASK
        if count == 0 or count >= MOST_EVENTS:
            return False
        self._ends[number] = self._put(event, end >> _COUNT_BITS) << _COUNT_BITS | (count + 1)
        return True

    def begin(self, key: bytes, event: Incoming) -> None:
        """Add the first event of a ticket that does not wait and was not taken out."""
        number: i64 = len(self.keys)
        if number == len(self._ends):
            self._lengthen()
        slot = self._find(key)
        slots = self._slots
        slots[slot] = number + 1
        slots[slot + 1] = first_word(key, 0, len(key))
        slots[slot + 2] = last_word(key, 0, len(key))
        slots[slot + 3] = len(key)
        self.keys.append(key)
        self._ends[number] = self._put(event, _NO_ROW) << _COUNT_BITS | 1

    def take_out(self, key: bytes) -> tuple[Ticket, int] | None:
        """As :meth:`ticket`, of the ticket of a key, which then waits here no more; None where it did not."""
        number = self._slots[self._find(key)] - 1
        if number < 0:
            return None
        found = self.ticket(number)
        if found is not None:
            self._ends[number] = 0
            self._out += 1
        return found

    def ticket(self, number: i64) -> tuple[Ticket, int] | None:
        """The ticket of a key's place in :attr:`keys`, and how many of its events were there already.

        None where it was taken out.
        """
        count = self._ends[number] & _COUNT_MASK
        if count == 0:
            return None
        if number < self._first_fetched or number >= self._end_fetched:
            self._fetch(number)
        begin = (number - self._first_fetched) * _ROWS_SIZE
        end = begin + _ROW * count
        known = 0
        if self._put_in_order(begin, end):
            held = self._distinct(count)
        else:
            held = ticket.new()
            for row in range(begin, end, _ROW):
                if held.history.take(self._event_of(row)) != history.ADDED:
                    known += 1
        held.changed = True
        return held, known

    def _fetch(self, first: i64) -> None:
        """Fetch the rows of some tickets from this one on.

        A row that is in no cache has to be waited for, and says where the one before it is. Side by side, rows of
        several tickets are waited for together.
        """
        number: i64 = len(self.keys) - first
        if number > _AT_ONCE:
            number = _AT_ONCE
        self._first_fetched = first
        self._end_fetched = first + number
        fetched, following = self._fetched, self._next
        each: i64 = 0
        while each < number:
            following[2 * each] = self._ends[first + each] >> _COUNT_BITS
            following[2 * each + 1] = self._ends[first + each] & _COUNT_MASK
            each += 1
        left = True
        while left:
            left = False
            each = 0
            while each < number:
                count = following[2 * each + 1]
                if count > 0:
                    left = True
                    place = following[2 * each]
                    rows = self._chunks[place >> _CHUNK_BITS]
                    begin = _ROW * (place & _CHUNK_MASK)
                    row = each * _ROWS_SIZE + _ROW * (count - 1)
                    following[2 * each] = rows[begin + 4]
                    following[2 * each + 1] = count - 1
                    fetched[row] = rows[begin]
                    fetched[row + 1] = rows[begin + 1]
                    fetched[row + 2] = rows[begin + 2]
                    fetched[row + 3] = rows[begin + 3]
                each += 1

    def _put_in_order(self, begin: i64, end: i64) -> bool:
        """Note the order of a ticket's fetched rows; whether they are as :meth:`_distinct` needs them.

        Of another event under an id that was there, and of a deletion, the history decides what they mean.
        """
        fetched, order = self._fetched, self._order
        are_distinct = True
        number: i64 = 0
        row = begin
        while row < end:
            if fetched[row + 3] >> 8 & 0xFF == DELETED:
                are_distinct = False
            before = number
            while before > 0 and self._is_before(row, order[before - 1]):
                order[before] = order[before - 1]
                before -= 1
            order[before] = row
            other = begin
            while other < row:
                if fetched[other + 2] == fetched[row + 2]:
                    are_distinct = False
                other += _ROW
            number += 1
            row += _ROW
        return are_distinct

    def _is_before(self, row: i64, other: i64) -> bool:
        """Whether a row comes before another in history order."""
        mine = self._fetched
        if mine[row] != mine[other]:
            return mine[row] < mine[other]
        if mine[row + 1] != mine[other + 1]:
            return mine[row + 1] < mine[other + 1]
        # As bytes compare.
        return (mine[row + 2] ^ history.SIGN) < (mine[other + 2] ^ history.SIGN)

    def _distinct(self, count: i64) -> Ticket:
        mine, order, writer = self._fetched, self._order, self._writer
        writer.truncate(0)
        held = ticket.new()
        kept = held.history
        names = self._names
        number: i64 = 0
        while number < count:
            row = order[number]
            what = mine[row + 3]
            b = kept.number(names[what >> 16 + _NAME_BITS & _NAME_MASK])
            c = kept.number(names[what >> 16 & _NAME_MASK])
            write_record(writer, mine[row], mine[row + 1], mine[row + 2], what >> 8 & 0xFF, what & 0xFF, b, c)
            number += 1
        kept.records = writer.getvalue()
        return held

    def _event_of(self, row: i64) -> Incoming:
        mine, event = self._fetched, self._event
        what = mine[row + 3]
        event.at = mine[row]
        event.seq = mine[row + 1]
        event.digest = mine[row + 2]
        event.kind = what >> 8 & 0xFF
        event.code = what & 0xFF
        event.b = self._names[what >> 16 + _NAME_BITS & _NAME_MASK]
        event.c = self._names[what >> 16 & _NAME_MASK]
        return event

    def _put(self, event: Incoming, before: i64) -> i64:
        """The place of its row."""
        self._end_fetched = 0
        place = self._row_count
        row = _ROW * (place & _CHUNK_MASK)
        if row == 0:
            self._rows = vec[i64]([0] * (_ROW * _CHUNK_ROWS))
            self._chunks.append(self._rows)
        rows = self._rows
        rows[row] = event.at
        rows[row + 1] = event.seq
        rows[row + 2] = event.digest
        # Of customers and surveys there are about as many as of tickets: to look for them is not worth it.
        b = self._new_name(event.b) if event.kind == CREATED else self._number_of(event.b)
        c = self._new_name(event.c) if event.kind >= SURVEY_SENT else self._number_of(event.c)
        rows[row + 3] = (b << _NAME_BITS | c) << 16 | event.kind << 8 | event.code
        rows[row + 4] = before
        self._row_count = place + 1
        return place

    def _number_of(self, name: str) -> i64:
        number = self._name_numbers.get(name)
        if number is not None:
            return number
        fresh = self._new_name(name)
        self._name_numbers[name] = fresh
        return fresh

    def _new_name(self, name: str) -> i64:
        if not name:
            return 0
        self._names.append(name)
        return len(self._names) - 1

    def _find(self, key: bytes) -> i64:
        """Where in the table a key stands, or would stand."""
        length: i64 = len(key)
        first, last = first_word(key, 0, length), last_word(key, 0, length)
        slots = self._slots
        slot = self._home(first, last, length)
        while slots[slot] != 0:
            if (
                slots[slot + 1] == first
                and slots[slot + 2] == last
                and slots[slot + 3] == length
                and (length <= _SHORT_KEY or self.keys[slots[slot] - 1] == key)
            ):
                return slot
            slot = (slot + _SLOT) & self._mask
        return slot

    def _home(self, first: i64, last: i64, length: i64) -> i64:
        mixed = (first + length) * self._first_factor + last * self._last_factor
        return (mixed ^ mixed >> 32) * self._first_factor >> self._shift & self._mask

    def _make_slots(self, bits: i64) -> None:
        self._bits: i64 = bits
        self._slots = vec[i64]([0] * (_SLOT << bits))
        self._mask: i64 = (_SLOT << bits) - _SLOT
        self._shift: i64 = 62 - bits

    def _lengthen(self) -> None:
        """Have room for twice as many tickets."""
        ends = self._ends
        size: i64 = len(ends)
        self._ends = vec[i64]([0] * (2 * size))
        number: i64 = 0
        while number < size:
            self._ends[number] = ends[number]
            number += 1
        before = self._slots
        self._make_slots(self._bits + 1)
        slots = self._slots
        place: i64 = 0
        while place < len(before):
            if before[place] != 0:
                slot = self._home(before[place + 1], before[place + 2], before[place + 3])
                while slots[slot] != 0:
                    slot = (slot + _SLOT) & self._mask
                slots[slot] = before[place]
                slots[slot + 1] = before[place + 1]
                slots[slot + 2] = before[place + 2]
                slots[slot + 3] = before[place + 3]
            place += _SLOT
