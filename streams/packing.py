"""Values that are much alike, made smaller: zstandard with a dictionary of what they have in common (RFC 8878)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from zstandard import ZstdCompressionDict, ZstdCompressor, ZstdDecompressor, ZstdError, train_dictionary

_DICTIONARY_BYTES: Final = 16_384
SAMPLES: Final = 500
"""Of more values the dictionary is no better, and it takes longer to find (30 ms of these)."""


class Packer:
    """Packs values and unpacks them again. Not for several threads at once."""

    def __init__(self, samples: Sequence[bytes]) -> None:
        """``samples``: some values, of which the first :data:`SAMPLES` are looked at. Of too few nothing is learnt."""
        known: ZstdCompressionDict | None = None
        with suppress(ZstdError):  # They are too few, or too short: then each is packed by itself.
            known = train_dictionary(_DICTIONARY_BYTES, [value for value in samples[:SAMPLES] if value])
        packing = ZstdCompressor(dict_data=known, write_dict_id=False)
        self.pack = packing.compress
        """The packed value, which may be larger than it was."""
        self.unpack = ZstdDecompressor(dict_data=known).decompress
        """The inverse."""
