"""A worker starts and keeps its figures without ClickHouse; once that is there it gets all rows that it takes."""

from __future__ import annotations

import json
from pathlib import Path

import requests
from confluent_kafka import Consumer, Message, Producer

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker, is_idle
from schemas.events import TICKETS
from schemas.outputs import DEAD_LETTERS, FACTS
from sinks.clickhouse import connect
from streams.topics import default_specs, ensure_topics
from tests.clickhouse.stand_in_process import stand_in
from tests.waiting import wait_until

TICKETS_OF_THE_DESK = 40


def created(number: int) -> tuple[bytes, bytes]:
    event = {
        "id": f"e{number}", "type": "ticket.created", "ticket_id": f"T{number}", "at": "2026-06-01T10:00:00Z",
        "customer_id": "C1", "channel": "email", "priority": "normal",
    }  # fmt: skip
    return f"T{number}".encode(), json.dumps(event).encode()


def test_a_worker_without_clickhouse_keeps_figures_and_catches_up_but_for_a_row_that_is_refused(tmp_path: Path) -> None:
    with (
        LocalKafka() as kafka,
        stand_in(tmp_path / "clickhouse", username="u", password="secret of the test") as server,
    ):
        client = {"bootstrap.servers": kafka.bootstrap}
        ensure_topics(client, default_specs(2))
        producer = Producer(client)
        for number in range(TICKETS_OF_THE_DESK):
            key, value = created(number)
            producer.produce(TICKETS, value, key, partition=number % 2)
        # As no worker would write it.
        producer.produce(FACTS, b'{"ticket_id":"T1","as_of_ms":"soon"}', b"T1", partition=1)
        assert producer.flush(20) == 0
        settings = {
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": "2",
            "DESKPULSE_WORKER__CLOCK": "event",
            "DESKPULSE_CLICKHOUSE__PORT": str(server.port),
            "DESKPULSE_CLICKHOUSE__USERNAME": "u",
            "DESKPULSE_CLICKHOUSE__PASSWORD": "secret of the test",
            "DESKPULSE_CLICKHOUSE__TIMEOUT": "2s",
        }
        server.fail("refuse")
        with LocalWorker(settings, tmp_path / "worker.log") as worker:
            status = worker.wait_until(
                lambda found: (
                    found["ready"]
                    and found["health"]["published"] > TICKETS_OF_THE_DESK
                    and found["health"]["sink_failures"] >= 2
                    and found["health"]["sink_lag"] > 2 * TICKETS_OF_THE_DESK
                ),
                "figures without ClickHouse",
                60,
            )
            assert status["health"]["tracked_tickets"] == TICKETS_OF_THE_DESK
            assert requests.get(f"{worker.url}/readyz", timeout=10).status_code == 200
            metrics = requests.get(f"{worker.url}/metrics", timeout=10).text
            told = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("support_sink_"))
            assert float(told["support_sink_failing_seconds{}"]) > 0
            assert float(told["support_sink_oldest_record_age_seconds{}"]) > 0
            server.heal()
            # Then in the middle of its work.
            worker.wait_until(lambda found: is_idle(found) and not found["health"]["sink_failures"], "caught up", 60)
            server.fail("lose", only="^INSERT", times=6)
            key, value = created(TICKETS_OF_THE_DESK)
            producer.produce(TICKETS, value, key, partition=0)
            producer.flush(20)
            server.await_faults("lose")
            status = worker.wait_until(
                lambda found: (
                    is_idle(found)
                    and not found["health"]["sink_failures"]
                    and found["health"]["tracked_tickets"] == TICKETS_OF_THE_DESK + 1
                ),
                "caught up again",
                60,
            )
            assert status["health"]["dead_letters"] == {"unreadable_output": 1}
            worker.stop()
            log = (tmp_path / "worker.log").read_text()
        with connect(server.target()) as clickhouse:
            for table in ("ticket_facts", "events"):
                found = clickhouse.query(f"SELECT uniqExact(ticket_id), count() FROM {table} FINAL").result_rows
                assert found == [(TICKETS_OF_THE_DESK + 1, TICKETS_OF_THE_DESK + 1)]
        (letter,) = _read(client, DEAD_LETTERS, 1)
    assert (letter.key(), letter.value()) == (b"T1", b'{"ticket_id":"T1","as_of_ms":"soon"}')
    headers = {name: value.decode() for name, value in letter.headers() or []}
    assert (headers["origin_topic"], headers["origin_partition"]) == (FACTS, "1")
    assert headers["reason"].startswith("unreadable_output: Expected `int`, got `str`")
    assert "ClickHouse is back after" in log
    assert "secret of the test" not in log


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
