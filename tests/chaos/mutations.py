"""Records that no producer should send: valid events and what becomes of them under structure-aware mutations.

Endless and from a seed. Tickets and ids of valid events come from a bounded set, so that what is kept of them is
bounded, too: a worker that grows for ever does so for another reason.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final, NamedTuple

from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE

Headers = tuple[tuple[str, bytes | None], ...]
Event = dict[str, Any]


class Fuzz(NamedTuple):
    """One record."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True)
class Pool:
    """How much there is of what."""

    tickets: int = 4_000
    ids_per_ticket: int = 40
    largest: int = 1_040_000
    """Bytes of a giant key or value: below the broker's limit for a record, headers included."""


_STATUSES: Final = ("new", "open", "pending", "on_hold", "solved", "closed")
_NAMES: Final = (
    "email",
    "chat",
    "phone",
    "équipe ж",
    "客服",
    "a b",
    "x" * 256,
    "\u0000",
    "\u202e",
    "'; DROP TABLE --",
    "🙂",
)
_GIANT: Final = 0.0002
_REMEMBERED: Final = 2_000
_RAW: Final = (
    "NaN", "-Infinity", "1e999", "-1e999", "9" * 400, "-0", "0.1e-400", '"\\ud800"', '"\\udfff\\ud800"', "tru", "01",
    '"\t"', "[" * 2_000 + "]" * 2_000, '{"a":' * 600 + "1" + "}" * 600, '"' + "\\u0000" * 300 + '"', "''", "undefined",
)  # fmt: skip
"""What stands where a value should, as JSON text or what is none."""
_DATES: Final = (
    "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2099-12-31T23:59:59.999Z", "2100-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00+23:59", "2026-06-01", "2026-06-01T24:00:00Z", "yesterday", "",
    "2026-06-01T10:00:00", "2026-06-01T10:00:00+99:99", "2026-13-01T10:00:00Z", "-2026-06-01T10:00:00Z",
)  # fmt: skip


def records(seed: int, now_ms: int, pool: Pool = Pool()) -> Iterator[Fuzz]:
    """Records without end; the same seed and time give the same ones."""
    return _Maker(seed, now_ms, pool).records()


class _Maker:
    def __init__(self, seed: int, now_ms: int, pool: Pool) -> None:
        self._rng = Random(f"{seed} fuzz")
        self._pool = pool
        self._now = datetime.fromtimestamp(now_ms / 1000, UTC)
        self._earlier: list[Fuzz] = []

    def records(self) -> Iterator[Fuzz]:
        rng = self._rng
        ways = (self._valid, self._mutated, self._damaged, self._again, self._noise, self._wrapped)
        while True:
            (way,) = rng.choices(ways, (36, 38, 12, 6, 3, 5))
            made = way()
            if len(self._earlier) < _REMEMBERED:
                self._earlier.append(made)
            elif rng.random() < 0.1:
                self._earlier[rng.randrange(_REMEMBERED)] = made
            yield made

    # -- ways to make one

    def _valid(self) -> Fuzz:
        event = self._event()
        return Fuzz(TOPIC_OF_TYPE[event["type"]], _key_of(event), self._json(event))

    def _again(self) -> Fuzz:
        return self._rng.choice(self._earlier) if self._earlier else self._valid()

    def _mutated(self) -> Fuzz:
        """One to three fields are dropped, changed, added or doubled."""
        rng = self._rng
        event = self._event()
        key = _key_of(event)
        raw: list[tuple[str, str]] = []
        for _ in range(rng.randint(1, 3)):
            field = rng.choice([*event, "brand", "scale_min", "scale_max", "seq"])
            match rng.randrange(5):
                case 0:
                    event.pop(field, None)
                case 1:
                    event[field] = self._anything()
                case 2:
                    raw.append((field, rng.choice(_RAW)))
                case 3:
                    event["at"] = rng.choice(_DATES)
                case _:
                    event["type"] = rng.choice(("ticket.tagged", "ticket.Created", "", None, 3, *TOPIC_OF_TYPE))
        value = self._json(event)
        if raw:
            more = ",".join(f"{json.dumps(field)}:{text}" for field, text in raw)
            value = value[:-1] + ("," if event else "").encode() + more.encode("utf-8", "surrogatepass") + b"}"
        return Fuzz(rng.choice(INPUT_TOPICS), key, value)

    def _damaged(self) -> Fuzz:
        """Bytes are cut off, changed, put in or taken out."""
        rng = self._rng
        whole = self._valid()
        assert whole.value is not None
        held = bytearray(whole.value)
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(held) + 1)
            match rng.randrange(4):
                case 0:
                    del held[at:]
                case 1:
                    held[at : at + 1] = rng.randbytes(1)
                case 2:
                    held[at:at] = rng.choice((b"\xff", b"\xc3", b"\x00", b"\xed\xa0\x80", b'"', b"{", b"}", b"\\"))
                case _:
                    del held[at : at + rng.randint(1, 20)]
        return whole._replace(value=bytes(held))

    def _noise(self) -> Fuzz:
        rng = self._rng
        value = rng.choice((None, b"", b"null", b"[]", b'""', b"0", rng.randbytes(rng.randrange(200))))
        key = rng.choice((None, b"", b"T1", rng.randbytes(rng.randrange(1, 40))))
        return Fuzz(rng.choice(INPUT_TOPICS), key, value)

    def _wrapped(self) -> Fuzz:
        """An event, good or bad, in a record that is odd: its key, its headers, its size."""
        rng = self._rng
        made = self._valid() if rng.random() < 0.5 else self._mutated()
        if rng.random() < _GIANT * 20:
            return self._giant(made)
        match rng.randrange(4):
            case 0:
                return made._replace(key=rng.choice((None, b"", b"\xff\xfe", (made.key or b"") + b" ", b"T" * 3_000)))
            case 1:
                return made._replace(topic=rng.choice(INPUT_TOPICS))
            case _:
                return made._replace(headers=self._headers())

    def _giant(self, made: Fuzz) -> Fuzz:
        rng = self._rng
        size = rng.randrange(self._pool.largest // 2, self._pool.largest)
        noise = base64.b85encode(rng.randbytes(size * 4 // 5)).decode()
        match rng.randrange(3):
            case 0:
                return made._replace(key=noise.encode())
            case 1:
                event = self._event() | {"brand": noise}
                return made._replace(key=_key_of(event), value=self._json(event))
            case _:
                return made._replace(value=noise.encode())

    def _headers(self) -> Headers:
        rng = self._rng
        told: list[tuple[str, bytes | None]] = []
        for _ in range(rng.randint(1, 5)):
            name = rng.choice(("trace", "reason", "origin_topic", "origin_offset", "", "é", "x" * 500))
            told.append((name, rng.choice((None, b"", b"\xff\x00", rng.randbytes(rng.randrange(300))))))
        return tuple(told)

    # -- what they are made of

    def _event(self) -> Event:
        """A valid event of one of the tickets."""
        rng = self._rng
        number = min(int(rng.expovariate(8 / self._pool.tickets)), self._pool.tickets - 1)
        ticket = f"fuzz-{number}" if number % 50 else f"fuzz\n{number}\u0000é🙂'"
        kind = rng.choices(tuple(TOPIC_OF_TYPE), (20, 30, 1, 1, 30, 8, 10))[0]
        age = timedelta(milliseconds=int(rng.expovariate(1 / 3_600_000)))
        at = (self._now - age).astimezone(UTC)
        event: Event = {
            "id": f"{ticket}:{kind}:{rng.randrange(self._pool.ids_per_ticket // 6)}",
            "type": kind,
            "ticket_id": ticket,
            "at": at.isoformat(timespec="milliseconds"),
        }
        if rng.random() < 0.3:
            event["seq"] = rng.choice((0, 1, -1, 2**63 - 1, -(2**63)))
        return event | self._fields(kind, ticket)

    def _fields(self, kind: str, ticket: str) -> Event:
        rng = self._rng
        name = rng.choice(_NAMES)
        match kind:
            case "ticket.created":
                priority = rng.choice(("low", "normal", "high", "urgent"))
                return {"customer_id": f"c{rng.randrange(2_000)}", "channel": name, "priority": priority}
            case "ticket.updated":
                return {"status": rng.choice(_STATUSES), "team": name, "actor": f"a{rng.randrange(9)}"}
            case "ticket.merged":
                return {"into": f"fuzz-{rng.randrange(self._pool.tickets)}"}
            case "message.sent":
                author = rng.choice(("customer", "agent", "bot", "system"))
                visibility = rng.choice(("public", "internal"))
                return {"author": author, "author_id": f"a{rng.randrange(9)}", "visibility": visibility}
            case "survey.sent" | "survey.answered":
                asked = {"survey_id": f"{ticket}-{rng.randrange(3)}", "kind": rng.choice(("csat", "nps", "ces"))}
                return asked if kind == "survey.sent" else asked | {"score": rng.choice((1, 2, 3.5, 5))}
        return {}

    def _anything(self, depth: int = 0) -> Any:
        rng = self._rng
        match rng.randrange(12 if depth < 4 else 9):
            case 0:
                return None
            case 1:
                return rng.random() < 0.5
            case 2:
                return rng.choice((0, -1, 2**31, 2**63, -(2**64), 10**30, 10**400))
            case 3:
                return rng.choice((0.5, -1e-300, 1e308, math.pi, math.nan, math.inf))
            case 4:
                return ""
            case 5:
                return rng.choice(_NAMES)
            case 6:
                return rng.choice(("\ud800", "\u0000" * 5, "\u2028", "x" * 513, "x" * 5_000, "\x1b[31m", "ß" * 256))
            case 7:
                return rng.choice(_DATES)
            case 8:
                return rng.choice(_STATUSES)
            case 9 | 10:
                return [self._anything(depth + 1) for _ in range(rng.randrange(4))]
            case _:
                return {str(n): self._anything(depth + 1) for n in range(rng.randrange(4))}

    def _json(self, event: Event) -> bytes:
        rng = self._rng
        separators = (",", ":") if rng.random() < 0.8 else (" ,\n", "\t: ")
        text = json.dumps(event, ensure_ascii=rng.random() < 0.5, separators=separators)
        return text.encode("utf-8", "surrogatepass")


def _key_of(event: Event) -> bytes:
    return str(event["ticket_id"]).encode("utf-8", "surrogatepass")
