"""Forgetting a customer, step by step; every step can be done again, and one that was done finds nothing to do.

1. Wait until the workers have applied all that was published, so that their state knows every ticket.
2. Find the tickets that name the customer: in ClickHouse's facts and archive, and in the changelogs of the state.
3. Publish an erasure for each whose history is kept (``ticket.deleted`` with ``erase``), and a mark by which the
   customer step forgets the customer. No event of a ticket is kept beside its erasure, however often it comes again.
4. Wait until the workers have applied and committed them, and what they told each other of it.
5. Wait until the sink has inserted what was there then: an older row is never inserted behind its deletion.
6. Delete the rows of the tickets, all versions of them, but the stubs that say that they were erased.
7. Prove it: read the changelogs again, search the tables, and tell what the topics keep until when.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from hashlib import blake2b
from typing import Final

import msgspec
from clickhouse_connect.driver.exceptions import Error

from deskpulse.forget.logs import Logs, NotReadError
from deskpulse.forget.person import Person
from deskpulse.forget.proof import prove_state, prove_tables, what_topics_keep
from deskpulse.forget.report import Remainder, Report
from deskpulse.forget.state import Kept, State
from deskpulse.forget.tables import Tables
from deskpulse.settings import Settings
from schemas.events import EPOCH, TICKETS, TicketDeleted
from schemas.outputs import CONTACTS, CUSTOMERS, CustomerTicket
from sinks.clickhouse import UnreachableError, connect, has_database
from sinks.rows import SINK_TOPICS
from sources.publisher import Publisher
from streams.clients import Deadline
from streams.offsets import READ_TOPICS

_ON_DISK: Final = (
    "overwritten values until RocksDB compacts them, and what lies there of partitions that have moved away"
)
_WITHOUT_CLICKHOUSE: Final = "the rows in ClickHouse stand as they are: {}; forget again when it can be reached"
_FOLDER_IS_HELD: Final = (
    "the rows in ClickHouse stand as they are: its folder is open to one process at a time; let the worker go on until "
    "its sink has nothing left, stop it, and forget again"
)


def forget(
    settings: Settings, customer: str, *, dry_run: bool, wait_seconds: float, tell: Callable[[str], None]
) -> Report:
    """Forget a customer (the real id, or its pseudonym), or with ``dry_run`` only tell what would be forgotten.

    ``wait_seconds``: for each of the three times that workers are waited for. ``tell`` hears what is being done. Raises
    ``deskpulse.forget.logs.NotReadError`` where the workers don't get on, ``KafkaException``,
    ``sources.publisher.PublishError``, and ClickHouse's errors once it has answered.
    """
    person = Person(customer, settings.privacy.pseudonyms())
    with closing(Logs(settings.kafka.client())) as logs:
        if not dry_run:
            tell("waiting until the workers have applied what is published")
            logs.await_read(settings.kafka.group, READ_TOPICS, Deadline(wait_seconds))
        return _Run(settings, person, logs, Report(dry_run), wait_seconds, tell).run()


class _Run:
    def __init__(
        self,
        settings: Settings,
        person: Person,
        logs: Logs,
        report: Report,
        wait_seconds: float,
        tell: Callable[[str], None],
    ) -> None:
        self.settings = settings
        self.person = person
        self.logs = logs
        self.report = report
        self.wait_seconds = wait_seconds
        self.tell = tell

    def run(self) -> Report:
        try:
            with closing(connect(self.settings.clickhouse.target())) as client:
                if has_database(client, self.settings.clickhouse.database):
                    self._run(Tables(client, self.settings.clickhouse.database, self.person))
                else:
                    self._run(None)
        except UnreachableError as error:
            held = self.settings.clickhouse.path is not None
            self.report.undone.append(_FOLDER_IS_HELD if held else _WITHOUT_CLICKHOUSE.format(error))
            self._run(None)
        return self.report

    def _run(self, tables: Tables | None) -> None:
        report = self.report
        self.tell("looking for the customer's tickets")
        state = State(self.person, set() if tables is None else tables.find())
        state.read(self.logs)
        report.tickets = dict(state.tickets)
        if report.dry_run:
            return
        self._erase(state)
        if tables is not None:
            self._delete(tables)
        self.tell("looking for what is left")
        prove_state(self.logs, self.person, report)
        if tables is not None:
            prove_tables(tables, report)
        what_topics_keep(self.logs, self.person, report)
        if report.tickets and self.settings.worker.state_folder is not None:
            report.rests.append(Remainder("worker.state_folder", _ON_DISK))

    def _erase(self, state: State) -> None:
        erasures = [
            {"key": ticket_id.encode(), "value": msgspec.json.encode(self._erasure_of(ticket_id, state))}
            for ticket_id, kept in state.tickets.items()
            if kept is Kept.history
        ]
        mark = msgspec.json.encode(CustomerTicket(ticket_id="", gone=True, forget=True))
        marks = [{"key": key, "value": mark} for key in sorted(state.telling & self.person.keys)]
        if not erasures and not marks:
            return
        self.tell(f"having {len(erasures):,} tickets erased")
        publisher = Publisher(self.settings.kafka.client())
        publisher.connect((TICKETS, CUSTOMERS))
        publisher.send(TICKETS, erasures)
        publisher.send(CUSTOMERS, marks)
        publisher.flush()
        self.report.published = len(erasures)
        deadline = Deadline(self.wait_seconds)
        group = self.settings.kafka.group
        self.logs.await_read(group, READ_TOPICS, deadline)
        # What was told on the way: by tickets to the customer, then by the customer step to other tickets.
        self.logs.await_read(group, (CUSTOMERS,), deadline)
        self.logs.await_read(group, (CONTACTS,), deadline)

    def _erasure_of(self, ticket_id: str, state: State) -> TicketDeleted:
        # Where events pass the time, now would be far in their future.
        now_ms = state.last_at[ticket_id] if self.settings.worker.clock == "event" else time.time_ns() // 1_000_000
        return TicketDeleted(
            id=f"erasure-{blake2b(ticket_id.encode(), digest_size=16).hexdigest()}",
            ticket_id=ticket_id,
            at=EPOCH + timedelta(milliseconds=now_ms),
            erase=True,
        )

    def _delete(self, tables: Tables) -> None:
        tickets = sorted(self.report.tickets)
        if not tickets:
            return
        self.tell("waiting until the sink has inserted what was there")
        try:
            group = f"{self.settings.kafka.group}-sink"
            self.logs.await_read(group, SINK_TOPICS, Deadline(self.wait_seconds))
        except NotReadError as error:
            self.report.undone.append(f"the rows in ClickHouse stand as they are: {error}")
            return
        self.tell("deleting rows")
        try:
            self.report.deleted = tables.delete(tickets)
        except Error as error:
            self.report.undone.append(f"not all rows in ClickHouse are deleted: {error}; forget again")
