"""``deskpulse replay``: files of the past, processed to the end on a local stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deskpulse.cli.common import Format, FormatOption, duration_option, emit

EXAMPLE: Final = "Example: `deskpulse replay incidents.jsonl.gz --data /tmp/incidents --format json`"


def replay(
    files: Annotated[list[str], typer.Argument(help="JSONL or JSONL.gz, one event a line; - is standard input.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Where ClickHouse keeps the figures.")],
    horizon: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long a solved ticket is remembered, like 31d: as long as the data."),
    ] = "unlimited",
    answer: FormatOption = Format.text,
) -> None:
    """Process files of the past to the end, on the events' own clock, and print the figures over all tickets.

    Starts a Kafka broker and a worker on this machine and ends them. ClickHouse stays in DIR, with this replay's
    figures and no others: `DESKPULSE_CLICKHOUSE__PATH=DIR/clickhouse deskpulse sql "..."` reads them.
    """
    from deskpulse.cli.progress import Meter
    from deskpulse.replay import replay as run

    if horizon != "unlimited":
        duration_option(horizon)
    meters: dict[str, Meter] = {}

    def progress(doing: str, events: int) -> None:
        if doing not in meters:
            for meter in meters.values():
                meter.__exit__(None, None, None)
            meters[doing] = Meter(doing)
            meters[doing].__enter__()
        meters[doing].show(events)

    try:
        found = run(files, data, horizon, on_progress=progress)
    finally:
        for meter in meters.values():
            meter.__exit__(None, None, None)
    emit(found, answer, lambda console: console.print(_table(found)))


def _table(found: dict[str, Any]) -> Any:
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in found.items():
        if isinstance(value, dict):
            for part, number in value.items():
                table.add_row(f"{name} {part}".replace("_", " "), _shown(number))
        else:
            table.add_row(name.replace("_", " "), _shown(value))
    return table


def _shown(value: Any) -> str:
    return "-" if value is None else f"{value:,}"
