"""``python -m tests.chaos.fuzz``: random and mutated records through a real worker with its sink.

Each is counted or lies whole in the dead letters; the worker neither stops nor grows. Exit code 0 then, else 1.
"""

from __future__ import annotations

import sys
import time
from itertools import islice
from pathlib import Path
from typing import Any, Final

from confluent_kafka import KafkaError, Producer

from bench.running import BenchError
from streams.clients import client_config
from tests.chaos import command, mutations
from tests.chaos.counting import count
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
    text = f"{SETTINGS}dead_letter_limit = 1.0\n{policies(_LONGEST_TARGET_SECONDS)}"
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
        findings = count(desk.client, desk.partitions)
        memory = _memory(worker.seen)
        ends = worker.own_ends + worker.lives_ended()
    if ends:
        findings.add("wrong", f"the worker ended {ends} times: {desk.timeline}")
    if memory["grew"]:
        findings.add("wrong", f"the worker grew: {memory}")
    return {
        "ok": findings.ok,
        "seed": seed,
        "records": number,
        "seconds": round(seconds, 1),
        "records_per_second": round(number / seconds),
        "worker_ends": ends,
        "memory": memory,
        **findings.counts,
        "lost": findings.lost,
        "doubled": findings.doubled,
        "wrong": findings.wrong,
        "told": findings.told,
        "folder": str(folder),
    }


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
        _await_read(desk, sent - _AHEAD)


def _await_read(desk: Desk, number: int) -> None:
    desk.await_that(lambda: _read(desk) >= number, _DRAIN_SECONDS, f"the worker has read {number:,} records")


def _read(desk: Desk) -> int:
    return sum(sum(status["health"]["events"].values()) for status in desk.statuses() if status)


def _done(desk: Desk, number: int) -> object:
    (status,) = desk.statuses()
    if status is None:
        return False
    health = status["health"]
    lags = ("input_lag", "inner_lag", "commit_age_seconds", "sink_lag")
    # After a restart it has read less in this life.
    (worker,) = desk.workers
    read = worker.own_ends or worker.lives_ended() or sum(health["events"].values()) >= number
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


def main() -> int:
    parser = command.options("tests.chaos.fuzz", __doc__, "--records 100000 --seed 7 --out fuzz.json")
    parser.add_argument("--records", type=int, default=3_000_000, help="how many (default 3,000,000)")
    command.add_seed(parser)
    asked = parser.parse_args()
    return command.execute("fuzz", asked, lambda folder: fuzz(asked.records, asked.seed, folder))


if __name__ == "__main__":
    sys.exit(main())
