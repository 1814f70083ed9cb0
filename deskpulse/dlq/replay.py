"""Sending dead letters again, to where they came from: each once, however often and from where this is called.

1. The transactional producer has one id for all who replay, so whoever started before is fenced: it commits no more.
2. Only then is read which letters were sent again already.
3. One transaction holds some letters, as they were, and a record in ``support.dead-letters-replayed`` for each. What
   the sink had refused is inserted into ClickHouse before it, and marked there, too.

So a letter is sent and marked, or neither; a row may be inserted twice, and replaces itself. To send a letter again all
the same (``again``) does no harm: an event with a known id is the same event.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from deskpulse.dlq.judging import CLICKHOUSE, Verdict, verdict
from deskpulse.dlq.letters import Letter, LetterId, Wanted
from deskpulse.dlq.listing import replayed_at_ms
from deskpulse.dlq.reading import Progress, Reader
from deskpulse.dlq.rows import Rows
from schemas.outputs import REPLAYED, Replayed
from streams.clients import ClientSettings
from streams.commit import ANY_PARTITION, Annotated, Cut, TransactionalCommitter
from streams.published import Output
from streams.topics import default_specs, ensure_topics

SENT_ALREADY: Final = "replayed"
"""Why a letter is left: it was sent again before."""
_LETTERS_AT_ONCE: Final = 1_000
_BYTES_AT_ONCE: Final = 8 * 1024 * 1024
"""A transaction is committed when it has so much."""
_TIMEOUT_SECONDS: Final = 30.0
_SHOWN: Final = 1_000
"""Of so many letters that are left it is said which they are."""


@dataclass(frozen=True)
class Choice:
    """Which letters are to be sent."""

    wanted: Wanted
    most: int = 0
    """No more than so many; 0 for all."""
    force: bool = False
    """Those, too, that would be refused again."""
    again: bool = False
    """Those, too, that were sent again already."""
    latest_ms: int | None = None
    """An event later than that can't be true."""


@dataclass
class Outcome:
    """What became of the letters. Nothing was sent when it was a rehearsal."""

    letters: int = 0
    sent: Counter[str] = field(default_factory=Counter)
    """By topic."""
    left: Counter[str] = field(default_factory=Counter)
    """Why, as a code, to how many were left as they are."""
    left_ids: dict[LetterId, str] = field(default_factory=dict)
    """The first of them, each with its code."""
    transactions: int = 0

    def leave(self, letter: Letter, why: str) -> None:
        """A letter stays where it is."""
        self.left[why] += 1
        if len(self.left_ids) < _SHOWN:
            self.left_ids[letter.id] = why


def chosen(
    letters: Iterable[Letter], choice: Choice, replayed: Mapping[LetterId, Replayed], outcome: Outcome
) -> Iterable[tuple[Letter, Verdict]]:
    """The letters that are to be sent, each with where; ``outcome`` counts what is left."""
    sent = 0
    for letter in letters:
        if choice.most and sent >= choice.most:
            return
        outcome.letters += 1
        today = verdict(letter, choice.latest_ms)
        why = today.code
        if replayed_at_ms(letter, replayed) is not None and not choice.again:
            why = SENT_ALREADY
        elif choice.force and today.topic:
            why = ""
        if why:
            outcome.leave(letter, why)
            continue
        sent += 1
        yield letter, today


def rehearse(client: ClientSettings, choice: Choice, on_progress: Progress = lambda *_: None) -> Outcome:
    """What :func:`replay` would do; sends nothing."""
    outcome = Outcome()
    with Reader(client) as reader:
        replayed = reader.replayed()
        for _, today in chosen(reader.letters(choice.wanted, on_progress), choice, replayed, outcome):
            outcome.sent[today.topic] += 1
    return outcome


def replay(
    client: ClientSettings,
    group: str,
    replication: int,
    choice: Choice,
    rows: Rows,
    on_progress: Progress = lambda *_: None,
    clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
) -> Outcome:
    """Send what is chosen, by transactions; what was committed before an error stays sent and is marked as such.

    Raises ``streams.commit.CommitError``, ``streams.topics.TopicError``, ``DeadLettersError`` and what ``rows`` does.
    """
    return asyncio.run(_replay(client, group, replication, choice, rows, on_progress, clock_ms))


async def _replay(
    client: ClientSettings,
    group: str,
    replication: int,
    choice: Choice,
    rows: Rows,
    on_progress: Progress,
    clock_ms: Callable[[], int],
) -> Outcome:
    outcome = Outcome()
    with Reader(client) as reader:
        marks = [spec for spec in default_specs(reader.partition_count(), replication) if spec.name == REPLAYED]
        ensure_topics(client, marks)
        committer = TransactionalCommitter(client, f"{group}-dlq-replay")
        try:
            # 1. Whoever replays besides is fenced.
            await committer.start(_TIMEOUT_SECONDS)
            # 2. What was sent is known for good.
            replayed = reader.replayed()
            # 3. Send and mark, some at a time.
            cut = _Cutting(clock_ms)
            for letter, today in chosen(reader.letters(choice.wanted, on_progress), choice, replayed, outcome):
                cut.add(letter, today)
                if cut.is_full:
                    await _commit(committer, cut, rows, outcome)
                    cut = _Cutting(clock_ms)
            await _commit(committer, cut, rows, outcome)
        finally:
            await committer.close()
    return outcome


async def _commit(committer: TransactionalCommitter, cut: _Cutting, rows: Rows, outcome: Outcome) -> None:
    refused = {letter.id for letter in await asyncio.to_thread(rows.insert, cut.rows)}
    for letter in cut.rows:
        if letter.id in refused:
            outcome.leave(letter, letter.code)
        else:
            cut.mark(letter, CLICKHOUSE)
    if cut.marks:
        await committer.commit(cut.whole(), None, _TIMEOUT_SECONDS)
        outcome.transactions += 1
        outcome.sent.update(cut.marks)


class _Cutting:
    """One transaction in the making."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self.rows: list[Letter] = []
        """What goes into ClickHouse."""
        self.marks: Counter[str] = Counter()
        """How many were sent, by where."""
        self._records: list[Annotated] = []
        self._marks: dict[int, list[Output]] = {}
        self._letters = self._bytes = 0
        self._clock_ms = clock_ms

    def add(self, letter: Letter, today: Verdict) -> None:
        self._letters += 1
        self._bytes += len(letter.value or b"")
        if today.topic == CLICKHOUSE:
            self.rows.append(letter)
            return
        timestamp_ms = max(0, letter.origin_timestamp_ms)
        self._records.append(
            Annotated(today.topic, ANY_PARTITION, today.key, letter.value, letter.headers, timestamp_ms)
        )
        self.mark(letter, today.topic)

    def mark(self, letter: Letter, topic: str) -> None:
        """Record that a letter was sent."""
        mark = Replayed(letter_timestamp_ms=letter.refused_at_ms, topic=topic, replayed_at_ms=self._clock_ms())
        made = str(letter.id).encode(), msgspec.json.encode(mark)
        self._marks.setdefault(letter.id.partition, []).append(made)
        self.marks[topic] += 1

    @property
    def is_full(self) -> bool:
        return self._letters >= _LETTERS_AT_ONCE or self._bytes >= _BYTES_AT_ONCE

    def whole(self) -> Cut:
        return Cut({}, [(REPLAYED, number, made) for number, made in self._marks.items()], self._records)


def document(outcome: Outcome, seconds: float, rehearsal: bool) -> dict[str, Any]:
    """The outcome as JSON."""
    return {
        "dry_run": rehearsal,
        "letters": outcome.letters,
        "sent": outcome.sent.total(),
        "by_topic": dict(sorted(outcome.sent.items())),
        "left": dict(outcome.left.most_common()),
        "left_letters": [{"letter": str(one), "reason": why} for one, why in outcome.left_ids.items()],
        "transactions": outcome.transactions,
        "seconds": round(seconds, 3),
    }
