"""``deskpulse verify``: does everything that the running system holds follow from its raw archive?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NoReturn

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
from deskpulse.cli.looking import asking, urls_of

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.settings import Settings
    from deskpulse.verify.comparison import Report
    from deskpulse.verify.looks import Look

EXAMPLE: Final = "Examples: `deskpulse verify` and `deskpulse verify --save now.json`, later `--look now.json`"


def verify(
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A worker, http://host:port; repeatable. Else that of the settings."),
    ] = None,
    wait: Annotated[
        str, typer.Option(metavar="DURATION", help="How long to wait until the workers have nothing left to do.")
    ] = "60s",
    save: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Only look at workers and Kafka, and keep the look in FILE.")
    ] = None,
    look: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Compare as of a look that --save kept, not of a new one.")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask neither workers nor Kafka: what ClickHouse holds alone.")
    ] = False,
    since: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="Verify a closed period instead; see `backfill`.")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", metavar="DAY", help="Its last day, or the hour it ends.")] = None,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many differences of each kind to show.")] = 20,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Recompute everything from the raw archive, and name each difference to what the system holds.

    Compares the facts of every ticket, the cells, the SLA events and the workers' gauges, as of a moment at which the
    workers had nothing left to do. Exit code 1 when there is a difference. ClickHouse in a folder is open to one
    process at a time: `--save FILE` while the worker runs, stop it, then `--look FILE`.

    With --from and --to: what lies before the horizon, with the events that came too late. What differs there is for
    `deskpulse backfill`.
    """
    settings = settings_from(config)
    if sum((save is not None, look is not None, offline)) > 1:
        raise CommandError("--save, --look and --offline exclude each other; give one of them", WRONG_USE)
    waited = duration_option(wait)
    if since is not None or until is not None:
        if save is not None or look is not None:
            raise CommandError("--from and --to go without --save and --look", WRONG_USE)
        _closed_period(settings, since, until, url, answer, offline=offline, show=show)
    seen = _look(settings, urls_of(settings, url), waited, look, offline=offline, embedded_is_free=save is None)
    if save is not None:
        seen.save(save)
        document = {"idle": seen.idle, "workers": [worker.url for worker in seen.workers], "told": seen.told}
        emit(document, answer, lambda console: _show_look(console, seen, save))
        raise typer.Exit(0 if seen.idle else 1)
    report = _compare(settings, seen, waited if look is None else 0.0, show)
    emit(report.document(), answer, lambda console: _show(console, report))
    raise typer.Exit(1 if report.total else 0)


def _closed_period(
    settings: Settings,
    since: str | None,
    until: str | None,
    url: list[str] | None,
    answer: Format,
    *,
    offline: bool,
    show: int,
) -> NoReturn:
    """Compare a closed period: what a backfill of it would change."""
    from deskpulse.backfill.files import FromFiles
    from deskpulse.cli.backfill import period_of, run, show_report

    if since is None or until is None:
        raise CommandError("--from and --to belong together", WRONG_USE)
    asked, urls = period_of(since, until), urls_of(settings, url)
    report = run(settings, asked, urls, FromFiles({}, 0, 0), offline=offline, dry_run=True, discard=False, show=show)
    emit(report.document(), answer, lambda console: show_report(console, report, dry_run=True))
    raise typer.Exit(1 if report.differs else 0)


def _look(
    settings: Settings, urls: list[str], wait: float, saved: Path | None, *, offline: bool, embedded_is_free: bool
) -> Look:
    from deskpulse.verify.looks import Look, LookError, load
    from deskpulse.verify.looks import look as look_at

    if saved is not None:
        try:
            return load(saved)
        except LookError as error:
            raise CommandError(str(error), WRONG_USE) from None
    if offline:
        return Look(False, told=["neither workers nor Kafka were asked: gauges are not compared"])
    clock = settings.worker.clock == "event"
    found = look_at(settings.kafka.client(), urls, wait, tell, event_clock=clock, ask=asking(settings))
    if embedded_is_free and settings.clickhouse.path is not None and found.workers:
        raise CommandError(
            f"the worker at {found.workers[0].url} holds the folder of ClickHouse; keep a look at it with "
            "`deskpulse verify --save look.json`, stop it, and compare with `deskpulse verify --look look.json`"
        )
    return found


def _compare(settings: Settings, seen: Look, wait: float, show: int) -> Report:
    from deskpulse.cli.progress import Meters
    from deskpulse.verify.comparison import verify as compare
    from deskpulse.verify.looks import await_sinks
    from sinks.clickhouse import connect, has_database

    target = settings.clickhouse.target()
    if wait and seen.workers and not await_sinks(asking(settings), [worker.url for worker in seen.workers], wait):
        seen.told.append("ClickHouse had not taken everything when it was compared")
    client = connect(target)
    try:
        if not has_database(client, target.database):
            raise CommandError(f"{target} has no database {target.database}; make it with `deskpulse migrate`")
        with Meters() as meters:
            return compare(client, settings, seen, show, meters.show)
    finally:
        client.close()


def _show_look(console: Console, seen: Look, path: Path) -> None:
    for line in seen.told:
        console.print(line, markup=False)
    workers = ", ".join(worker.url for worker in seen.workers) or "no worker"
    console.print(f"{path}: {workers}, {'idle' if seen.idle else 'not idle'}", markup=False)


def _show(console: Console, report: Report) -> None:
    from deskpulse.cli.differences import differences_table

    for line in report.told:
        console.print(line, style="dim", markup=False)
    counts = [f"{number:,} {name.replace('_', ' ')}" for name, number in report.counts.items()]
    console.print(f"Compared: {', '.join(counts)}.", markup=False)
    if not report.total:
        console.print("No difference.", style="bold green")
        return
    console.print(differences_table(report.differences, "expected", "found"))
    by_kind = ", ".join(f"{number:,} in {kind}" for kind, number in report.by_kind.items() if number)
    console.print(f"{report.total:,} difference{'' if report.total == 1 else 's'}: {by_kind}", style="bold red")
