"""``deskpulse forget``: erase a customer's trace, and prove it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer

from deskpulse.cli.common import (
    WRONG_USE,
    CommandError,
    ConfigOption,
    Format,
    FormatOption,
    duration_option,
    emit,
    settings_from,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.forget.report import Remainder, Report

EXAMPLE: Final = "Examples: `deskpulse forget - --dry-run < customer.txt` and `deskpulse forget c-4711 --format json`"
_SHOWN_TICKETS: Final = 20
_SHOWN_PLACES: Final = 5


def forget(
    customer: Annotated[
        str,
        typer.Argument(
            help="The customer's id as the desk knows it (or its pseudonym); - reads it from standard input, where "
            "neither the shell nor the list of processes keeps it.",
            show_default=False,
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which tickets would be erased.")] = False,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait for the workers, and for their sink, each time.")
    ] = "60s",
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Erase a customer: every ticket that names the customer leaves the figures, the state, ClickHouse and the archive.

    Tickets that are another customer's but name this one count, too. Waits for the workers, deletes rows, then looks
    everywhere for what is left and says until when. Exit code 1 when something is left that should not be, or could not
    be done; forget again then. It cannot be undone. See docs/privacy.md.
    """
    from deskpulse.forget.erasure import forget as erase

    waited = duration_option(wait)
    settings = settings_from(config)
    report = erase(settings, _customer(customer), dry_run=dry_run, wait_seconds=waited, tell=tell)
    emit(report.document(), answer, lambda console: _show(console, report))
    raise typer.Exit(0 if report.ok else 1)


def _customer(given: str) -> str:
    customer = sys.stdin.readline().strip("\r\n") if given == "-" else given
    if not customer:
        raise CommandError("whom to forget is missing; expected a customer's id, or - and the id on a line", WRONG_USE)
    return customer


def _show(console: Console, report: Report) -> None:
    from deskpulse.explain.words import printable

    tickets = sorted(report.tickets)
    named = ", ".join(map(printable, tickets[:_SHOWN_TICKETS])) + (", …" if len(tickets) > _SHOWN_TICKETS else "")
    console.print(f"{_number(len(tickets), 'ticket')} of the customer{': ' if named else ''}{named}", markup=False)
    if report.dry_run:
        console.print("Nothing was changed.")
        return
    rows = ", ".join(f"{count:,} of {table}" for table, count in report.deleted.items() if count) or "none"
    console.print(f"Published {_number(report.published, 'erasure')}. Rows deleted: {rows}.", markup=False)
    for title, left in (("Goes by itself:", report.rests), ("Should not be there:", report.traces)):
        if left:
            console.print(title, style="bold")
        for one in left:
            console.print(f"  {_told(one)}", markup=False)
    for what in report.undone:
        console.print(what, style="bold red", markup=False)
    if report.ok:
        console.print("Nothing else is left.", style="bold green")


def _told(one: Remainder) -> str:
    document = one.document()
    number = "" if one.records is None else f"{one.records:,} "
    places = ", ".join(one.places[:_SHOWN_PLACES]) + (", …" if len(one.places) > _SHOWN_PLACES else "")
    at = f" at {places}" if places else ""
    until = f" (gone by {document['until']})" if document["until"] else ""
    return f"{one.where}: {number}{one.what}{at}{until}"


def _number(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
