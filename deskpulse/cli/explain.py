"""``deskpulse explain``: every fact of a ticket, and why each of its clocks ran or did not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from deskpulse.cli.common import (
    WRONG_USE,
    CommandError,
    ConfigOption,
    Format,
    FormatOption,
    emit,
    instant_option,
    settings_from,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.settings import Settings
    from schemas.events import AnyEvent

EXAMPLE: Final = "Examples: `deskpulse explain events.jsonl --format json` and `deskpulse explain --ticket T1`"
_NAMED_TICKETS: Final = 5


def explain(
    events: Annotated[
        str | None,
        typer.Argument(
            help="JSONL or JSONL.gz, one event a line; - is standard input. Else the running system's archive is asked."
        ),
    ] = None,
    ticket: Annotated[str | None, typer.Option("--ticket", metavar="ID", help="Of this ticket alone.")] = None,
    now: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="As of this time, RFC 3339 with an offset; else as of the file's last event, or of now.",
        ),
    ] = None,
    show_bad: Annotated[int, typer.Option(min=0, metavar="N", help="Of how many bad lines to say what is wrong.")] = 10,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 1 when a line was bad.")] = False,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Explain tickets: every fact, every service-level target, and a timeline that says why each clock ran or did not.

    From a file of events, without Kafka or ClickHouse; or by --ticket from the archive of the running system, the other
    tickets of its customer included. The customer's other tickets count, so give the whole file and name the ticket.
    A worker shows the same at `/tickets/ID` (and `/tickets/ID?format=json`).
    """
    import time

    from deskpulse.explain.document import document
    from deskpulse.explain.explanation import explained
    from deskpulse.explain.text import show
    from streams.batch import batch

    now_ms = None if now is None else instant_option("--now", now)
    if events is None and ticket is None:
        raise CommandError(
            "say which: a file of events, or --ticket ID to ask the archive of the running system", WRONG_USE
        )
    settings = settings_from(config)
    if events is not None:
        found, bad = _from_file(events, show_bad)
        where = events
    else:
        assert ticket is not None
        found, bad = _from_archive(settings, ticket), 0
        where = str(settings.clickhouse.target())
        now_ms = int(time.time() * 1000) if now_ms is None else now_ms
    domain = settings.domain()
    told = batch(found, now_ms, domain)
    if ticket is not None:
        if ticket not in told:
            raise CommandError(f"{where}: there is no event of ticket {ticket}{_those_there(list(told))}")
        told = {ticket: told[ticket]}

    def show_all(console: Console) -> None:
        for one in told.values():
            show(console, explained(one, domain))

    emit([document(one) for one in told.values()], answer, show_all)
    if strict and bad:
        raise typer.Exit(1)


def _from_file(name: str, show_bad: int) -> tuple[list[AnyEvent], int]:
    from deskpulse.explain.archive import read_file
    from deskpulse.explain.words import printable

    bad = 0

    def on_bad(number: int, line: bytes, reason: str) -> None:
        nonlocal bad
        bad += 1
        if bad <= show_bad:
            tell(f"{name}:{number}: {reason}: {printable(line.decode('utf-8', 'backslashreplace'))}")

    events = read_file(name, on_bad)
    if bad > show_bad:
        tell(f"… and {bad - show_bad:,} more bad lines")
    if not events:
        raise CommandError(
            f"{name}: there is no event in it; expected one JSON object a line, like docs/events.md says"
        )
    return events, bad


def _from_archive(settings: Settings, ticket: str) -> list[AnyEvent]:
    from deskpulse.explain.archive import read_archive
    from sinks.clickhouse import connect, has_database

    target = settings.clickhouse.target()
    client = connect(target)
    try:
        if not has_database(client, target.database):
            raise CommandError(f"{target} has no database {target.database}; make it with `deskpulse migrate`")
        return read_archive(client, ticket)
    finally:
        client.close()


def _those_there(tickets: list[str]) -> str:
    """Which tickets there are instead; '' without any."""
    from deskpulse.explain.words import printable

    if not tickets:
        return ""
    named = ", ".join(printable(one) for one in tickets[:_NAMED_TICKETS])
    return f"; there are {len(tickets):,} tickets: {named}{', …' if len(tickets) > _NAMED_TICKETS else ''}"
