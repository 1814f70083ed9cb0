"""``python -m tests.chaos.fuzz``: random and mutated records through a real worker with its sink.

Each is counted or lies whole in the dead letters; the worker neither stops nor grows. Exit code 0 then, else 1.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

from bench.running import BenchError
from schemas.bad_records import BadRecordError, UnknownTypeError
from schemas.events import INPUT_TOPICS, decode
from schemas.outputs import DEAD_LETTERS, FACTS, LATE
from streams.clients import client_config
from tests.chaos import mutations
from tests.chaos.audit import Findings, Place
from tests.chaos.desk import SETTINGS, Desk, policies
from tests.chaos.supervised import Seen

_LONGEST_TARGET_SECONDS: Final = 1_800.0
_AHEAD: Final = 100_000
"""So many records are published before the worker has read what was before: it is kept busy, not drowned."""
_WARM: Final = 0.4
"""The share of the records after which the worker is warm: the bounded set of tickets and ids is known by then."""
_GROWTH: Final = 1.10
_GROWTH_MIB: Final = 40.0
"""So much more than after the warm-up, by share and amount, is no growth: caches, buffers, the allocator's reserve."""
_DRAIN_SECONDS: Final = 900.0


def fuzz(number: int, seed: int, folder: Path) -> dict[str, Any]:
    """Publish so many records, look at the worker meanwhile and at the topics in the end."""
    text = SETTINGS + "dead_letter_limit = 1.0\n" * _has_limit() + policies(_LONGEST_TARGET_SECONDS)
    with Desk(folder, workers=1, partitions=4, settings=text) as desk:
        desk.start_workers()
        (worker,) = desk.workers
        now_ms = time.time_ns() // 1_000_000
        began = time.monotonic()
        _publish(desk, number, seed, now_ms)
        desk.timeline.tell(f"{number:,} records are published")
        desk.await_that(lambda: _done(desk, number), _DRAIN_SECONDS, "everything is read and committed")
        seconds = time.monotonic() - began
        desk.timeline.tell("everything is read")
        if worker.stop():
            raise BenchError("the worker did not end in order")
        findings = _compare(desk)
        memory = _memory(worker.seen)
    if worker.own_ends:
        findings.add("wrong", f"the worker ended {worker.own_ends} times: {desk.timeline}")
    if memory["grew"]:
        findings.add("wrong", f"the worker grew: {memory}")
    return {
        "ok": findings.ok,
        "seed": seed,
        "records": number,
        "seconds": round(seconds, 1),
        "records_per_second": round(number / seconds),
        "worker_ends": worker.own_ends,
        "memory": memory,
        **findings.counts,
        "lost": findings.lost,
        "doubled": findings.doubled,
        "wrong": findings.wrong,
        "told": findings.told,
        "folder": str(folder),
    }


def _has_limit() -> bool:
    from deskpulse.settings import Worker

    return "dead_letter_limit" in Worker.model_fields


def _publish(desk: Desk, number: int, seed: int, now_ms: int) -> None:
    failed: list[str] = []

    def delivered(error: KafkaError | None, _: object) -> None:
        if error is not None:
            failed.append(error.str())

    producer = Producer(
        client_config(
            desk.client,
            fixed={
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "compression.type": "lz4",
                "linger.ms": 20,
                # As large as the broker takes them.
                "message.max.bytes": 1_048_588,
                "on_delivery": delivered,
                "delivery.report.only.error": True,
            },
        )
    )
    made = mutations.records(seed, now_ms)
    for sent in range(0, number, _AHEAD // 4):
        for one in islice(made, min(_AHEAD // 4, number - sent)):
            while True:
                try:
                    producer.produce(one.topic, one.value, one.key, headers=list(one.headers))
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush(60)
        if failed:
            raise BenchError(f"the broker refused {len(failed)} records: {failed[0]}")
        desk.await_that(lambda sent=sent: _read(desk) >= sent - _AHEAD, _DRAIN_SECONDS, "the worker goes on")


def _read(desk: Desk) -> int:
    return sum(sum(status["health"]["events"].values()) for status in desk.statuses() if status)


def _done(desk: Desk, number: int) -> object:
    (status,) = desk.statuses()
    if status is None:
        return False
    health = status["health"]
    lags = ("input_lag", "inner_lag", "commit_age_seconds", "sink_lag")
    # After a restart it has read less in this life.
    read = desk.workers[0].own_ends or sum(health["events"].values()) >= number
    return read and not any(health[name] for name in lags)


def _memory(seen: list[Seen]) -> dict[str, Any]:
    """Resident memory while records came in; the first part is the warm-up."""
    told = [one for one in seen if one.rss_mib]
    if not told:
        raise BenchError("the worker said nothing of itself")
    begin, end = told[0].at, told[-1].at
    warm_at = begin + _WARM * (end - begin)
    warm = max((one.rss_mib for one in told if one.at <= warm_at), default=told[0].rss_mib)
    most = max(one.rss_mib for one in told)
    return {
        "start_mib": round(told[0].rss_mib),
        "warm_mib": round(warm),
        "most_mib": round(most),
        "grew": most > max(warm * _GROWTH, warm + _GROWTH_MIB),
    }


def _compare(desk: Desk) -> Findings:
    """One pass over the refused, one over the inputs, one over the facts; only places and ids are held."""
    findings = Findings()
    refused: dict[Place, int] = {}
    by_topic: Counter[str] = Counter()
    for topic, _, _, key, value, headers in _records(desk, (DEAD_LETTERS, LATE)):
        place = headers["origin_topic"].decode(), int(headers["origin_partition"]), int(headers["origin_offset"])
        by_topic[topic] += 1
        if place in refused:
            findings.add("doubled", f"{place} was refused twice")
        refused[place] = hash((key, value))
    found = {key: facts for _, _, _, key, facts, _ in _records(desk, (FACTS,))}
    ids: dict[str, set[int]] = defaultdict(set)
    published = accepted = unknown = 0
    for topic, partition, offset, key, value, _ in _records(desk, INPUT_TOPICS):
        published += 1
        whole = refused.pop((topic, partition, offset), None)
        if whole is not None:
            if whole != hash((key, value)):
                findings.add("wrong", f"{topic}[{partition}] {offset} was not refused whole")
            continue
        try:
            event = decode(value)
        except UnknownTypeError:
            unknown += 1
            continue
        except BadRecordError as error:
            findings.add("lost", f"{topic}[{partition}] {offset}: {error}")
            continue
        accepted += 1
        ids[event.ticket_id].add(hash(event.id))
    for place in refused:
        findings.add("wrong", f"{place} was refused, but there is no such record")
    for ticket_id in ids.keys() | {(key or b"").decode() for key in found}:
        value = found.get(ticket_id.encode())
        counted = json.loads(value)["events"] if value else 0
        missing = len(ids.get(ticket_id, ())) - counted
        if missing:
            findings.add("lost" if missing > 0 else "doubled", f"ticket {ticket_id!r}: {missing} events", abs(missing))
    findings.counts = {
        "published": published,
        "counted": sum(map(len, ids.values())),
        "duplicates": accepted - sum(map(len, ids.values())),
        "dead_letters": by_topic[DEAD_LETTERS],
        "late": by_topic[LATE],
        "unknown": unknown,
        "tickets": len(found),
    }
    return findings


def _records(desk: Desk, topics: tuple[str, ...]) -> Iterator[tuple[str, int, int, bytes | None, bytes | None, Any]]:
    """All committed records, one after the other: too many to be held."""
    consumer = Consumer(
        client_config(
            desk.client,
            fixed={
                "group.id": "fuzz",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
            },
        )
    )
    places = [TopicPartition(topic, number, 0) for topic in topics for number in range(desk.partitions)]
    consumer.assign(places)
    left = len(places)
    while left:
        for message in consumer.consume(5_000, 1.0):
            error = message.error()
            if error is None:
                pairs: Any = message.headers() or []
                place = str(message.topic()), int(message.partition() or 0), int(message.offset() or 0)
                yield *place, message.key(), message.value(), dict(reversed(pairs))
            elif error.code() == KafkaError._PARTITION_EOF:
                left -= 1
            else:
                raise BenchError(error.str())
    consumer.close()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Example: python -m tests.chaos.fuzz --records 100000 --seed 7 --out fuzz.json",
    )
    parser.add_argument("--records", type=int, default=1_000_000, help="how many (default 1,000,000)")
    parser.add_argument("--seed", type=int, default=1, help="they follow from it (default 1)")
    parser.add_argument("--folder", type=Path, help="where logs and data are kept (default: a new one)")
    parser.add_argument("--out", type=Path, help="file for the summary as JSON")
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="deskpulse-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(filename=folder / "fuzz.log")
    try:
        found = fuzz(asked.records, asked.seed, folder)
    except BenchError as error:
        print(f"seed {asked.seed}: {error}\nlogs: {folder}", file=sys.stderr)
        return 2
    document = json.dumps(found, indent=1)
    if asked.out:
        asked.out.write_text(f"{document}\n")
    print(document)
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
