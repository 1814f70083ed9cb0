"""``python -m bench``: all measurements, or one of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from bench.report import Result, machine
from bench.running import BenchError
from deskpulse.local.errors import LocalStackError

app = typer.Typer(
    name="bench",
    help="Measure deskpulse on a broker of its own. Without a command: everything, which takes some minutes.",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How the figures are told."""

    text = "text"
    json = "json"
    markdown = "markdown"


EventsOption = Annotated[int, typer.Option("--events", min=1000, metavar="N", help="How many events there are.")]
DaysOption = Annotated[list[float], typer.Option("--days", help="Spans in which the tickets come in; repeatable.")]
FormatOption = Annotated[Format, typer.Option("--format", "-f", help="How to tell what was found.")]
SaveOption = Annotated[bool, typer.Option("--save", help="Put the figures into docs/performance.md.")]
HOUR: Final = 1 / 24


def _measure(measurement: Callable[[], Result], answer: Format, save: bool) -> None:
    before = machine()
    result = replace(measurement(), machine=before)
    if save:
        result.save()
    if answer is Format.json:
        print(result.json())
    elif answer is Format.markdown:
        print(result.markdown())
    else:
        result.show()


@app.command()
def throughput(
    events: EventsOption = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, help="How often each program has its turn.")] = 3,
    days: DaysOption = [1.0, HOUR],  # noqa: B006 - typer copies it
    profile: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Profile the last round: .svg, .txt (folded), else speedscope."),
    ] = None,
    answer: FormatOption = Format.text,
    save: SaveOption = False,
) -> None:
    """Events a second of the processor on one core, beside a raw reading loop and stock Faust."""
    from bench.throughput import throughput as measured

    _measure(lambda: measured(events, rounds, days, profile), answer, save)


@app.command()
def memory(
    tickets: Annotated[list[int], typer.Option(help="How many tickets to track; repeatable.")] = [125_000, 250_000],  # noqa: B006
    answer: FormatOption = Format.text,
    save: SaveOption = False,
) -> None:
    """Resident memory of the processor with all tickets tracked."""
    from bench.memory import memory as measured

    _measure(lambda: measured(tickets), answer, save)


@app.command()
def state(
    in_memory: Annotated[int, typer.Option(help="How many tickets in memory.")] = 250_000,
    on_disk: Annotated[int, typer.Option(help="How many tickets on the disk.")] = 1_000_000,
    answer: FormatOption = Format.text,
    save: SaveOption = False,
) -> None:
    """Memory that the state of many tickets takes, in memory and on the disk; takes some minutes."""
    from bench.state import state as measured

    _measure(lambda: measured(in_memory, on_disk), answer, save)


@app.command()
def live(
    rate: Annotated[int, typer.Option(min=1, metavar="N", help="Events a second.")] = 1000,
    seconds: Annotated[int, typer.Option(min=5, metavar="N", help="How long to measure.")] = 60,
    answer: FormatOption = Format.text,
    save: SaveOption = False,
) -> None:
    """How long after its publishing an event is in the figures at /metrics; without and with the sink."""
    from bench.live import live as measured

    _measure(lambda: measured(rate, seconds), answer, save)


@app.command()
def restore(events: EventsOption = 1_000_000, answer: FormatOption = Format.text, save: SaveOption = False) -> None:
    """Records a second of restoring a partition: reading its changelog, rebuilding its figures."""
    from bench.restore import restore as measured

    _measure(lambda: measured(events), answer, save)


@app.command()
def sink(events: EventsOption = 200_000, answer: FormatOption = Format.text, save: SaveOption = False) -> None:
    """Records a second into the ClickHouse inside the process."""
    from bench.sink import sink as measured

    _measure(lambda: measured(events), answer, save)


@app.command()
def sla(
    tickets: Annotated[int, typer.Option(min=1, help="How many tickets there are.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=1, help="Over how long their due times are spread.")] = 60.0,
    answer: FormatOption = Format.text,
    save: SaveOption = False,
) -> None:
    """How long after its due time a breach can be read, on a live worker; none missing, none twice."""
    from bench.sla import sla as measured

    _measure(lambda: measured(tickets, seconds), answer, save)


@app.command()
def week(
    tickets: Annotated[int, typer.Option(min=100, help="How many tickets come in.")] = 100_000,
    days: Annotated[float, typer.Option("--days", help="The span in which they come in.")] = 7.0,
    late: Annotated[float, typer.Option(min=0, max=1, help="Share of the records that come late.")] = 0.02,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share of the records that come twice.")] = 0.02,
    answer: FormatOption = Format.text,
    save: SaveOption = False,
) -> None:
    """A simulated week with service levels and three restarts; then what `deskpulse verify` finds to be wrong."""
    from bench.week import week as measured

    _measure(lambda: measured(tickets, days, late, duplicates), answer, save)


@app.callback(invoke_without_command=True)
def everything(context: typer.Context) -> None:
    """Measure deskpulse on a broker of its own. Without a command: everything, which takes some minutes."""
    if context.invoked_subcommand is None:
        commands: list[Callable[[], None]] = [throughput, memory, live, restore, sink]
        for command in commands:
            context.invoke(command)


def main() -> None:
    """Run, and tell an error of a known kind without its traceback."""
    try:
        app()
    except (BenchError, LocalStackError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
