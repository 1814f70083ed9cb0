"""What may be shown of a dead letter without showing anybody's data: the contract's fields that are about no person."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec
from msgspec import inspect

from schemas.events import EVENT_TYPES, TYPE_OF_NAME
from streams.dead_letters import FUTURE, problem

MASK: Final = "•••"
PERSONAL_FIELDS: Final = frozenset({"customer_id", "author_id", "agent_id", "actor"})
"""Ids of people."""
_KINDS: Final[dict[str, inspect.Type]] = {
    field.encode_name: field.type
    for struct in EVENT_TYPES
    for field in inspect.type_info(struct).fields  # type: ignore[attr-defined]
}
_NAMED: Final = re.compile(r"[\w.:/-]{1,64}")
"""What an id or a value of an open set looks like; a person's name or address does not."""
_TIME: Final = re.compile(r"[0-9TZtz:.+ -]{1,40}")
_TOO_FAR: Final = re.compile(r"`at` is \d+ s too far ahead")
_SHAPE_CHARACTERS: Final = 400


def masked_value(value: bytes | None) -> dict[str, Any] | str | None:
    """A record's value: its fields that may be shown and who else is there; of what is no object, only its shape."""
    if value is None:
        return None
    try:
        record = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _shape(value)
    if not isinstance(record, dict):
        return _shape(value)
    told = {name: held if _may_be_shown(name, held) else MASK for name, held in record.items() if _is_known(name)}
    others = len(record) - len(told)
    return told | ({f"({others} of no meaning to deskpulse)": MASK} if others else {})


def masked_reason(code: str, reason: str) -> str:
    """Why a record was refused, without the value that was wrong."""
    return problem(code, reason) if code != FUTURE or _TOO_FAR.fullmatch(reason) is None else reason


def masked_key(key: bytes | None, value: bytes | None) -> str | None:
    """A record's key: a ticket's id where it is the record's, else only how long it is."""
    if key is None:
        return None
    told = masked_value(value)
    ticket_id = told.get("ticket_id") if isinstance(told, dict) else None
    if isinstance(ticket_id, str) and ticket_id.encode("utf-8", "surrogatepass") == key:
        return ticket_id
    return f"{MASK} ({len(key):,} bytes, not the record's `ticket_id`)"


def text_of(raw: bytes | None) -> str | None:
    """Bytes as text for a terminal or JSON; what is no UTF-8 or no printable character is escaped."""
    if raw is None:
        return None
    text = raw.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _is_known(name: str) -> bool:
    return name == "type" or name in _KINDS


def _may_be_shown(name: str, held: object) -> bool:
    """Whether a field of the contract holds what belongs there: a wrong value may be anything, a person's name, too."""
    if name in PERSONAL_FIELDS:
        return False
    if name == "type":
        return isinstance(held, str) and held in TYPE_OF_NAME
    kinds = _KINDS[name]
    for kind in kinds.types if isinstance(kinds, inspect.UnionType) else (kinds,):
        match kind.type if isinstance(kind, inspect.Metadata) else kind:
            case inspect.LiteralType(values=values):
                return held in values
            case inspect.DateTimeType():
                return isinstance(held, str) and _TIME.fullmatch(held) is not None
            case inspect.IntType() | inspect.FloatType():
                return isinstance(held, int | float)
            case inspect.StrType():
                return isinstance(held, str) and _NAMED.fullmatch(held) is not None
    return False


def _shape(value: bytes) -> str:
    """Every letter an x, every digit a 0: enough to see where a record was cut, or what else it is."""
    text = value.decode("utf-8", "replace")[:_SHAPE_CHARACTERS]
    masked = "".join("0" if c.isdigit() else "x" if c.isalnum() else c if c.isascii() else "x" for c in text)
    return "".join(c if c.isprintable() else "·" for c in masked) + ("…" if len(value) > _SHAPE_CHARACTERS else "")
