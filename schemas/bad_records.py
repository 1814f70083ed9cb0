"""What is told about a record that cannot be used: which field, what it holds, what would be right.

Only refused records come here, so this code may be slow; it never raises anything of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct, inspect

ReasonCode = Literal["no_value", "not_json", "not_an_object", "no_type", "missing_field", "bad_value"]
"""Why a record is bad, as a closed set: fit for the label of a counter."""

SHOWN_CHARACTERS: Final = 80
"""No more of a record's value is shown in an error."""
ANYTHING: Final = "finite numbers and text of whole characters"
"""What a field that deskpulse ignores may hold."""


class BadRecordError(ValueError):
    """A record that cannot be used; says which field, which value and what would be right."""

    def __init__(self, message: str, code: ReasonCode = "bad_value") -> None:
        super().__init__(message)
        self.code: ReasonCode = code


class UnknownTypeError(ValueError):
    """A well-formed record of a type that deskpulse does not know: counted and skipped, not an error."""


def explain(value: bytes, error: Exception, types: Mapping[str, type[Struct]]) -> BadRecordError | UnknownTypeError:
    """Say what was wrong with a record that msgspec refused with ``error``.

    ``types`` maps the values of the field ``type`` to their structs.
    """
    try:
        record: Any = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as not_json:
        return _not_json(value, not_json, types)
    if not isinstance(record, dict):
        return BadRecordError(f"the record is {shown(record)}; expected one JSON object", "not_an_object")
    kind = record.get("type")
    if not isinstance(kind, str):
        found = f"is {shown(kind)}" if "type" in record else "is missing"
        return BadRecordError(f"`type` {found}; expected one of {', '.join(types)}", "no_type")
    if kind not in types:
        return UnknownTypeError(cut(kind))
    if missing := re.match(r"Object missing required field `(\w+)`", str(error)):
        field = missing[1]
        return BadRecordError(f"{kind}: `{field}` is missing; expected {allowed(types[kind], field)}", "missing_field")
    message, _, path = str(error).rpartition(" - at `$.")
    field = path.rstrip("`")
    if message and field in record:
        return BadRecordError(f"{kind}: `{field}` is {shown(record[field])}; expected {allowed(types[kind], field)}")
    # What a struct says about itself, like a score outside its scale, names its fields already.
    return BadRecordError(f"{kind}: {error}")


_ABOUT_A_FIELD: Final = re.compile(r"(?:([\w.]+): )?`([^`]*)` (?:is missing)?")
_ABOUT_THE_RECORD: Final = {
    "the record has no value": "the record has no value",
    "the record is nested": "the record is nested too deeply",
    "the record is": "the record is no JSON object",
    "not JSON": "the record is not JSON",
}


def without_values(message: str, types: Mapping[str, type[Struct]]) -> str:
    """What the message of a :class:`BadRecordError` says in words of the contract, without what the record held.

    Nothing of the text itself gets through, whoever wrote it: not to be recognised is answered in general terms.
    """
    for beginning, words in _ABOUT_THE_RECORD.items():
        if message.startswith(beginning):
            return words
    about = _ABOUT_A_FIELD.match(message)
    if about is None:
        return "the record is no event"
    kind, field = about[1] or "", about[2]
    what = "is missing" if about[0].endswith("is missing") else "is wrong"
    if field == "type":
        return f"`type` {what}; expected one of {', '.join(types)}"
    known = {one for struct in types.values() for one in struct.__struct_fields__}
    if field not in known:
        return f"a field of no meaning to deskpulse is wrong; expected {ANYTHING}"
    if kind not in types:
        return f"`{field}` {what}"
    told = f"; expected {allowed(types[kind], field)}"
    # What a struct says about itself, like a score outside its scale, has numbers of the record in it.
    return f"{kind}: `{field}` {what}{told if message.endswith(told) else ''}"


def shown(value: object) -> str:
    """A value as JSON, cut to :data:`SHOWN_CHARACTERS`; also what JSON cannot say, like NaN."""
    try:
        return cut(json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode())
    except (ValueError, RecursionError):
        return f"a {type(value).__name__} that is too deep or too large to show"


def cut(text: str) -> str:
    """At most :data:`SHOWN_CHARACTERS` of a text."""
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


@cache
def allowed(struct: type[Struct], field: str) -> str:
    """What a field may hold, in words that come from its type."""
    for one in inspect.type_info(struct).fields:  # type: ignore[attr-defined]
        if one.encode_name == field:
            words = " or ".join(filter(None, map(_in_words, _members(one.type))))
            return words if one.required else f"{words}, or no such field"
    return ANYTHING


def _members(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    return kind.types if isinstance(kind, inspect.UnionType) else (kind,)


def _in_words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata():
            return _in_words(kind.type)
        case inspect.LiteralType():
            return "one of " + ", ".join(str(value) for value in kind.values)
        case inspect.BoolType():
            return "true or false"
        case inspect.StrType():
            return f"a string of {kind.min_length} to {kind.max_length} characters"
        case inspect.DateTimeType():
            return "RFC 3339 with an offset, like 2026-06-01T10:00:00.000Z"
        case inspect.IntType():
            return f"a whole number from {kind.ge} to {kind.le}"
        case inspect.FloatType():
            return f"a number from {kind.ge:.10g} to {kind.le:.10g}"
    return ""


def _not_json(value: bytes, error: Exception, types: Mapping[str, type[Struct]]) -> BadRecordError:
    """Name the field where Python's more lenient parser finds one that JSON has no word for, like NaN."""
    if isinstance(error, RecursionError):
        return BadRecordError("the record is nested too deeply; expected one flat JSON object", "not_json")
    try:
        # An integer of thousands of digits raises where floats go to infinity.
        record = json.loads(value.decode(), parse_int=float)
    except (ValueError, RecursionError):
        record = None
    for field, held in record.items() if isinstance(record, dict) else ():
        if not _fits_json(held):
            kind = record.get("type")
            expected = allowed(types[kind], field) if isinstance(kind, str) and kind in types else ANYTHING
            return BadRecordError(f"`{cut(field)}` is {shown(held)}; expected {expected}", "not_json")
    return BadRecordError(f"not JSON: {cut(str(error))}; expected one JSON object in UTF-8", "not_json")


def _fits_json(value: object) -> bool:
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return False
    return True
