"""Everything that a system holds beside everything that its archive says, in one go."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client

from deskpulse.durations import duration_ms
from deskpulse.recompute import archive, cell_rows
from deskpulse.recompute.tickets import Tickets
from deskpulse.settings import Settings
from deskpulse.verify import cells, gauges, tickets
from deskpulse.verify.differences import ARCHIVE, Difference, Differences
from deskpulse.verify.expected import Expected
from deskpulse.verify.looks import Look
from streams.calendars import DAY_MS

Progress = Callable[[str, str, int, int], None]
"""Told what is being done, what is counted, how much is done, and of how much."""
_BACKFILLED: Final = "SELECT count() FROM ticket_facts WHERE _backfilled_at IS NOT NULL"
_OLDEST: Final = "SELECT toUnixTimestamp64Milli(min(_produced_at)) FROM events"


class Report(NamedTuple):
    """What came of it."""

    idle: bool | None
    """Whether the system was idle when it was looked at; None where no worker was."""
    counts: dict[str, int]
    """How much there was of each."""
    told: list[str]
    """What was not compared, and why, in words."""
    differences: list[Difference]
    """The first ones of each kind."""
    by_kind: dict[str, int]
    """How many there are of each kind, shown or not."""

    @property
    def total(self) -> int:
        """How many differences there are."""
        return sum(self.by_kind.values())

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "ok": not self.total,
            "idle": self.idle,
            "counts": self.counts,
            "told": self.told,
            "differences": {
                "total": self.total,
                "by_kind": self.by_kind,
                "shown": [{name: getattr(one, name) for name in one.__struct_fields__} for one in self.differences],
            },
        }


def verify(
    client: Client, settings: Settings, look: Look, shown: int = 20, on_progress: Progress = lambda *_: None
) -> Report:
    """Compare facts, cells, SLA events and gauges with what the archive in ClickHouse says.

    ``settings`` are those under which the figures were kept; ``shown`` differences of each kind are kept. Raises
    ClickHouse's errors. Memory: all tickets are held, packed, about a kilobyte each.
    """
    differences = Differences(shown)
    told = list(look.told)

    def of(doing: str, unit: str) -> Callable[[int, int], None]:
        return lambda done, total: on_progress(doing, unit, done, total)

    domain = settings.domain()
    doing = of("reading the archive", "events")
    read = archive.read(client, look.end_of, look.refused, look.late, doing, pseudonyms=domain.pseudonyms)
    for ticket_id in read.strays:
        found = "several; its events were published under different keys or with different partitioners"
        differences.add(ARCHIVE, f"ticket {ticket_id}", "partition", "one for all of its events", found)
    times = _times(client, look)
    kept = Tickets(read.tickets, times, domain)
    kept.meet_customers(of("meeting customers", "tickets"), as_workers_do=True)
    expected = Expected(kept, times)
    complete = _complete(client, read, times, settings, of("meeting customers again", "tickets"))
    lossy = _is_lossy(client, settings)
    compared = tickets.compare(
        client, read.tickets, expected, complete, look, lossy, differences, of("comparing tickets", "tickets")
    )
    expected.finish()
    of_cells = {}
    # Before the cells, of which each is looked at and then done with.
    samples = sum(
        gauges.compare(worker, expected, settings.worker.dimension_limit, differences)
        for worker in look.workers
        if worker.metrics
    )
    for resolution in ("minute", "hour"):
        of_cells[resolution] = cells.compare(
            client, resolution, expected, look, differences, of(f"comparing {resolution} cells", "partitions")
        )
    if compared.moved:
        told.append(f"{compared.moved:,} tickets were worked on after the look and are left out")
    if compared.unknown:
        told.append(f"{compared.unknown:,} tickets have more events than the archive keeps, and are left out")
    if compared.behind:
        told.append(f"{compared.behind:,} tickets had late events since their backfill; backfill their period again")
    counts = {
        "events": read.records,
        "refused": read.refused,
        "tickets": len(read.tickets),
        "facts": compared.facts,
        "sla_events": compared.sla_events,
        "minute_cells": of_cells["minute"].cells,
        "hour_cells": of_cells["hour"].cells,
        "gauges": samples,
    }
    return Report(look.idle if look.workers else None, counts, told, differences.kept, dict(differences.by_kind))


def _complete(
    client: Client,
    read: archive.Archive,
    times: Mapping[int, int],
    settings: Settings,
    on_progress: Callable[[int, int], None],
) -> Tickets | None:
    """The tickets with all of their events, also those that came too late; None where no row was backfilled."""
    ((backfilled,),) = client.query(_BACKFILLED).result_rows
    if not backfilled:
        return None
    complete = Tickets(read.complete(), times, settings.domain())
    complete.meet_customers(on_progress, as_workers_do=False)
    return complete


def _times(client: Client, look: Look) -> dict[int, int]:
    """How far the time of each partition had come, at least: as its worker said, else as its newest cells say."""
    times = cell_rows.times(client)
    for worker in look.workers:
        times |= worker.watermarks
    return times


def _is_lossy(client: Client, settings: Settings) -> bool:
    """Whether the tables that are compared go back so far that rows may have left them by now."""
    kept = settings.clickhouse.retention.kept()
    limits = [limit for limit in (kept.events, kept.facts, kept.sla_events) if limit is not None]
    (oldest_ms,) = client.query(_OLDEST).result_rows[0]
    if not limits or not oldest_ms:
        return False
    return bool(oldest_ms < time.time_ns() // 1_000_000 - duration_ms(min(limits)) + 2 * DAY_MS)
