"""A look at the running system: what its workers say of themselves, and how far its topics go, at one moment.

What came later is told apart by its offset, so what is read afterwards in ClickHouse can be compared as of the look. A
look can be saved: ClickHouse in a folder is open to one process at a time, so there the worker is looked at first, then
stopped, and the folder is compared with the saved look.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, TopicPartition
from faust.types import TP
from msgspec import Struct

from deskpulse.dlq.letters import letter_of
from deskpulse.verify.asking import Asking
from schemas.events import INPUT_TOPICS
from schemas.outputs import CELLS, DEAD_LETTERS, FACTS, LATE, SLA_EVENTS
from streams.clients import ClientSettings, Deadline, Reasons, UnansweredError, make_consumer, metadata
from streams.reading import Reading

COMPARED_TOPICS: Final = (*INPUT_TOPICS, FACTS, CELLS, SLA_EVENTS)
REFUSED_TOPICS: Final = (LATE, DEAD_LETTERS)
MINUTE_MS: Final = 60_000
_KAFKA_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.2
_TELL_EVERY_SECONDS: Final = 5.0
_PICTURE_REUSED_MS: Final = 1_000
"""A worker gives one picture to all who ask within half a second: its time can be so old."""
_WATERMARK_AT_MOST_SECONDS: Final = 5.0
"""How far behind the wall clock the time of a partition may be that has nothing to do."""
_QUIET_SECONDS: Final = 2.0
"""So long several workers must have done nothing: what one tells the customer step of another, neither counts alone."""
_SINK_HEARS_SECONDS: Final = 1.5
"""Within this a sink hears of what was committed; sooner, that nothing is left to it says nothing."""
_RECORDS_AT_ONCE: Final = 10_000
_CONSUME_SECONDS: Final = 0.1


class LookError(Exception):
    """A saved look can't be read; says which file and why."""


class WorkerLook(Struct, frozen=True):
    """What one worker said. Times are milliseconds since 1970."""

    url: str
    now_ms: int
    """Its clock."""
    watermarks: dict[int, int]
    """How far the time of its partitions had come, at least."""
    metrics: str
    """Its ``/metrics``; empty where that is not of the moment of the look."""


class Look(Struct, frozen=True):
    """The system at one moment."""

    idle: bool
    """Nothing was left to do: all that was published was applied, committed and on its way to ClickHouse."""
    workers: list[WorkerLook] = []
    ends: dict[str, dict[int, int]] = {}
    """Topic and partition to the first offset that is later than the look; empty where Kafka did not answer."""
    refused: list[tuple[str, int, int]] = []
    """Topic, partition and offset of the input records that the workers refused, which count nowhere."""
    late: list[tuple[str, int, int]] = []
    """Those of them that were refused because their tickets had left the horizon; a backfill counts them."""
    told: list[str] = []
    """What could not be looked at, in words."""

    def save(self, path: Path) -> None:
        """Write it into a file."""
        path.write_bytes(msgspec.json.encode(self))

    def end_of(self, topic: str, partition: int) -> int | None:
        """The first offset that is later than the look, None where that is not known."""
        return self.ends.get(topic, {}).get(partition)


def load(path: Path) -> Look:
    """The inverse of :meth:`Look.save`. Raises :class:`LookError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Look)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LookError(f"{path}: {error}; expected a file that `deskpulse verify --save FILE` wrote") from None


def look(
    client: ClientSettings,
    urls: Sequence[str],
    deadline_seconds: float,
    tell: Callable[[str], None],
    *,
    event_clock: bool,
    ask: Asking,
) -> Look:
    """Look at the workers at ``urls`` and at Kafka, once the workers are idle or when the deadline is over.

    ``client`` are the settings of Kafka's clients, ``ask`` knows the workers' token. ``tell`` hears what is waited for.
    """
    told: list[str] = []
    kafka = _Kafka(client)
    try:
        if problem := kafka.problem():
            told.append(f"Kafka does not answer ({problem}): what was refused or comes meanwhile is not known")
        there = [url for url in urls if ask.json(url, "/api/status") is not None]
        told += [f"no worker answers at {url}: its gauges are not compared" for url in urls if url not in there]
        found = _when_idle(kafka, ask, there, deadline_seconds, tell, event_clock) if there else None
        if there and found is None:
            told.append("the workers were never idle: differences can be of records on their way, gauges are left out")
        workers, ends = found or ([_at_work(ask, url) for url in there], kafka.ends())
        refused = kafka.refused()
        late = [place for code, place in refused if code == "late"]
        return Look(found is not None, workers, ends, [place for _, place in refused], late, told)
    finally:
        kafka.close()


def await_sinks(ask: Asking, urls: Sequence[str], deadline_seconds: float) -> bool:
    """Wait until the sinks of the workers have put what is committed into ClickHouse; whether they did."""
    began = time.monotonic()
    while True:
        time.sleep(_PAUSE_SECONDS)
        statuses = [ask.json(url, "/api/status") for url in urls]
        waited = time.monotonic() - began
        if waited > _SINK_HEARS_SECONDS and not any(status and status["health"]["sink_lag"] for status in statuses):
            return True
        if waited > max(deadline_seconds, 2 * _SINK_HEARS_SECONDS):
            return False


def _when_idle(
    kafka: _Kafka,
    ask: Asking,
    urls: Sequence[str],
    deadline_seconds: float,
    tell: Callable[[str], None],
    event_clock: bool,
) -> tuple[list[WorkerLook], dict[str, dict[int, int]]] | None:
    """Workers and ends of a moment at which nothing was under way, None when there was none before the deadline."""
    began = time.monotonic()
    until, tell_at = began + deadline_seconds, began + _TELL_EVERY_SECONDS / 2
    alone = len(urls) == 1
    done, quiet_since = _done([]), began
    while True:
        before = [ask.json(url, "/api/status") for url in urls]
        if _done(before) != done:
            done, quiet_since = _done(before), time.monotonic()
        asked = zip(urls, before, strict=True)
        busy = [reason for url, status in asked for reason in _busy(url, status, event_clock, alone)]
        if not busy and not alone and time.monotonic() - quiet_since < _QUIET_SECONDS:
            busy = ["the customer step may be under way"]
        if not busy:
            workers = [_look_at(ask, url, status) for url, status in zip(urls, before, strict=True)]
            ends = kafka.ends()
            after = [ask.json(url, "/api/status") for url in urls]
            if _done(before) == _done(after) and not any(_busy("", one, event_clock, alone) for one in after):
                complete = [worker for worker in workers if worker is not None]
                if len(complete) == len(workers):
                    return complete, ends
            busy = ["events came in, or a minute ended, while it was looked at"]
        now = time.monotonic()
        if now > until:
            return None
        if now >= tell_at:
            tell(f"waiting until the system is idle: {busy[0]}")
            tell_at = now + _TELL_EVERY_SECONDS
        time.sleep(_PAUSE_SECONDS)


def _busy(url: str, status: Mapping[str, Any] | None, event_clock: bool, alone: bool) -> list[str]:
    """What a worker still has to do, in words; ``alone``: it is the only one."""
    if status is None:
        return [f"{url} does not answer"]
    health = status["health"]
    lags = health["watermark_lag_seconds"].values()
    behind = max(lags, default=0.0) > (0 if event_clock else _WATERMARK_AT_MOST_SECONDS)
    reasons = {
        "it is not ready": not status["ready"],
        f"{health['input_lag']:,} records are to be read": health["input_lag"],
        "the customer step is under way": alone and health["inner_lag"],
        "a commit is under way": health["commit_age_seconds"],
        "its time is behind": behind,
        f"{health['sink_lag']:,} records are not in ClickHouse": health["sink_lag"],
    }
    return [f"{url}: {reason}" for reason, holds in reasons.items() if holds]


def _done(statuses: Sequence[Mapping[str, Any] | None]) -> list[Any]:
    """What changes when a worker does anything."""
    healths = [status["health"] if status else {} for status in statuses]
    return [[health.get(name) for name in ("events", "commits", "published", "sink_records")] for health in healths]


def _look_at(ask: Asking, url: str, status: Mapping[str, Any] | None) -> WorkerLook | None:
    """One worker, None where a minute ended meanwhile, with which its windows begin anew."""
    if status is None:
        return None
    first, metrics, second = (
        ask.json(url, "/api/live?window=5m"),
        ask.get(url, "/metrics"),
        ask.json(url, "/api/live?window=24h"),
    )
    if first is None or metrics is None or second is None:
        return None
    now, later = first["now_ms"], second["now_ms"]
    if now != later and now // MINUTE_MS != (later + _PICTURE_REUSED_MS) // MINUTE_MS:
        return None
    return WorkerLook(url, now, _watermarks(now, status), metrics.decode())


def _at_work(ask: Asking, url: str) -> WorkerLook:
    """What can be said of a worker that is never idle."""
    live, status = ask.json(url, "/api/live?window=5m"), ask.json(url, "/api/status")
    now = 0 if live is None else live["now_ms"]
    return WorkerLook(url, now, _watermarks(now, status) if status and now else {}, "")


def _watermarks(now: int, status: Mapping[str, Any]) -> dict[int, int]:
    lags = status["health"]["watermark_lag_seconds"]
    return {int(partition): now - round(lag * 1000) for partition, lag in lags.items()}


class _Kafka:
    """What is asked of the brokers."""

    def __init__(self, client: ClientSettings) -> None:
        self._reasons = Reasons()
        fixed = {
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "allow.auto.create.topics": False,
            "error_cb": self._reasons,
        }
        self._consumer = make_consumer(client, "deskpulse-verify", fixed=fixed)
        self._partitions: dict[str, list[int]] = {}

    def problem(self) -> str:
        """Why there is no answer, '' where there is one."""
        try:
            topics = metadata(self._consumer, self._reasons, Deadline(_KAFKA_SECONDS)).topics
        except UnansweredError as error:
            return str(error)
        self._partitions = {name: sorted(topic.partitions) for name, topic in topics.items()}
        return ""

    def _ends(self, topics: Iterable[str]) -> dict[TP, int]:
        """Where what is committed ends."""
        asked = [TP(topic, number) for topic in topics for number in self._partitions.get(topic, ())]
        return {tp: self._consumer.get_watermark_offsets(TopicPartition(*tp), _KAFKA_SECONDS)[1] for tp in asked}

    def ends(self) -> dict[str, dict[int, int]]:
        """The end of every partition of what is compared. Raises ``KafkaException``."""
        found: dict[str, dict[int, int]] = {}
        for tp, end in self._ends(COMPARED_TOPICS).items():
            found.setdefault(tp.topic, {})[tp.partition] = end
        return found

    def refused(self) -> list[tuple[str, tuple[str, int, int]]]:
        """Why and where all late records and dead letters were read. Raises ``KafkaException``."""
        ends = self._ends(REFUSED_TOPICS)
        found: list[tuple[str, tuple[str, int, int]]] = []
        reading = Reading(self._consumer, dict.fromkeys(ends, 0), ends, open_too=False)
        for batches in reading.batches(_RECORDS_AT_ONCE, _CONSUME_SECONDS):
            if not batches and reading.silent_seconds > _KAFKA_SECONDS:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"{reading}, and nothing more came"))
            found += [origin for records in batches.values() for record in records for origin in _origin(record)]
        return found

    def close(self) -> None:
        self._consumer.close()


def _origin(message: Message) -> list[tuple[str, tuple[str, int, int]]]:
    """Why and where a refused record was read; nothing of a bad line of a file, which never was in an input."""
    letter = letter_of(message)
    if letter.origin_topic not in INPUT_TOPICS:
        return []
    return [(letter.code, (letter.origin_topic, letter.origin_partition, letter.origin_offset))]
