"""Replaying files of the past: a broker of its own, a worker on the event clock, ClickHouse in a folder, one answer."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from deskpulse.local.kafka import LocalKafka
from deskpulse.local.worker import LocalWorker, is_idle, is_ready
from schemas.events import INPUT_TOPICS
from schemas.outputs import DEAD_LETTERS
from sinks.clickhouse import ClickHouseTarget, connect
from sources.event_files import Published, publish_files
from sources.files import Batch
from sources.publisher import Publisher
from streams.topics import default_specs, ensure_topics

DATABASE: Final = "deskpulse"
_PARTITIONS: Final = 4
_START_SECONDS: Final = 120.0
_UNLIMITED: Final = "unlimited"

Progress = Callable[[str, int], None]
"""Told what is being done, and of how many events it is done."""


@dataclass(frozen=True)
class Processing:
    """How the worker did."""

    events: int
    """Distinct events that count."""
    duplicates: int
    late: int
    dead_letters: int
    seconds: float

    @property
    def events_per_second(self) -> float:
        """Records read, duplicates included, by second."""
        return (self.events + self.duplicates) / self.seconds if self.seconds > 0 else 0.0


def replay(
    files: Sequence[str],
    data: Path,
    horizon: str = _UNLIMITED,
    deadline_seconds: float = 3_600.0,
    on_progress: Progress = lambda *_: None,
) -> dict[str, Any]:
    """Publish ``files``, process them to the end and return the answer (see ``deskpulse replay --help``).

    ClickHouse under ``data`` then holds the figures of this replay and of no other. Raises
    ``deskpulse.local.errors.LocalStackError``, ``sources.files.InputError`` and ``sources.publisher.PublishError``.
    """
    data.mkdir(parents=True, exist_ok=True)
    with _clickhouse(data) as client:
        client.command(f"DROP DATABASE IF EXISTS {DATABASE}")
    on_progress("starting a Kafka broker", 0)
    with LocalKafka() as kafka, tempfile.TemporaryDirectory(prefix="deskpulse-replay-") as scratch:
        ensure_topics({"bootstrap.servers": kafka.bootstrap}, default_specs(_PARTITIONS))
        published = _publish(kafka.bootstrap, files, on_progress)
        settings = {
            "DESKPULSE_KAFKA__BOOTSTRAP": kafka.bootstrap,
            "DESKPULSE_KAFKA__PARTITIONS": str(_PARTITIONS),
            "DESKPULSE_WORKER__CLOCK": "event",
            "DESKPULSE_WORKER__HORIZON": horizon,
            "DESKPULSE_CLICKHOUSE__PATH": str(data / "clickhouse"),
            "DESKPULSE_CLICKHOUSE__DATABASE": DATABASE,
            **{
                f"DESKPULSE_CLICKHOUSE__RETENTION__{table}": _UNLIMITED
                for table in ("EVENTS", "FACTS", "MINUTE_CELLS", "HOUR_CELLS", "SLA_EVENTS")
            },
        }
        with LocalWorker(settings, Path(scratch) / "worker.log") as worker:
            processing = _process(worker, published, deadline_seconds, on_progress)
    with _clickhouse(data) as client:
        return answer(client, processing)


def _publish(bootstrap: str, files: Sequence[str], on_progress: Progress) -> Published:
    publisher = Publisher({"bootstrap.servers": bootstrap})
    publisher.connect((*INPUT_TOPICS, DEAD_LETTERS))

    def told(done: Published, _name: str, _batch: Batch) -> None:
        on_progress("publishing", done.published)

    return publish_files(files, publisher, on_progress=told)


def _process(worker: LocalWorker, published: Published, deadline_seconds: float, on_progress: Progress) -> Processing:
    worker.wait_until(is_ready, "ready", _START_SECONDS)
    began = time.monotonic()
    applied_at: list[float] = []

    def told(status: dict[str, Any]) -> None:
        health = status["health"]
        read = sum(health["events"].values())
        on_progress("processing", read)
        if not applied_at and read == published.published and not health["commit_age_seconds"]:
            applied_at.append(time.monotonic())

    def done(status: dict[str, Any]) -> bool:
        return is_idle(status) and sum(status["health"]["events"].values()) == published.published

    health = worker.wait_until(done, "everything processed", deadline_seconds, told)["health"]
    worker.stop()
    dead = sum(health["dead_letters"].values())
    return Processing(
        events=published.published - health["duplicates"] - health["late"] - dead - health["skipped_types"],
        duplicates=health["duplicates"],
        late=health["late"],
        dead_letters=published.bad + dead,
        seconds=(applied_at[0] if applied_at else time.monotonic()) - began,
    )


@contextmanager
def _clickhouse(data: Path) -> Iterator[Client]:
    client = connect(ClickHouseTarget(database=DATABASE, path=data / "clickhouse"))
    try:
        yield client
    finally:
        client.close()


def answer(client: Client, processing: Processing) -> dict[str, Any]:
    """The figures over all tickets, exact: from their facts and, for the surveys, from the cells."""
    tickets = _row(client, _TICKETS)
    surveys = _row(client, _SURVEYS)
    return {
        "events": processing.events,
        "duplicates": processing.duplicates,
        "late": processing.late,
        "dead_letters": processing.dead_letters,
        **{name: tickets[name] for name in _TICKET_COUNTS},
        **{name: _duration(tickets, name) for name in _DURATIONS},
        "fcr": {
            "n": tickets["tickets_solved"],
            "true": tickets["fcr"],
            "ratio": _ratio(tickets["fcr"], tickets["tickets_solved"]),
        },
        "csat": {
            "answers": surveys["csat_answers"],
            "mean": _ratio(surveys["csat_score_milli"] / 1000, surveys["csat_answers"]),
            "satisfied": surveys["csat_satisfied"],
            "ratio": _ratio(surveys["csat_satisfied"], surveys["csat_answers"]),
        },
        "nps": {
            "answers": surveys["nps_answers"],
            "promoters": surveys["nps_promoters"],
            "passives": surveys["nps_passives"],
            "detractors": surveys["nps_detractors"],
            "score": _ratio(100 * (surveys["nps_promoters"] - surveys["nps_detractors"]), surveys["nps_answers"]),
        },
        "processing": {
            "seconds": round(processing.seconds, 3),
            "events_per_second": round(processing.events_per_second),
        },
    }


_TICKET_COUNTS: Final = ("tickets", "created", "solves", "tickets_solved", "reopens", "tickets_reopened", "open")
_DURATIONS: Final = ("first_reply", "first_resolution", "full_resolution")
_COUNTS: Final = "created_at IS NOT NULL AND merged_into IS NULL AND NOT deleted"
_TICKETS: Final = f"""
SELECT
    count() AS tickets,
    countIf({_COUNTS}) AS created,
    sumIf(f.solves, {_COUNTS}) AS solves,
    countIf(f.solves > 0 AND {_COUNTS}) AS tickets_solved,
    sumIf(f.reopens, {_COUNTS}) AS reopens,
    countIf(f.reopens > 0 AND {_COUNTS}) AS tickets_reopened,
    countIf(status NOT IN ('solved', 'closed') AND {_COUNTS}) AS open,
    countIf(f.fcr AND {_COUNTS}) AS fcr,
    {
    ",".join(
        f'''
    count({name}_seconds) AS {name}_n,
    avg({name}_seconds) AS {name}_mean,
    quantileExactInclusive(0.5)({name}_seconds) AS {name}_p50,
    quantileExactInclusive(0.9)({name}_seconds) AS {name}_p90'''
        for name in _DURATIONS
    )
}
FROM {DATABASE}.ticket_facts AS f FINAL
"""  # noqa: S608 (nothing in it is a user's)
_SURVEYS: Final = f"""
SELECT {
    ", ".join(
        f"sum({name}) AS {name}"
        for name in (
            "csat_answers",
            "csat_score_milli",
            "csat_satisfied",
            "nps_answers",
            "nps_promoters",
            "nps_passives",
            "nps_detractors",
        )
    )
}
FROM {DATABASE}.cells_hour FINAL
"""  # noqa: S608 (nothing in it is a user's)


def _row(client: Client, query: str) -> dict[str, Any]:
    found = client.query(query)
    return dict(zip(found.column_names, found.result_rows[0], strict=True))


def _duration(tickets: dict[str, Any], name: str) -> dict[str, Any]:
    n = tickets[f"{name}_n"]
    figures = {f"{figure}_seconds": tickets[f"{name}_{figure}"] for figure in ("mean", "p50", "p90")}
    return {"n": n, **{figure: round(value, 3) if n else None for figure, value in figures.items()}}


def _ratio(above: float, by: int) -> float | None:
    return round(above / by, 6) if by else None
