"""Cells as the records that are published (``schemas/outputs.py``)."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from librt.strings import read_i64_le
from mypy_extensions import i64

from streams.attributes import Dimensions
from streams.cells import Dirty
from streams.json_object import JsonObject
from streams.measures import NAME_OF

encode: Final = msgspec.json.Encoder().encode
_MINUTE_MS: Final = 60_000
_NUMBER_BYTES: Final = 8
_NAMES: Final = [NAME_OF.get(number, "").encode() for number in range(max(NAME_OF) + 1)]
Output: TypeAlias = tuple[bytes, bytes | None]
"""A record to publish: key and value; a value of None is a tombstone."""


class CellRecords:
    """Makes the records of cells; what all cells of one combination of dimensions share is encoded once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._shared: dict[int, tuple[bytes, bytes]] = {}
        self._record = JsonObject()
        self._measures = JsonObject()

    def let_go(self) -> None:
        """Drop what was encoded once; it is encoded again."""
        self._shared.clear()

    def records(self, resolution: str, as_of_ms: int, cells: Dirty) -> list[Output]:
        """The records of some cells, whole."""
        record = self._record
        told = encode(resolution)
        minutes, dimensions, lengths = cells.minutes.tobytes(), cells.dimensions.tobytes(), cells.lengths.tobytes()
        measures, amounts = cells.measures.tobytes(), cells.amounts.tobytes()
        made: list[Output] = []
        first: i64 = 0
        for place in range(0, len(minutes), _NUMBER_BYTES):
            end = first + _NUMBER_BYTES * read_i64_le(lengths, place)
            pane_at_ms = _MINUTE_MS * read_i64_le(minutes, place)
            key, named = self._shared_of(read_i64_le(dimensions, place))
            record.begin()
            record.raw(b"resolution", told)
            record.integer(b"pane_at_ms", pane_at_ms)
            record.integer(b"as_of_ms", as_of_ms)
            record.raw(b"dimensions", named)
            record.raw(b"measures", self._measured(measures, amounts, first, end))
            made.append((b"%s|%d|%s" % (resolution.encode(), pane_at_ms, key), record.end()))
            first = end
        return made

    def _shared_of(self, number: int) -> tuple[bytes, bytes]:
        shared = self._shared.get(number)
        if shared is None:
            named = self._dimensions.named(number)
            shared = self._shared[number] = encode(list(named.values())), encode(named)
        return shared

    def _measured(self, measures: bytes, amounts: bytes, place: i64, end: i64) -> bytes:
        if place == end:
            return b"{}"
        told = self._measures
        told.begin()
        while place < end:
            number = read_i64_le(measures, place)
            name = _NAMES[number] if number < len(_NAMES) else b""
            if not name:
                raise ValueError(f"{number} is the number of no measure")
            told.integer(name, read_i64_le(amounts, place))
            place += _NUMBER_BYTES
        return told.end()
