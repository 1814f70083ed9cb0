"""Records as Kafka would give them, and random cells."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from clickhouse_connect.driver.client import Client

from schemas.outputs import Cell, TicketFacts
from streams.buckets import LONGEST_MS, bucket_of
from streams.measures import COUNTS, DURATIONS, NUMBER_OF

NOW_MS = 1_780_272_045_678
"""2026-06-01T00:00:45.678Z."""
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Record:
    """What is read of a Kafka record."""

    the_value: bytes | None
    the_key: bytes | None
    the_offset: int
    at_ms: int = NOW_MS

    def value(self) -> bytes | None:
        return self.the_value

    def key(self) -> bytes | None:
        return self.the_key

    def offset(self) -> int:
        return self.the_offset

    def timestamp(self) -> tuple[int, int]:
        return 1, self.at_ms


def of_facts(*facts: TicketFacts, first_offset: int = 0) -> list[Record]:
    return [
        Record(msgspec.json.encode(fact), fact.ticket_id.encode(), first_offset + place)
        for place, fact in enumerate(facts)
    ]


def cell_key(cell: Cell) -> bytes:
    return msgspec.json.encode([cell.resolution, cell.pane_at_ms, cell.dimensions])


def of_cells(cells: Iterable[Cell], first_offset: int = 0) -> list[Record]:
    return [Record(msgspec.json.encode(cell), cell_key(cell), first_offset + place) for place, cell in enumerate(cells)]


def random_measures(dice: random.Random) -> dict[str, int]:
    measures = {name: dice.randint(1, 50) for name in dice.sample(COUNTS, dice.randint(0, len(COUNTS)))}
    # An interval is of a share: no more can be satisfied than answered.
    measures["csat_satisfied"] = min(measures.get("csat_satisfied", 0), measures.get("csat_answers", 0))
    for name in DURATIONS:
        for _ in range(dice.choice((0, 0, 1, 3))):
            ms = int(dice.choice((1, 1e6, 2 * LONGEST_MS)) * dice.random() ** 3)
            bucket = f"{name}_b{bucket_of(ms)}"
            n = dice.randint(1, 5)
            measures[bucket] = measures.get(bucket, 0) + n
            measures[f"{name}_ms"] = measures.get(f"{name}_ms", 0) + n * ms
    return {name: n for name, n in measures.items() if n}


def random_cells(dice: random.Random, n: int, resolution: str, span_ms: int, pane_ms: int) -> list[Cell]:
    """Cells of the last ``span_ms`` before now; equal ones may come again with other measures."""
    last = NOW_MS // pane_ms
    return [
        Cell(
            resolution=resolution,
            pane_at_ms=(last - dice.randint(0, span_ms // pane_ms)) * pane_ms,
            as_of_ms=NOW_MS,
            dimensions={"channel": dice.choice(("email", "chat", "it's 100% \\ 'odd'")), "team": dice.choice("ab")},
            measures=random_measures(dice),
        )
        for _ in range(n)
    ]


def totals(cells: Iterable[Cell]) -> dict[int, int]:
    """The sum of cells, as ``Figure.value`` takes it."""
    found: dict[int, int] = {}
    for cell in cells:
        for name, n in cell.measures.items():
            found[NUMBER_OF[name]] = found.get(NUMBER_OF[name], 0) + n
    return found


def last_of_each(cells: Iterable[Cell]) -> list[Cell]:
    return list({cell_key(cell): cell for cell in cells}.values())


def batches(dice: random.Random, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Cut into batches at random places."""
    start = 0
    while start < len(records):
        end = start + dice.randint(1, len(records))
        yield records[start:end]
        start = end


def rows(client: Client, sql: str, **parameters: Any) -> list[dict[str, Any]]:
    """The rows of a query, by column; ``now`` is a parameter of its own."""
    result = client.query(sql.replace("NOW", f"fromUnixTimestamp64Milli({NOW_MS})"), parameters=parameters or None)
    return list(result.named_results())


def figures_by(client: Client, dimension: str, seconds: int) -> dict[str, Mapping[str, Any]]:
    found = rows(client, f"SELECT * FROM figures_by(dimension = '{dimension}', seconds = {seconds}, at = NOW)")
    return {row.pop("value"): row for row in found}
