"""A worker gets over what a restored state gets over, and of two with one name only one lives."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from confluent_kafka import Producer

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker, is_ready
from schemas.events import TICKETS
from streams.topics import default_specs, ensure_topics
from tests.processors import PARTITIONS, newest_facts, owns, publish, worker
from tests.waiting import wait_until

SESSION = {"DESKPULSE_WORKER__SESSION_TIMEOUT": "1s"}


def ticket(number: int) -> tuple[str, bytes, bytes]:
    name = f"T{number}"
    event = (
        f'{{"type":"ticket.created","id":"{name}","ticket_id":"{name}","at":"{datetime.now(UTC).isoformat()}",'
        '"customer_id":"C1","channel":"email","priority":"normal"}'
    )
    return TICKETS, name.encode(), event.encode()


def test_a_worker_that_is_fenced_lives_on_and_one_whose_name_is_taken_ends(tmp_path: Path) -> None:
    with LocalKafka() as kafka, worker(kafka, tmp_path, "w", **SESSION) as first:
        ensure_topics({"bootstrap.servers": kafka.bootstrap}, default_specs(PARTITIONS))
        sent = 0

        def counted_by(one: LocalWorker) -> None:
            nonlocal sent
            publish(kafka, [ticket(number) for number in range(sent, sent + 100)])
            sent += 100
            one.wait_until(
                lambda status: owns(PARTITIONS)(status) and status["health"]["tracked_tickets"] == sent,
                f"{sent} tickets are counted",
                60,
            )

        def has_told(text: str) -> bool:
            return text in first.log_path.read_text()

        first.wait_until(is_ready, "ready", 60)
        counted_by(first)

        # Somebody uses its transactions, again and again: it begins anew, in the same process, with what was committed.
        process = first.process.pid
        namesake = {"bootstrap.servers": kafka.bootstrap, "transactional.id": "deskpulse-processor-w"}
        for life in range(2, 5):
            Producer(namesake).init_transactions(20)
            publish(kafka, [ticket(sent)])
            sent += 1
            wait_until(partial(has_told, f"life {life} begins in"), 60, "it begins again")
            counted_by(first)
        assert has_told("its state is dropped: CommitFencedError")
        assert first.process.pid == process
        assert first.wait_until(is_ready, "ready", 10)["health"]["replacements"] == 3

        # A second worker of its name ends, and does not disturb it.
        log = tmp_path / "namesake"
        log.mkdir()
        with worker(kafka, log, "w", **SESSION) as second:
            assert second.process.wait(60) == 3
            assert "another live worker is called 'w' (at 127.0.0.1)" in second.log_path.read_text()
        assert "gave back" not in first.log_path.read_text()
        counted_by(first)

        # It falls asleep, and another life of it is started: when it wakes up, it ends and has added nothing.
        log = tmp_path / "successor"
        log.mkdir()
        os.kill(first.process.pid, signal.SIGSTOP)
        with worker(kafka, log, "w", **SESSION) as successor:
            counted_by(successor)
            os.kill(first.process.pid, signal.SIGCONT)
            assert first.process.wait(60) == 3
            # It hears of it when it has its partitions again, or when it has begun again because it was fenced.
            told = first.log_path.read_text()
            assert "took its name" in told or "another live worker is called 'w'" in told
            counted_by(successor)
            successor.stop()
        assert len(newest_facts(kafka)) == sent
