"""Cells as the records that are published (``schemas/outputs.py``)."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec

from streams.attributes import Dimensions

_encoder: Final = msgspec.json.Encoder()
encode: Final = _encoder.encode
_encode_into: Final = _encoder.encode_into

Cells: TypeAlias = dict[str, int]
"""A cell's measures by name, as ``schemas.outputs.Cell`` has them."""


Output: TypeAlias = tuple[bytes, bytes | None]
"""A record to publish: key and value; a value of None is a tombstone."""


class Encoding:
    """As ``encode``, for many records of about the same size: in memory that is used again. Not for several threads.

    To grow memory for each record of a cut anew took a twentieth of its time.
    """

    def __init__(self) -> None:
        self._memory = bytearray()

    def encode(self, told: object) -> bytes:
        """The JSON of one record."""
        _encode_into(told, self._memory)
        return bytes(self._memory)


class CellRecords:
    """Makes the records of cells; what all cells of one combination of dimensions share is encoded once."""

    def __init__(self, dimensions: Dimensions) -> None:
        self._dimensions = dimensions
        self._encoding = Encoding()
        self._shared: dict[int, tuple[bytes, msgspec.Raw]] = {}

    def let_go(self) -> None:
        """Drop what was encoded once; it is encoded again."""
        self._shared.clear()

    def record(self, resolution: str, pane_at_ms: int, as_of_ms: int, number: int, cell: Cells) -> Output:
        """The record of one cell, whole; ``cell`` holds measures and amounts that are not zero."""
        shared = self._shared.get(number)
        if shared is None:
            named = self._dimensions.named(number)
            shared = self._shared[number] = encode(list(named.values())), msgspec.Raw(encode(named))
        value = self._encoding.encode(
            {
                "resolution": resolution,
                "pane_at_ms": pane_at_ms,
                "as_of_ms": as_of_ms,
                "dimensions": shared[1],
                "measures": cell,
            }
        )
        return b"%s|%d|%s" % (resolution.encode(), pane_at_ms, shared[0]), value
