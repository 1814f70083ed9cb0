"""What lies among the dead letters: how many by reason and origin, and the newest; in words of the contract alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import Any, Final

from deskpulse.dlq.judging import verdict
from deskpulse.dlq.letters import Letter, LetterId
from deskpulse.dlq.masking import masked_key, masked_reason, masked_value, text_of
from deskpulse.explain.words import instant, printable
from schemas.outputs import Replayed

OTHER: Final = "other"
_MOST_KINDS: Final = 1_000
"""Origins are names that anybody can give; beyond so many kinds the rest is one."""


@dataclass
class Kind:
    """Letters of one reason and origin."""

    letters: int = 0
    replayed: int = 0
    """How many of them were sent again."""
    accepted_now: int = 0
    """How many of those not yet sent again a worker would take today."""
    first_at_ms: int = 2**63 - 1
    last_at_ms: int = 0


@dataclass
class Listing:
    """What was found."""

    kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    """Code, problem and origin to how many."""
    newest: list[tuple[int, LetterId, Letter]] = field(default_factory=list)
    """When each was refused, its id and itself: the newest, the oldest of them first."""


def listing(
    letters: Iterable[Letter],
    replayed: Mapping[LetterId, Replayed],
    newest: int,
    with_replayed: bool,
    latest_ms: int | None,
) -> Listing:
    """Count letters, and keep the ``newest`` of them; one that was sent again is kept only ``with_replayed``."""
    found = Listing()
    for letter in letters:
        sent = replayed_at_ms(letter, replayed) is not None
        kind = (letter.code, letter.problem, letter.origin_topic)
        if kind not in found.kinds and len(found.kinds) >= _MOST_KINDS:
            kind = (OTHER, "", "")
        of_kind = found.kinds.setdefault(kind, Kind())
        of_kind.letters += 1
        of_kind.replayed += sent
        of_kind.accepted_now += not sent and verdict(letter, latest_ms).accepted
        of_kind.first_at_ms = min(of_kind.first_at_ms, letter.refused_at_ms)
        of_kind.last_at_ms = max(of_kind.last_at_ms, letter.refused_at_ms)
        if newest and (with_replayed or not sent):
            entry = letter.refused_at_ms, letter.id, letter
            if len(found.newest) < newest:
                heappush(found.newest, entry)
            else:
                heappushpop(found.newest, entry)
    found.newest.sort(key=lambda one: one[:2])
    return found


def replayed_at_ms(letter: Letter, replayed: Mapping[LetterId, Replayed]) -> int | None:
    """When a letter was sent again, None where it was not."""
    told = replayed.get(letter.id)
    # Another timestamp: the topic was made anew, and this is another letter.
    return told.replayed_at_ms if told is not None and told.letter_timestamp_ms == letter.refused_at_ms else None


def document(found: Listing, replayed: Mapping[LetterId, Replayed]) -> dict[str, Any]:
    """The listing as JSON; most letters first, newest letters first."""
    kinds = sorted(found.kinds.items(), key=lambda one: (-one[1].letters, one[0]))
    return {
        "letters": sum(kind.letters for kind in found.kinds.values()),
        "replayed": sum(kind.replayed for kind in found.kinds.values()),
        "accepted_now": sum(kind.accepted_now for kind in found.kinds.values()),
        "kinds": [
            {
                "reason": code,
                "problem": problem,
                "origin_topic": printable(topic),
                "letters": kind.letters,
                "replayed": kind.replayed,
                "accepted_now": kind.accepted_now,
                "first_refused_at": instant(kind.first_at_ms),
                "last_refused_at": instant(kind.last_at_ms),
            }
            for (code, problem, topic), kind in kinds
        ],
        "newest": [
            {
                "letter": str(letter.id),
                "refused_at": instant(letter.refused_at_ms),
                "reason": letter.code,
                "problem": letter.problem,
                "origin": origin(letter),
                "bytes": len(letter.value or b""),
                "replayed_at": instant(replayed_at_ms(letter, replayed)),
            }
            for _, _, letter in reversed(found.newest)
        ],
    }


def origin(letter: Letter) -> str:
    """Where a letter came from: ``support.tickets[3]@17``, or ``file:events.jsonl line 12``."""
    if letter.is_of_file:
        return f"{printable(letter.origin_topic)} line {letter.origin_offset}"
    if not letter.origin_topic:
        return ""
    return f"{printable(letter.origin_topic)}[{letter.origin_partition}]@{letter.origin_offset}"


def letter_document(
    letter: Letter, replayed: Mapping[LetterId, Replayed], latest_ms: int | None, raw: bool
) -> dict[str, Any]:
    """One letter whole, and what would become of it today; without ``raw`` personal data is masked."""
    today = verdict(letter, latest_ms)

    def reason(code: str, told: str) -> str:
        return (text_of(told.encode("utf-8", "surrogatepass")) or "") if raw else masked_reason(code, told)

    return {
        "letter": str(letter.id),
        "masked": not raw,
        "refused_at": instant(letter.refused_at_ms),
        "reason": letter.code,
        "told": reason(letter.code, letter.reason),
        "origin": origin(letter),
        "recorded_at": instant(letter.origin_timestamp_ms) if letter.origin_timestamp_ms >= 0 else None,
        "key": text_of(letter.key) if raw else masked_key(letter.key, letter.value),
        "headers": [[printable(name), text_of(value) if raw else _length(value)] for name, value in letter.headers],
        "value": text_of(letter.value) if raw else masked_value(letter.value),
        "replayed_at": instant(replayed_at_ms(letter, replayed)),
        "today": {
            "accepted": today.accepted,
            "topic": today.topic,
            "reason": today.code,
            "told": reason(today.code, today.reason) if today.code else "",
        },
    }


def _length(value: bytes | None) -> str | None:
    return None if value is None else f"{len(value):,} bytes"
