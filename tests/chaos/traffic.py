"""What a desk publishes while it is beaten: simulated stories with time squeezed, poison, late and unknown records.

Pure and from a seed, but for the time at which it begins: the same seed gives the same records at the same distances.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Any, Final, NamedTuple

from schemas.events import MESSAGES, SURVEYS, TICKETS
from sources.simulator import EVENTS_PER_TICKET, SimulatorConfig, simulate

SIMULATED_START_MS: Final = 1_780_272_000_000
"""2026-06-01T00:00Z: where the stories begin before their times are moved to now. Ids follow from it and the seed."""
DAY_MS: Final = 86_400_000
_LATE: Final = 0.04
_DUPLICATES: Final = 0.05
_REORDERED: Final = 0.25
_REORDERED_MS: Final = 400
_OLD_TICKETS: Final = 40
_OLD_MS: Final = 33 * DAY_MS
"""So long ago the old tickets were solved: longer than the horizon."""


class Record(NamedTuple):
    """One record to publish."""

    due_ms: int
    """When, in milliseconds since 1970."""
    topic: str
    key: bytes | None
    value: bytes | None
    kind: str
    """``event``, ``poison``, ``late`` (its ticket has left the horizon) or ``unknown`` (a type of another contract)."""


@dataclass(frozen=True)
class Shape:
    """How much of what is published."""

    seed: int
    seconds: float
    events_per_second: float
    day_seconds: float
    """So long a simulated day takes."""
    poison: int = 100
    late: int = 40
    unknown: int = 20


def old_tickets(start_ms: int) -> list[Record]:
    """Tickets that were solved longer ago than the horizon: to be published, and to have left, before all else."""
    told: list[Record] = []
    for number in range(_OLD_TICKETS):
        at = start_ms - _OLD_MS + number
        for seq, (kind, fields) in enumerate(_OLD_STORY):
            told.append(Record(at, TICKETS, *_event(f"old-{number}", str(seq), kind, at + seq * 1000, fields), "event"))
    return told


def records(shape: Shape, start_ms: int) -> list[Record]:
    """Everything that is published from ``start_ms`` on, in the order of publishing."""
    rng = Random(f"{shape.seed} traffic")
    told = list(_stories(shape, start_ms, rng))
    examples = [record for record in told if b'"ticket.created"' in (record.value or b"")]
    span = int(shape.seconds * 1000)
    for number in range(shape.poison):
        due = start_ms + rng.randrange(span)
        told.append(_poison(number, due, rng.choice(examples), rng))
    for number in range(shape.late):
        due = start_ms + rng.randrange(span)
        ticket = f"old-{rng.randrange(_OLD_TICKETS)}"
        fields = {"status": rng.choice(("open", "solved"))}
        key, value = _event(ticket, f"again-{number}", "ticket.updated", due, fields)
        told.append(Record(due, TICKETS, key, value, "late"))
    for number in range(shape.unknown):
        due = start_ms + rng.randrange(span)
        topic = rng.choice((TICKETS, MESSAGES, SURVEYS))
        told.append(Record(due, topic, *_event(f"tagged-{number}", "1", "ticket.tagged", due, {}), "unknown"))
    return sorted(told, key=lambda record: record.due_ms)


_OLD_STORY: Final = (
    ("ticket.created", {"customer_id": "c-old", "channel": "email", "priority": "low"}),
    ("ticket.updated", {"status": "solved"}),
)


def endless(seed: int, start_ms: int, events_per_second: float, day_seconds: float) -> Iterator[Record]:
    """Stories from ``start_ms`` on, without end, made up as they are asked for. The rate is reached within a day."""
    squeeze = DAY_MS / 1000 / day_seconds
    config = SimulatorConfig(
        SIMULATED_START_MS,
        seed=seed,
        days=None,
        events_per_second=events_per_second / squeeze,
        reached_after_seconds=DAY_MS / 1000,
        late=_LATE,
        duplicates=_DUPLICATES,
        rhythm=False,
        incidents=False,
    )
    return _moved(config, start_ms, squeeze)


def _stories(shape: Shape, start_ms: int, rng: Random) -> Iterator[Record]:
    squeeze = DAY_MS / 1000 / shape.day_seconds
    config = SimulatorConfig(
        SIMULATED_START_MS,
        seed=shape.seed,
        days=shape.seconds / shape.day_seconds,
        tickets=int(shape.seconds * shape.events_per_second / EVENTS_PER_TICKET),
        late=_LATE,
        duplicates=_DUPLICATES,
        rhythm=False,
        incidents=False,
    )
    for record in _moved(config, start_ms, squeeze):
        later = rng.randrange(_REORDERED_MS) if rng.random() < _REORDERED else 0
        yield record._replace(due_ms=record.due_ms + later)


def _moved(config: SimulatorConfig, start_ms: int, squeeze: float) -> Iterator[Record]:
    """The stories of a desk, ``squeeze`` times as fast and from ``start_ms`` on."""

    def moved(ms: int) -> int:
        return start_ms + int((ms - SIMULATED_START_MS) / squeeze)

    for due, topic, key, value in simulate(config):
        event: dict[str, Any] = json.loads(value)
        at = moved(int(datetime.fromisoformat(event["at"]).timestamp() * 1000))
        event["at"] = _rfc3339(at)
        yield Record(max(at, moved(due)), topic, key, _json(event), "event")


def _poison(number: int, due: int, example: Record, rng: Random) -> Record:
    """A record that must lie in the dead letters, whole; no two are the same."""
    assert example.value is not None
    assert example.key is not None
    event = json.loads(example.value) | {"id": f"poison-{number}", "at": _rfc3339(due)}
    key: bytes | None = example.key
    value: bytes | None
    match number % 12:
        case 0:
            value = b"\xff\xfe\x00" + rng.randbytes(20) + str(number).encode()
        case 1:
            value = _json(event)[: 60 + number % 40]
        case 2:
            key, value = f"another-{number}".encode(), _json(event)
        case 3:
            key, value = None, _json(event)
        case 4:
            value = _json(event | {"priority": number})
        case 5:
            value = _json({name: held for name, held in event.items() if name != "customer_id"})
        case 6:
            value = _json(event | {"at": _rfc3339(due + 3 * DAY_MS)})
        case 7:
            value = _json(event | {"at": f"9999-12-31T23:59:59.{number:03d}Z"})
        case 8:
            key, value = f"nothing-{number}".encode(), None
        case 9:
            value = f'{{"type":"ticket.deleted","id":"{number}","x":'.encode() + b"[" * 3000 + b"]" * 3000 + b"}"
        case 10:
            value = _json(event)[:-1] + b',"channel":NaN}'
        case _:
            value = _json([number, event])
    return Record(due, rng.choice((TICKETS, MESSAGES, SURVEYS)), key, value, "poison")


def _event(ticket: str, number: str, kind: str, at: int, fields: dict[str, Any]) -> tuple[bytes, bytes]:
    event = {"id": f"{ticket}-{number}", "type": kind, "ticket_id": ticket, "at": _rfc3339(at), **fields}
    return ticket.encode(), _json(event)


def _json(told: object) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()


def _rfc3339(ms: int) -> str:
    at = datetime.fromtimestamp(ms // 1000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"
