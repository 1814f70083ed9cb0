"""What a worker does with records that it can't use: it diverts few, whole, and stops before it diverts many."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, Message, Producer, TopicPartition

from deskpulse.local.worker import LocalWorker
from schemas.events import TICKETS
from schemas.outputs import DEAD_LETTER_HEADERS, DEAD_LETTERS
from tests.cli.conftest import PARTITIONS, Ran, end_of
from tests.dlq.conftest import RECENTLY, event
from tests.waiting import wait_until

TOO_MANY = 65
AHEAD = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
PARTITION = 3
OWN = [("trace", b"\xff7"), ("reason", b"mine")]

BAD: list[tuple[bytes | None, bytes, str]] = [
    (b"W1", event("W1")[:40], "bad_record: not JSON"),
    (b"W1", event("W1", priority="later"), 'bad_record: ticket.created: `priority` is "later"; expected one of high'),
    (b"W2", event("W1"), "key_mismatch: "),
    (None, event("W1"), "key_mismatch: "),
    (b"W99", event("W99", at=AHEAD), "future: `at` is "),
    # As large as a broker takes by default, with its key: there is no room for a dead letter's headers.
    (b"W1", b"x" * 1_048_300, "bad_record: not JSON"),
]


class Tickets:
    """Publishes to one partition of the tickets, and knows what was refused of it since."""

    def __init__(self, broker: str) -> None:
        client = {"bootstrap.servers": broker}
        self._producer = Producer({**client, "message.max.bytes": 2_000_000})
        self._consumer = Consumer({**client, "group.id": "letters", "isolation.level": "read_committed"})
        self.first = end_of(self._consumer, TICKETS, PARTITION)
        self._consumer.assign(
            [TopicPartition(DEAD_LETTERS, PARTITION, end_of(self._consumer, DEAD_LETTERS, PARTITION))]
        )

    def publish(self, records: list[tuple[bytes | None, bytes]]) -> None:
        for key, value in records:
            self._producer.produce(TICKETS, value, key, PARTITION, headers=OWN)
        assert self._producer.flush(20) == 0

    def letters(self, number: int) -> list[Message]:
        """The next ones; other tests have left bad records in other inputs."""
        found: list[Message] = []

        def come() -> bool:
            read = self._consumer.consume(number, 0.2)
            found.extend(
                letter for letter in read if ("origin_topic", TICKETS.encode()) in (letter.headers() or [])[:5]
            )
            return len(found) >= number

        wait_until(come, 60, f"{number} dead letters of {TICKETS}")
        return found

    def close(self) -> None:
        self._consumer.close()


def test_a_worker_diverts_few_bad_records_stops_before_many_and_loses_nothing(
    kafka: str, dlq: Callable[..., Ran], tmp_path: Path
) -> None:
    tickets = Tickets(kafka)
    good = [(b"W%d" % n, event(f"W{n}", at=RECENTLY)) for n in range(60)]
    ahead = [(b"A%d" % n, event(f"A{n}", at=AHEAD)) for n in range(200)]
    settings = {
        "DESKPULSE_KAFKA__BOOTSTRAP": kafka,
        "DESKPULSE_KAFKA__PARTITIONS": str(PARTITIONS),
        "DESKPULSE_KAFKA__GROUP": "limited",
        "DESKPULSE_WORKER__ROLES": "processor",
        "DESKPULSE_WORKER__DEAD_LETTER_WINDOW": "50",
        "DESKPULSE_WORKER__MAX_FUTURE": "1s",
    }
    tickets.publish([*good, *((key, value) for key, value, _ in BAD)])
    with LocalWorker(settings, tmp_path / "first.log") as worker:
        letters = tickets.letters(len(BAD))
        status = worker.wait_until(
            lambda found: not found["health"]["input_lag"] and not found["health"]["commit_age_seconds"],
            "all is read",
            60,
        )
        assert [(letter.key(), letter.value()) for letter in letters] == [(key, value) for key, value, _ in BAD]
        for number, letter in enumerate(letters):
            headers = letter.headers() or []
            assert [name for name, _ in headers[:5]] == [*DEAD_LETTER_HEADERS]
            told = dict(headers[:5])
            assert told["reason"].decode().startswith(BAD[number][2])
            place = told["origin_topic"].decode(), int(told["origin_partition"]), int(told["origin_offset"])
            assert place == (TICKETS, PARTITION, tickets.first + len(good) + number)
            assert headers[5:] == OWN

        tickets.publish(ahead)
        assert wait_until(worker.process.poll, 30, "the worker stops") == TOO_MANY
    said = (tmp_path / "first.log").read_text()
    assert "support.tickets: " in said
    assert "of them as future" in said
    diverted = dlq("list", "--reason", "future", "--topic", TICKETS, "--since", "5m").document["letters"]
    assert 1 <= diverted < 50

    with LocalWorker(settings | {"DESKPULSE_WORKER__MAX_FUTURE": "1d"}, tmp_path / "second.log") as worker:
        assert dlq("replay", "--since", "5m", "--reason", "future").document["sent"] == diverted
        wanted = status["health"]["tracked_tickets"] + len(ahead) + 1
        worker.wait_until(
            lambda found: found["health"]["tracked_tickets"] >= wanted and not found["health"]["input_lag"],
            "what was diverted and what was not counts",
            60,
        )
        health = worker.wait_until(lambda found: not found["health"]["commit_age_seconds"], "committed", 60)["health"]
    assert (health["tracked_tickets"], health["dead_letters"]) == (wanted, {})
    tickets.close()
