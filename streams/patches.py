"""Patches: the attributes that one event sets, as one text, which a ticket's history holds among its names."""

from __future__ import annotations

from sys import intern
from typing import Final

import msgspec
from msgspec import UNSET
from mypy_extensions import i64, mypyc_attr

from schemas.events import TicketCreated, TicketUpdated
from schemas.outputs import ATTRIBUTES
from streams.json_bytes import BACKSLASH, CLOSE, QUOTE, byte_at

CODES: Final = "".join(chr(ord("a") + place) for place in range(len(ATTRIBUTES)))
"""A patch names an attribute by the letter of its place in ``ATTRIBUTES``: tickets hold a great many patches."""
CREATION: Final = "+"
"""Before a creation's patch: it says who began and who handles even where it does not say so."""
_MOST_PATCHES: Final = 20_000
_MOST_SETTINGS: Final = 5_000
_decode: Final = msgspec.json.Decoder(str).decode
_texts: dict[tuple[object, ...], str] = {}


def patch_of(event: TicketCreated | TicketUpdated) -> str:
    """The attributes that an event sets, as one text (a JSON object of codes and values), '' of none."""
    values = (
        type(event) is TicketCreated,
        event.channel,
        event.priority,
        event.team,
        event.category,
        event.agent_id,
        event.region,
        event.language,
        event.tier,
        event.journey_stage,
        event.origin,
        event.handler,
    )
    patch = _texts.get(values)
    if patch is None:
        if len(_texts) >= _MOST_PATCHES:
            _texts.clear()
        # The same text in many patches is one object.
        kept = (values[0], *[intern(value) if isinstance(value, str) else value for value in values[1:]])
        present = {code: value for code, value in zip(CODES, kept[1:], strict=True) if value is not UNSET}
        patch = msgspec.json.encode(present).decode() if present else ""
        if values[0]:
            patch = CREATION + patch
        patch = intern(patch)
        _texts[kept] = patch
    return patch


def forget_patches() -> None:
    """Let go of the texts of patches and of what they set; they are made again."""
    _texts.clear()
    _settings.clear()


@mypyc_attr(acyclic=True)
class Setting:
    """One attribute with the value that a patch sets it to."""

    __slots__ = ("json", "place", "value")

    def __init__(self, place: i64, value: str) -> None:
        self.place = place
        """In ``ATTRIBUTES``; -1 of one that only a newer deskpulse knows."""
        self.value = value
        self.json = b"" if place < 0 else msgspec.json.encode({ATTRIBUTES[place]: value})[1:-1]
        """The field as it is published."""


_settings: dict[bytes, Setting] = {}
_IMPLIED: Final = Setting(ATTRIBUTES.index("origin"), "customer"), Setting(ATTRIBUTES.index("handler"), "human")
"""What a creation sets where it does not say so."""


def settings_of(patch: str) -> list[Setting]:
    """What :func:`patch_of` has put into a text; the later one of an attribute holds. Raises ``ValueError``."""
    found: list[Setting] = []
    text = patch.encode()
    place: i64 = 0
    if byte_at(text, 0) == ord(CREATION):
        found.extend(_IMPLIED)
        place = 1
    # Of none at all the end stands where the first would begin.
    while byte_at(text, place) != CLOSE and byte_at(text, place + 1) != CLOSE:
        begin = place + 1
        middle = _after_text(text, begin)
        place = _after_text(text, middle + 1)
        if middle < 0 or place < 0:
            raise ValueError(f"a damaged patch: {patch!r}")
        field = text[begin:place]
        setting = _settings.get(field)
        if setting is None:
            if len(_settings) >= _MOST_SETTINGS:
                _settings.clear()
            # The same one of many patches is one object.
            setting = _settings[field] = _setting(field, middle - begin)
        if setting.place >= 0:
            found.append(setting)
    return found


def _setting(field: bytes, middle: int) -> Setting:
    code = field[1 : middle - 1].decode()
    return Setting(CODES.find(code) if len(code) == 1 else -1, intern(_decode(field[middle + 1 :])))


def _after_text(text: bytes, place: i64) -> i64:
    """Behind the JSON text that begins at ``place``; -1 where it does not end."""
    place += 1
    while place < len(text) and text[place] != QUOTE:
        place += 2 if text[place] == BACKSLASH else 1
    return place + 1 if place < len(text) else -1
