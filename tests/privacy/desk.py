"""A desk of some customers with broker, ClickHouse and worker, and everything that it has written down."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from deskpulse.forget.logs import Logs
from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker
from schemas.events import INPUT_TOPICS, TOPIC_OF_TYPE
from sources.publisher import Publisher
from streams.topics import default_specs, ensure_topics

PARTITIONS = 2
POLICY = """
[[policies]]
name = "all"
targets = { first_reply = "1m", resolution = "2h" }
"""
Event = dict[str, Any]


def ticket(ticket_id: str, customer: str, began: datetime, *, solved: bool = True) -> list[Event]:
    """A ticket with an answer, a survey and a bad score."""

    def event(minutes: int, what: str, **fields: Any) -> Event:
        at = (began + timedelta(minutes=minutes)).isoformat()
        return {"id": f"{ticket_id}-{minutes}", "type": what, "ticket_id": ticket_id, "at": at, **fields}

    def message(minutes: int, author: str, author_id: str) -> Event:
        return event(minutes, "message.sent", author=author, author_id=author_id, visibility="public")

    told = [
        event(0, "ticket.created", customer_id=customer, channel="email", priority="normal", category="billing"),
        message(5, "agent", "a-1"),
        message(9, "customer", customer),
    ]
    if solved:
        told += [
            event(20, "ticket.updated", status="solved", actor=customer),
            event(30, "survey.sent", survey_id=f"{ticket_id}-s", kind="csat"),
            event(40, "survey.answered", survey_id=f"{ticket_id}-s", kind="csat", score=1),
        ]
    return told


def an_hour_ago() -> datetime:
    return datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)


class Desk:
    """Its settings are in a file, as a user's are."""

    def __init__(self, folder: Path, kafka: str, settings: str) -> None:
        self.config = folder / "deskpulse.toml"
        self.client = {"bootstrap.servers": kafka}
        self._folder = folder
        self._lives = 0
        self.config.write_text(f'[kafka]\nbootstrap = "{kafka}"\npartitions = {PARTITIONS}\n{settings}{POLICY}')

    def publish(self, events: Iterable[Event]) -> None:
        """Publish events; all are with the broker then."""
        publisher = Publisher(self.client)
        publisher.connect(INPUT_TOPICS)
        for event in events:
            record = {"key": event["ticket_id"].encode(), "value": json.dumps(event).encode()}
            publisher.send(TOPIC_OF_TYPE[event["type"]], [record])
        publisher.flush()

    @contextmanager
    def worker(self) -> Iterator[LocalWorker]:
        """A worker until the block ends, in order."""
        self._lives += 1
        settings = {"DESKPULSE_CONFIG": str(self.config)}
        with LocalWorker(settings, self._folder / f"worker-{self._lives}.log") as worker:
            yield worker
            worker.stop()

    def written_by_workers(self) -> str:
        """All of their logs."""
        return "".join(path.read_text() for path in self._folder.glob("worker-*.log"))

    def records(self, topic: str) -> list[tuple[bytes, bytes]]:
        """Key and value of every record of a topic, '' for none."""
        found: list[tuple[bytes, bytes]] = []
        with closing(Logs(self.client)) as logs:
            logs.read(topic, lambda message: found.append((message.key() or b"", message.value() or b"")))
        return found

    def newest(self, topic: str) -> dict[bytes, bytes]:
        """The newest value of each key of a topic that has one."""
        return {key: value for key, value in dict(self.records(topic)).items() if value}


def await_tickets(worker: LocalWorker, tickets: int) -> None:
    """Wait until so many are tracked, everything is applied and committed, and the sink has something of it."""

    def are_there(status: dict[str, Any]) -> bool:
        health = status["health"]
        lags = health["input_lag"] or health["inner_lag"] or health["commit_age_seconds"]
        return status["ready"] and not lags and health["tracked_tickets"] == tickets and health["sink_records"]

    worker.wait_until(are_there, f"{tickets} tickets", 60)


@contextmanager
def broker() -> Iterator[str]:
    """The address of a broker with the topics."""
    with LocalKafka() as kafka:
        ensure_topics({"bootstrap.servers": kafka.bootstrap}, default_specs(PARTITIONS))
        yield kafka.bootstrap
