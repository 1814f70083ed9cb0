"""A worker that would have to divert too much stops, and after a fix nothing has been lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from deskpulse.local.worker import LocalWorker
from schemas.events import TICKETS
from tests.cli.conftest import PARTITIONS, Ran
from tests.dlq.conftest import RECENTLY, event
from tests.waiting import wait_until

TOO_MANY = 65
AHEAD = (datetime.now(UTC) + timedelta(hours=2)).isoformat()


def test_a_worker_stops_before_it_diverts_too_much_and_goes_on_after_the_fix(
    kafka: str, dlq: Callable[..., Ran], tmp_path: Path
) -> None:
    producer = Producer({"bootstrap.servers": kafka})

    def publish(first: int, number: int, at: str, headers: Any = ()) -> None:
        for n in range(first, first + number):
            producer.produce(TICKETS, event(f"W{n}", at=at), b"W%d" % n, headers=list(headers))
        assert producer.flush(20) == 0

    settings = {
        "DESKPULSE_KAFKA__BOOTSTRAP": kafka,
        "DESKPULSE_KAFKA__PARTITIONS": str(PARTITIONS),
        "DESKPULSE_KAFKA__GROUP": "limited",
        "DESKPULSE_WORKER__ROLES": "processor",
        "DESKPULSE_WORKER__DEAD_LETTER_WINDOW": "50",
        "DESKPULSE_WORKER__MAX_FUTURE": "1s",
        "DESKPULSE_WORKER__COMMIT_INTERVAL": "100ms",
    }
    publish(0, 40, RECENTLY)
    publish(40, 5, AHEAD, [("trace", b"7")])
    with LocalWorker(settings, tmp_path / "first.log") as worker:
        status = worker.wait_until(
            lambda found: (
                found["health"]["dead_letters"].get("future") == 5 and not found["health"]["commit_age_seconds"]
            ),
            "a few are diverted",
            60,
        )
        others = status["health"]["tracked_tickets"] - 40
        publish(100, 200, AHEAD)
        assert wait_until(worker.process.poll, 30, "the worker stops") == TOO_MANY
    said = (tmp_path / "first.log").read_text()
    assert "support.tickets: " in said
    assert "of them as future" in said

    listed = dlq("list", "--reason", "future", "--topic", TICKETS, "--since", "5m").document
    assert 5 <= listed["letters"] < 50
    (shown,) = dlq("show", listed["newest"][-1]["letter"], "--raw").document
    assert shown["headers"] == [["trace", "7"]]

    with LocalWorker(settings | {"DESKPULSE_WORKER__MAX_FUTURE": "1d"}, tmp_path / "second.log") as worker:
        replayed = dlq("replay", "--since", "5m", "--reason", "future").document
        assert replayed["sent"] == listed["letters"]
        worker.wait_until(lambda found: found["health"]["tracked_tickets"] >= others + 245, "everything counts", 60)
        health = worker.wait_until(lambda found: not found["health"]["input_lag"], "all read", 60)["health"]
    assert (health["tracked_tickets"], health["dead_letters"]) == (others + 245, {})
