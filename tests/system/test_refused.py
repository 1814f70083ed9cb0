"""Records that cannot be used lie whole in the dead letters, with reason and origin, and the worker goes on."""

from __future__ import annotations

from pathlib import Path

from confluent_kafka import Consumer, Message, Producer

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker
from schemas.events import TICKETS
from schemas.outputs import DEAD_LETTER_HEADERS, DEAD_LETTERS
from streams.topics import default_specs, ensure_topics
from tests.waiting import wait_until

GOOD = (
    b'{"type":"ticket.created","id":"1","ticket_id":"T1","at":"2026-06-01T10:00:00Z",'
    b'"customer_id":"C1","channel":"email","priority":"normal"}'
)
CUT = GOOD[:40]
WRONG = GOOD.replace(b'"normal"', b'"later"')


def test_bad_records_lie_whole_in_the_dead_letters_and_the_worker_goes_on(tmp_path: Path) -> None:
    with LocalKafka() as kafka:
        client = {"bootstrap.servers": kafka.bootstrap}
        ensure_topics(client, default_specs(2))
        producer = Producer(client)
        for key, value in ((b"T1", CUT), (b"T1", WRONG), (b"T9", GOOD), (None, GOOD), (b"T1", GOOD)):
            producer.produce(TICKETS, value, key, partition=1)
        assert producer.flush(20) == 0
        settings = {
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": "2",
            "DESKPULSE_WORKER__ROLES": "processor",
            "DESKPULSE_WORKER__CLOCK": "event",
        }
        with LocalWorker(settings, tmp_path / "worker.log") as worker:
            status = worker.wait_until(
                lambda found: found["health"]["tracked_tickets"] == 1 and not found["health"]["commit_age_seconds"],
                "the good record is counted",
                60,
            )
            assert status["health"]["dead_letters"] == {"bad_record": 2, "key_mismatch": 2}
            letters = _read(client, DEAD_LETTERS, 4)

    assert [(letter.key(), letter.value()) for letter in letters] == [
        (b"T1", CUT),
        (b"T1", WRONG),
        (b"T9", GOOD),
        (None, GOOD),
    ]
    for offset, letter in enumerate(letters):
        headers = dict(letter.headers() or [])
        assert tuple(headers) == DEAD_LETTER_HEADERS
        assert (headers["origin_topic"], headers["origin_partition"]) == (TICKETS.encode(), b"1")
        assert headers["origin_offset"] == str(offset).encode()
    reason = dict(letters[1].headers() or [])["reason"].decode()
    assert reason.startswith('bad_record: ticket.created: `priority` is "later"')
    assert reason.endswith("expected one of high, low, normal, urgent")


def _read(client: dict[str, str], topic: str, number: int) -> list[Message]:
    consumer = Consumer(
        {**client, "group.id": "test", "auto.offset.reset": "earliest", "isolation.level": "read_committed"}
    )
    consumer.subscribe([topic])
    found: list[Message] = []

    def read() -> bool:
        found.extend(message for message in consumer.consume(100, 0.2) if message.error() is None)
        return len(found) >= number

    wait_until(read, 30, f"{number} records in {topic}")
    consumer.close()
    return found
