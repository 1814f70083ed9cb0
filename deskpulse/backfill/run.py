"""One backfill: the period recomputed beside what ClickHouse holds, and what differs moved in.

What holds all the while, so that it can run beside workers and sinks:

1. The period is closed: no worker publishes a cell of it. Facts and SLA events are written of tickets alone that have
   left the horizon: no worker publishes a record of them. So nobody else writes the rows that are replaced.
2. Only rows that differ are written, each with a version one above the row that it replaces. Whatever the sink inserts
   again (after a crash, from offsets of before) has its old version and stays below.
3. Rows come into fresh tables first and are moved from there table by table, each in one step. Nothing is taken out, so
   no insert can be lost. Cut off at any point, a repetition writes what is still missing, and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from clickhouse_connect.driver.client import Client
from msgspec import Struct
from xxhash import xxh3_64_intdigest

from deskpulse.backfill import cells, chosen
from deskpulse.backfill.facts import Comparison, Keeping, Written
from deskpulse.backfill.files import FromFiles
from deskpulse.backfill.period import Period, PeriodError, check_closed
from deskpulse.backfill.tables import TICKETS, Fresh, fresh
from deskpulse.durations import duration_ms
from deskpulse.recompute import archive, cell_rows
from deskpulse.recompute.ticket_rows import Message
from deskpulse.recompute.tickets import Tickets
from deskpulse.settings import Settings
from deskpulse.verify.differences import Difference, Differences, instant
from deskpulse.verify.looks import Look
from schemas.events import decode
from streams.facts import Facts
from streams.partitioner import partition_of

Progress = Callable[[str, str, int, int], None]
"""Told what is being done, what is counted, how much is done, and of how much."""
_EVENTS_AT_ONCE: Final = 10_000


class PublishInsteadError(RuntimeError):
    """Files hold events of tickets that workers still track; says what to do."""


class Report(Struct, frozen=True):
    """What came of it."""

    since: str
    until: str
    moved: bool
    """Whether what differs was moved in; False of a dry run, and where nothing differs."""
    counts: dict[str, int]
    changed: dict[str, int]
    """Rows that differ, by table."""
    told: list[str]
    examples: list[Difference]
    """What is to be (``expected``) and what was there (``found``), the first of each kind."""
    differences: dict[str, int]
    """How many values differ, by kind."""

    @property
    def differs(self) -> bool:
        """Whether anything is other than it is to be."""
        return any(self.changed.values())

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        examples = [{name: getattr(one, name) for name in one.__struct_fields__} for one in self.examples]
        return {name: getattr(self, name) for name in self.__struct_fields__} | {"examples": examples}


class _Read(NamedTuple):
    """What is looked at."""

    tickets: Tickets
    left: set[str]
    new: dict[str, list[bytes]]
    """Events of files that the archive lacks, by ticket."""
    counts: dict[str, int]
    told: list[str]


def times_of(client: Client, look: Look, *, drained: bool) -> dict[int, int]:
    """The time of each partition: as ClickHouse's newest cells say, as its worker does where its sink has no lag."""
    times = cell_rows.times(client)
    if drained:
        for worker in look.workers:
            times |= worker.watermarks
    return times


def backfill(
    client: Client,
    settings: Settings,
    period: Period,
    look: Look,
    times: Mapping[int, int],
    from_files: FromFiles = FromFiles({}, 0, 0),  # noqa: B008 (a value)
    *,
    dry_run: bool = False,
    discard: bool = False,
    shown: int = 20,
    on_progress: Progress = lambda *_: None,
) -> Report:
    """Recompute a closed period from the archive and from files, and replace what differs.

    ``times`` are the partitions' (:func:`times_of`), ``look`` says which records are dead letters. Raises
    :class:`~deskpulse.backfill.period.PeriodError` where the period is not closed,
    :class:`~deskpulse.backfill.chosen.IncompleteError`, :class:`PublishInsteadError`,
    :class:`~deskpulse.backfill.tables.AtWorkError`, and ClickHouse's errors. Memory: the period's tickets and those of
    the month after it are held, packed, about a kilobyte each.
    """
    config = settings.domain()
    check_closed(period, times, config.horizon_ms)
    now_ms = time.time_ns() // 1_000_000
    told = list(look.told)
    since = _cells_since(settings, now_ms)
    if since["hour"] >= period.until_ms:
        raise PeriodError(f"clickhouse.retention.hour_cells has removed the cells of before {instant(since['hour'])}")
    differences = Differences(shown)

    def of(doing: str, unit: str) -> Callable[[int, int], None]:
        return lambda done, total: on_progress(doing, unit, done, total)

    with fresh(client, settings.clickhouse.database, now_ms, discard=discard) as tables:
        chosen.choose(client, period, config)
        tables.choose(list(from_files.tickets))
        read = _read(client, settings, period, look, times, from_files, of)
        changed: dict[str, int] = {}
        sums = cells.sums(read.tickets, period, of("counting", "tickets"))
        for resolution in ("minute", "hour"):
            changed[f"cells_{resolution}"] = _cells(
                client, resolution, period, since[resolution], read.tickets, sums, differences,
                None if dry_run else cells.Writer(tables, resolution, now_ms),
            )  # fmt: skip
        written = Comparison(
            client, read.tickets, read.left, period, _keeping(settings, now_ms), differences,
            None if dry_run else tables, now_ms,
        ).run(of("comparing tickets", "tickets"))  # fmt: skip
        changed |= {"ticket_facts": written.facts, "sla_events": written.sla_events}
        moved = not dry_run and bool(any(changed.values()) or read.new)
        if moved:
            # The archive first: what is cut off after it can be repeated without the files.
            _archive(tables, read, now_ms)
            tables.move()
    told += read.told + _remarks(period, since["minute"], written)
    return Report(
        instant(period.since_ms),
        instant(period.until_ms),
        moved,
        read.counts,
        changed,
        told,
        differences.kept,
        dict(differences.by_kind),
    )


def _cells_since(settings: Settings, now_ms: int) -> dict[str, int]:
    """The beginning of what ClickHouse keeps of the cells, by resolution."""
    kept = settings.clickhouse.retention.kept()
    limits = {"minute": kept.minute_cells, "hour": kept.hour_cells}
    return {name: 0 if limit is None else now_ms - duration_ms(limit) for name, limit in limits.items()}


def _keeping(settings: Settings, now_ms: int) -> Keeping:
    kept = settings.clickhouse.retention.kept()
    return Keeping(*[0 if limit is None else now_ms - duration_ms(limit) for limit in (kept.facts, kept.sla_events)])


def _read(
    client: Client,
    settings: Settings,
    period: Period,
    look: Look,
    known_times: Mapping[int, int],
    from_files: FromFiles,
    of: Callable[[str, str], Callable[[int, int], None]],
) -> _Read:
    """All tickets that can count in the period, with all of their events."""
    dead = set(look.refused).difference(look.late)
    config = settings.domain()
    held = archive.read(
        client, lambda *_: None, dead, (), of("reading the archive", "events"), TICKETS, config.pseudonyms
    )
    kept = held.complete()
    partitions = {ticket.partition for ticket in kept.values()}
    # Of a partition without cells nothing is known; none can be behind what is known of the slowest.
    slowest = min(known_times.values())
    times = dict.fromkeys(partitions.union(range(settings.kafka.partitions)), slowest) | dict(known_times)
    tickets = Tickets(kept, times, config)
    facts = chosen.known(client)
    left = chosen.left(client, tickets, facts)
    new: dict[str, list[bytes]] = {}
    unrelated = tracked = 0
    example = ""
    for ticket_id, values in from_files.tickets.items():
        before = kept.get(ticket_id)
        partition = partition_of(ticket_id.encode(), settings.kafka.partitions)
        after, added = archive.with_events(before or archive.nothing(partition), values)
        if not added:
            continue
        kept[ticket_id] = after
        found, history = tickets.facts(ticket_id, times[after.partition])
        if not period.overlaps(history.first_at, found.last_at):
            unrelated += len(added)
        elif ticket_id in left or (before is None and _has_left(found, tickets, ticket_id)):
            left.add(ticket_id)
            new[ticket_id] = added
            continue
        else:
            tracked, example = tracked + len(added), ticket_id
        if before is None:
            del kept[ticket_id]
        else:
            kept[ticket_id] = before
    if tracked:
        raise PublishInsteadError(
            f"the files have {tracked:,} events of tickets that the workers still track, like {example}; publish them "
            "with `deskpulse publish`, and the workers count them"
        )
    chosen.check_complete(client, period, tickets, facts)
    tickets.meet_customers(of("meeting customers", "tickets"), as_workers_do=False)
    counts = {
        "events": held.records + sum(len(one.values) for one in held.apart.values()),
        "refused": held.refused,
        "tickets": len(kept),
        "left_tickets": len(left),
        "file_events": from_files.events,
        "file_events_new": sum(map(len, new.values())),
    }
    told = []
    if unrelated:
        told.append(f"{unrelated:,} events of the files are of tickets that did not live in the period: left out")
    if from_files.bad:
        told.append(f"{from_files.bad:,} lines of the files are no event: left out")
    return _Read(tickets, left, new, counts, told)


def _has_left(found: Facts, tickets: Tickets, ticket_id: str) -> bool:
    horizon = tickets.config.horizon_ms
    return horizon is not None and not found.open and found.last_at + horizon <= tickets.now_of(ticket_id)


def _cells(
    client: Client,
    resolution: str,
    period: Period,
    since_ms: int,
    tickets: Tickets,
    sums: cells.Sums,
    differences: Differences,
    writer: cells.Writer | None,
) -> int:
    """Compare the cells of one resolution, and write what differs; returns how many cells that are."""
    since_ms = max(since_ms, period.since_ms)
    if since_ms >= period.until_ms:
        return 0
    changed = 0
    for partition in cell_rows.partitions(client) | sums.panes.keys():
        held = cell_rows.read(client, resolution, partition, since_ms, period.until_ms)
        wanted = sums.panes.get(partition)
        for change in cells.changes(None if wanted is None else wanted[resolution], held, tickets, since_ms):
            changed += 1
            cells.tell(resolution, partition, change, differences)
            if writer is not None:
                writer.put(partition, change, tickets.time_of(partition))
    if writer is not None:
        writer.flush()
    return changed


def _archive(tables: Fresh, read: _Read, now_ms: int) -> None:
    """Add to the archive what the files had more: the figures follow from it then, too."""
    by_partition: dict[int, list[Message]] = {}
    for ticket_id, values in read.new.items():
        messages = by_partition.setdefault(read.tickets.kept[ticket_id].partition, [])
        for value in values:
            # A place of its own for each event, the same whenever it comes.
            place = xxh3_64_intdigest(decode(value).id.encode()) >> 1
            messages.append(Message(value, ticket_id.encode(), place, now_ms))
    for partition, messages in by_partition.items():
        for start in range(0, len(messages), _EVENTS_AT_ONCE):
            tables.archive(partition, messages[start : start + _EVENTS_AT_ONCE])


def _remarks(period: Period, minutes_since_ms: int, written: Written) -> list[str]:
    told = []
    if minutes_since_ms > period.since_ms:
        told.append(f"cells of minutes before {instant(min(minutes_since_ms, period.until_ms))} are kept no longer")
    if written.facts and (written.first_at_ms < period.since_ms or written.last_at_ms >= period.until_ms):
        lived = f"{instant(written.first_at_ms)} to {instant(written.last_at_ms)}"
        told.append(
            f"the tickets whose facts differ lived from {lived}: cells outside of the period are not looked at; "
            "`deskpulse late list --exact` names the hours"
        )
    if written.reopened:
        told.append(f"{written.reopened:,} of them are open again by what came late; no worker watches them")
    return told
