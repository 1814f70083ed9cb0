"""Patches: the attributes that one event sets, as one text, which a ticket's history holds among its names."""

from __future__ import annotations

from sys import intern
from typing import Final

import msgspec
from msgspec import UNSET

from schemas.events import TicketCreated, TicketUpdated
from schemas.outputs import ATTRIBUTES

CODES: Final = "".join(chr(ord("a") + place) for place in range(len(ATTRIBUTES)))
"""A patch names an attribute by the letter of its place in ``ATTRIBUTES``: tickets hold a great many patches."""
CREATION: Final = "+"
"""Before a creation's patch: it says who began and who handles even where it does not say so."""
_CREATION_VALUES: Final = {"origin": "customer", "handler": "human"}
_MOST_PATCHES: Final = 20_000
_decode: Final = msgspec.json.Decoder(dict[str, str]).decode
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
    """Let go of the texts of patches; they are made again."""
    _texts.clear()


def patch_values(patch: str) -> dict[str, str]:
    """The attributes of :func:`patch_of` by their names. Those that only a newer deskpulse knows stay in the patch."""
    implied = _CREATION_VALUES if patch.startswith(CREATION) else {}
    given = _decode(patch.removeprefix(CREATION))
    return implied | {ATTRIBUTES[ord(code) - ord("a")]: intern(v) for code, v in given.items() if code in CODES}
