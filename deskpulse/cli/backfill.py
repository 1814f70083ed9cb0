"""``deskpulse backfill``: compute a closed period anew, late events included, and replace what differs."""

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
    settings_from,
    tell,
)
from deskpulse.cli.looking import asking, urls_of

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.backfill.files import FromFiles
    from deskpulse.backfill.period import Period
    from deskpulse.backfill.run import Report
    from deskpulse.settings import Settings
    from deskpulse.verify.looks import Look

EXAMPLE: Final = "Example: `deskpulse backfill --from 2026-06-01 --to 2026-06-30 --dry-run`, then without `--dry-run`"
_SINKS_SECONDS: Final = 5.0


def backfill(
    since: Annotated[
        str, typer.Option("--from", metavar="DAY", help="First day (UTC), or a whole hour like 2026-06-01T10:00Z.")
    ],
    until: Annotated[
        str, typer.Option("--to", metavar="DAY", help="Last day, included; or a whole hour, which is not.")
    ],
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...", help="JSONL or JSONL.gz with events that the archive lacks; - is standard input."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A worker, http://host:port; repeatable. Else that of the settings."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask neither workers nor Kafka: dead letters are then not known.")
    ] = False,
    discard: Annotated[
        bool, typer.Option("--discard", help="Drop the fresh tables of a backfill that was cut off, and begin again.")
    ] = False,
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many differences of each kind to show.")] = 20,
    show_bad: Annotated[int, typer.Option(min=0, metavar="N", help="Of how many bad lines to say what is wrong.")] = 10,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Compute facts and cells of a closed period anew, and replace what differs while the system runs.

    From the archive in ClickHouse, which also holds the events that came too late, and from FILEs. Closed is what lies
    before the horizon: no worker changes it any more. Repeating it changes nothing more; afterwards `deskpulse verify`
    with the same --from and --to finds no difference. ClickHouse in a folder is open to one process at a time: stop the
    worker for it.
    """
    from deskpulse.backfill.files import FromFiles

    settings = settings_from(config)
    asked = period_of(since, until)
    urls = urls_of(settings, url)
    taken = _from_files(settings, files, show_bad) if files else FromFiles({}, 0, 0)
    report = run(settings, asked, urls, taken, offline=offline, dry_run=dry_run, discard=discard, show=show)
    emit(report.document(), answer, lambda console: show_report(console, report, dry_run=dry_run))


def period_of(since: str, until: str) -> Period:
    """The period of the options --from and --to."""
    from deskpulse.backfill.period import PeriodError, period

    try:
        return period(since, until)
    except PeriodError as error:
        raise CommandError(str(error), WRONG_USE) from None


def _from_files(settings: Settings, names: list[str], show_bad: int) -> FromFiles:
    from deskpulse.backfill.files import read

    told = 0

    def on_bad(name: str, number: int, reason: str) -> None:
        nonlocal told
        told += 1
        if told <= show_bad:
            tell(f"{name}:{number}: {reason}")

    return read(names, settings.domain().pseudonyms, on_bad)


def run(
    settings: Settings,
    asked: Period,
    urls: list[str],
    files: FromFiles,
    *,
    offline: bool,
    dry_run: bool,
    discard: bool,
    show: int,
) -> Report:
    """Do it, with progress on standard error; every error is a clear one."""
    from deskpulse.backfill.chosen import IncompleteError
    from deskpulse.backfill.period import PeriodError
    from deskpulse.backfill.run import PublishInsteadError, backfill, times_of
    from deskpulse.backfill.tables import AtWorkError
    from deskpulse.cli.progress import Meters
    from deskpulse.verify.looks import await_sinks
    from sinks.clickhouse import connect, has_database

    seen = _look(settings, urls, offline=offline)
    workers = [worker.url for worker in seen.workers]
    drained = bool(workers) and await_sinks(asking(settings), workers, _SINKS_SECONDS)
    target = settings.clickhouse.target()
    client = connect(target)
    try:
        if not has_database(client, target.database):
            raise CommandError(f"{target} has no database {target.database}; make it with `deskpulse migrate`")
        times = times_of(client, seen, drained=drained)
        embedded = settings.clickhouse.path is not None
        with Meters() as meters:
            return backfill(
                client, settings, asked, seen, times, files,
                dry_run=dry_run, discard=discard or embedded, shown=show, on_progress=meters.show,
            )  # fmt: skip
    except (PeriodError, IncompleteError, PublishInsteadError, AtWorkError) as error:
        raise CommandError(str(error)) from None
    finally:
        client.close()


def _look(settings: Settings, urls: list[str], *, offline: bool) -> Look:
    from deskpulse.verify.looks import Look, look

    if offline:
        return Look(False, told=["Kafka was not asked: what the workers refused as dead letters is not known"])
    clock = settings.worker.clock == "event"
    found = look(settings.kafka.client(), urls, 0.0, tell, event_clock=clock, ask=asking(settings))
    if settings.clickhouse.path is not None and found.workers:
        raise CommandError(
            f"the worker at {found.workers[0].url} holds the folder of ClickHouse, which is open to one process at a "
            "time; stop it for the backfill: what comes meanwhile waits in Kafka"
        )
    # What else is told there is of gauges, which are not looked at.
    told = [] if found.ends else ["Kafka does not answer: what the workers refused as dead letters is not known"]
    return Look(found.idle, found.workers, found.ends, found.refused, found.late, told)


def show_report(console: Console, report: Report, *, dry_run: bool) -> None:
    """What came of it, for people."""
    from deskpulse.cli.differences import differences_table

    for line in report.told:
        console.print(line, style="dim", markup=False)
    counts = [f"{number:,} {name.replace('_', ' ')}" for name, number in report.counts.items() if number]
    console.print(f"{report.since} to before {report.until}, from {', '.join(counts)}.", markup=False)
    changed = {name: number for name, number in report.changed.items() if number}
    if not changed:
        console.print("Nothing differs.", style="bold green")
        return
    console.print(differences_table(report.examples, "is to be", "was"))
    rows = ", ".join(f"{number:,} rows of {name}" for name, number in changed.items())
    if dry_run:
        console.print(f"Would replace {rows}. Nothing was changed.", style="bold")
    else:
        console.print(f"Replaced {rows}.", style="bold green")
