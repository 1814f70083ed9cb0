"""A worker that keeps its state on the disk is killed, and goes on from there."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from deskpulse.local.kafka import LocalKafka
from schemas.events import decode
from sources.simulator import SimulatorConfig, simulate
from streams.config import DomainConfig
from streams.topics import default_specs, ensure_topics
from tests import oracle
from tests.domain.partitions import without_time
from tests.processors import PARTITIONS, newest_facts, owns, publish, worker
from tests.waiting import wait_until

START_MS = 1_780_272_000_000


def test_a_killed_worker_goes_on_from_its_disk(tmp_path: Path) -> None:
    records = [
        (topic, key, value)
        for _, topic, key, value in simulate(SimulatorConfig(START_MS, tickets=400, days=2, seed=4, duplicates=0.05))
    ]
    half = len(records) // 2
    folder = tmp_path / "state"
    with LocalKafka() as kafka:
        ensure_topics({"bootstrap.servers": kafka.bootstrap}, default_specs(PARTITIONS))
        with worker(kafka, tmp_path, "first", DESKPULSE_WORKER__STATE_FOLDER=str(folder)) as first:
            publish(kafka, records[:half])
            first.wait_until(owns(PARTITIONS), "the first half", 60)
            os.kill(first.process.pid, signal.SIGKILL)
        assert sorted(path.name for path in folder.iterdir()) == [f"partition-{n}" for n in range(PARTITIONS)]
        publish(kafka, records[half:])
        now_ms = time.time_ns() // 1_000_000
        with worker(kafka, tmp_path, "second", DESKPULSE_WORKER__STATE_FOLDER=str(folder)) as second:
            events = list({decode(value).id: decode(value) for _, _, value in records}.values())
            facts = oracle.facts(events, now_ms, DomainConfig(horizon_ms=None))
            expected = {ticket: without_time(one) for ticket, one in facts.items()}
            second.wait_until(owns(PARTITIONS), "the rest", 60)
            wait_until(lambda: newest_facts(kafka) == expected, 60, "the facts are those of all events")
            second.stop()
