"""``deskpulse verify``: does everything that the running system holds follow from its raw archive?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

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

    from deskpulse.settings import Settings
    from deskpulse.verify.asking import Asking
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
    show: Annotated[int, typer.Option(min=0, metavar="N", help="How many differences of each kind to show.")] = 20,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Recompute everything from the raw archive, and name each difference to what the system holds.

    Compares the facts of every ticket, the cells, the SLA events and the workers' gauges, as of a moment at which the
    workers had nothing left to do. Exit code 1 when there is a difference. ClickHouse in a folder is open to one
    process at a time: `--save FILE` while the worker runs, stop it, then `--look FILE`.
    """
    settings = settings_from(config)
    if sum((save is not None, look is not None, offline)) > 1:
        raise CommandError("--save, --look and --offline exclude each other; give one of them", WRONG_USE)
    waited = duration_option(wait)
    seen = _look(settings, url or [_own_url(settings)], waited, look, offline=offline, embedded_is_free=save is None)
    if save is not None:
        seen.save(save)
        document = {"idle": seen.idle, "workers": [worker.url for worker in seen.workers], "told": seen.told}
        emit(document, answer, lambda console: _show_look(console, seen, save))
        raise typer.Exit(0 if seen.idle else 1)
    report = _compare(settings, seen, waited if look is None else 0.0, show)
    emit(report.document(), answer, lambda console: _show(console, report))
    raise typer.Exit(1 if report.total else 0)


def _own_url(settings: Settings) -> str:
    host = settings.worker.web_host
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{settings.worker.web_port}"  # noqa: S104


def _asking(settings: Settings) -> Asking:
    from deskpulse.verify.asking import Asking

    token = settings.worker.web_token
    return Asking(None if token is None else token.get_secret_value())


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
    for url in urls:
        if not url.startswith(("http://", "https://")):
            raise CommandError(f"--url {url!r}; expected an address like http://127.0.0.1:6066", WRONG_USE)
    clock = settings.worker.clock == "event"
    there = [url.rstrip("/") for url in urls]
    found = look_at(settings.kafka.client(), there, wait, tell, event_clock=clock, ask=_asking(settings))
    if embedded_is_free and settings.clickhouse.path is not None and found.workers:
        raise CommandError(
            f"the worker at {found.workers[0].url} holds the folder of ClickHouse; keep a look at it with "
            "`deskpulse verify --save look.json`, stop it, and compare with `deskpulse verify --look look.json`"
        )
    return found


def _compare(settings: Settings, seen: Look, wait: float, show: int) -> Report:
    from deskpulse.cli.progress import Meter
    from deskpulse.verify.comparison import verify as compare
    from deskpulse.verify.looks import await_sinks
    from sinks.clickhouse import connect, has_database

    target = settings.clickhouse.target()
    if wait and seen.workers and not await_sinks(_asking(settings), [worker.url for worker in seen.workers], wait):
        seen.told.append("ClickHouse had not taken everything when it was compared")
    client = connect(target)
    meters: dict[str, Meter] = {}

    def progress(doing: str, unit: str, done: int, total: int) -> None:
        if doing not in meters:
            for meter in meters.values():
                meter.__exit__(None, None, None)
            meters[doing] = Meter(doing, total, unit)
            meters[doing].__enter__()
        meters[doing].show(done, done)

    try:
        if not has_database(client, target.database):
            raise CommandError(f"{target} has no database {target.database}; make it with `deskpulse migrate`")
        return compare(client, settings, seen, show, progress)
    finally:
        for meter in meters.values():
            meter.__exit__(None, None, None)
        client.close()


def _show_look(console: Console, seen: Look, path: Path) -> None:
    for line in seen.told:
        console.print(line, markup=False)
    workers = ", ".join(worker.url for worker in seen.workers) or "no worker"
    console.print(f"{path}: {workers}, {'idle' if seen.idle else 'not idle'}", markup=False)


def _show(console: Console, report: Report) -> None:
    from rich.table import Table

    for line in report.told:
        console.print(line, style="dim", markup=False)
    counts = [f"{number:,} {name.replace('_', ' ')}" for name, number in report.counts.items()]
    console.print(f"Compared: {', '.join(counts)}.", markup=False)
    if not report.total:
        console.print("No difference.", style="bold green")
        return
    table = Table("kind", "where", "what", "expected", "found", box=None, header_style="bold", pad_edge=False)
    for one in report.differences:
        table.add_row(one.kind, *(_cell(value) for value in (one.where, one.name, one.expected, one.found)))
    console.print(table)
    by_kind = ", ".join(f"{number:,} in {kind}" for kind, number in report.by_kind.items() if number)
    console.print(f"{report.total:,} difference{'' if report.total == 1 else 's'}: {by_kind}", style="bold red")


def _cell(value: Any) -> str:
    from rich.markup import escape

    return "nothing" if value is None else escape(str(value))
