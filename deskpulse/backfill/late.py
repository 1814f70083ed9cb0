"""The late records: which events came after their tickets had left the horizon, and what each can touch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from confluent_kafka import Message

from deskpulse.dlq.letters import Letter, LetterId, letter_of
from deskpulse.recompute.archive import Place
from deskpulse.verify.differences import instant
from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import INPUT_TOPICS, AnyEvent, decode
from schemas.outputs import WOULD_CHANGE_HEADER, WouldChange

_decode: Final = msgspec.json.Decoder(WouldChange).decode


class Late(NamedTuple):
    """One late record. Times are milliseconds since 1970 UTC."""

    id: LetterId
    """Where it lies in the topic of late records."""
    refused_at_ms: int
    origin: Place
    """Where it lies in its input topic."""
    event: AnyEvent
    told: WouldChange | None
    """What it can touch; None of records of older workers, which told nothing."""


def place_of(letter: Letter) -> Place | None:
    """Where a refused record was read; None of what never was in an input topic."""
    if letter.origin_topic not in INPUT_TOPICS:
        return None
    return letter.origin_topic, letter.origin_partition, letter.origin_offset


def late_records(messages: Iterable[Message]) -> Iterator[Late]:
    """The late records among those of their topic; what is none of deskpulse's is left out."""
    for letter in map(letter_of, messages):
        place = place_of(letter)
        # What follows the headers of a refused record, and precedes the record's own.
        (name, told), *_ = *letter.headers[:1], ("", None)
        try:
            event = decode(letter.value)
            found = None if name != WOULD_CHANGE_HEADER or told is None else _decode(told)
        except (BadRecordError, UnknownTypeError, msgspec.DecodeError):
            continue
        if place is not None:
            yield Late(letter.id, letter.refused_at_ms, place, event, found)


def document(records: list[Late], newest: int) -> dict[str, Any]:
    """As JSON: how many of each type, and the newest, newest first; nothing in it is of a person."""
    records = sorted(records, key=lambda one: one.refused_at_ms, reverse=True)
    return {
        "late": len(records),
        "by_type": dict(sorted(Counter(_type(one) for one in records).items())),
        "records": [_document(one) for one in records[:newest]],
    }


def _type(one: Late) -> str:
    return str(one.event.__struct_config__.tag)


def _document(one: Late) -> dict[str, Any]:
    topic, number, offset = one.origin
    told = one.told
    return {
        "record": str(one.id),
        "refused_at": instant(one.refused_at_ms),
        "origin": f"{topic}[{number}]@{offset}",
        "ticket": one.event.ticket_id,
        "type": _type(one),
        "at": one.event.at.isoformat(),
        "left_at": told and instant(told.left_at_ms),
        "late_seconds": told and told.late_seconds,
        "hour": told and instant(told.pane_at_ms),
        "measures": told.measures if told else [],
        "dimensions": told.dimensions if told else [],
        "other_hours": told and told.other_panes,
        "whole_ticket": told and told.whole_ticket,
    }
