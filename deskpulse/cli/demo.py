"""``deskpulse demo``: all of it on this machine, with a made-up desk or a file."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
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
    from deskpulse.demo import Summary

EXAMPLE: Final = "Examples: `deskpulse demo` and `deskpulse demo --input week.jsonl.gz --data /tmp/week --seconds 60`"


def demo(
    files: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", metavar="FILE", help="JSONL or JSONL.gz of events to show instead; may be given again."
        ),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0, metavar="N", help="End after this, counted from when the page is there.")
    ] = None,
    rate: Annotated[float | None, typer.Option(metavar="N", help="Events a second.  [default: 20]")] = None,
    warm: Annotated[
        float | None,
        typer.Option(
            parser=duration_option,
            metavar="DURATION",
            help="The past that is made up first, like 4h or 0s.  [default: 4h, less at high rates]",
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="The made-up desk to show.  [default: any]")] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep Kafka's and ClickHouse's data there, and go on from them next time."),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, metavar="N", help="Port of the page.  [default: a free one]")
    ] = None,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Show deskpulse on a machine that has nothing: Kafka, a worker, ClickHouse, a made-up desk, the page.

    Runs until Ctrl-C or `--seconds`, then waits until every event is in ClickHouse, ends all that it started and prints
    what came of it. A second Ctrl-C ends at once. A file is shown on its events' own clock, as of its last event. Of
    the settings those of Kafka and ClickHouse do not count: the demo brings its own.
    """
    if files and (rate is not None or warm is not None or seed is not None):
        raise CommandError("--rate, --warm and --seed are of the made-up desk; they do not go with --input", WRONG_USE)
    if rate is not None and rate <= 0:
        raise CommandError(f"--rate {rate:g}: expected more than 0 events a second", WRONG_USE)
    settings_from(config)
    from deskpulse.cli.progress import Meter
    from deskpulse.demo import Demo, run
    from deskpulse.local.errors import LocalStackError

    wanted = Demo(
        files=tuple(files or ()),
        rate=20.0 if rate is None else rate,
        warm_seconds=warm,
        seed=seed,
        data=data,
        web_port=port,
        config=config,
    )
    try:
        with _until_told(seconds) as stopped, ExitStack() as shown:
            meters: list[Meter] = []

            def progress(events: int) -> None:
                if not meters:
                    meters.append(shown.enter_context(Meter("publishing")))
                meters[0].show(events)

            summary = run(wanted, stopped, tell, progress)
    except LocalStackError as error:
        # In full, with the end of a log that may be gone with its folder.
        tell(str(error))
        raise typer.Exit(1) from None
    emit(_document(summary, data), answer, lambda console: console.print(_told(summary), markup=False))
    if summary.missing:
        tell(f"{summary.missing:,} of the published events are not in ClickHouse's archive: a bug of deskpulse")
        raise typer.Exit(1)


@contextmanager
def _until_told(seconds: float | None) -> Iterator[Callable[[], bool]]:
    """A question that is true once SIGINT or SIGTERM came or the time is over, counted from the first question.

    A second signal, and one that comes before the first question, raises KeyboardInterrupt.
    """
    told = threading.Event()
    until: float | None = None

    def stop(*_: object) -> None:
        if told.is_set() or until is None:
            raise KeyboardInterrupt
        told.set()

    def stopped() -> bool:
        nonlocal until
        if until is None:
            until = float("inf") if seconds is None else time.monotonic() + seconds
        return told.is_set() or time.monotonic() >= until

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _document(summary: Summary, data: Path | None) -> dict[str, Any]:
    health, gauges = summary.health, summary.gauges
    return {
        "seconds": round(summary.seconds, 3),
        "data": None if data is None else str(data),
        "events": {
            "published": sum(summary.published.values()),
            "by_topic": summary.published,
            "read": sum(health["events"].values()),
            "duplicates": health["duplicates"],
            "late": health["late"],
            "dead_letters": summary.bad_lines + sum(health["dead_letters"].values()),
            "skipped": health["skipped_types"],
        },
        "clickhouse": summary.rows,
        "gauges": {"samples": gauges.samples, "window": gauges.window, **gauges.values, "backlog": gauges.backlog},
    }


def _told(summary: Summary) -> str:
    health, gauges = summary.health, summary.gauges
    dead = summary.bad_lines + sum(health["dead_letters"].values())
    lines = [
        f"events in {summary.seconds:.0f} s",
        *_aligned(
            {
                "published": f"{sum(summary.published.values()):,}",
                "read": f"{sum(health['events'].values()):,}",
                "known already (duplicates)": f"{health['duplicates']:,}",
                "of tickets long gone (late)": f"{health['late']:,}",
                "dead letters": f"{dead:,}",
            }
        ),
        "rows in ClickHouse",
        *_aligned({table: f"{rows:,}" for table, rows in summary.rows.items()}),
        f"gauges at /metrics ({gauges.samples:,} samples), window {gauges.window}",
        *_aligned(
            {
                "tickets created": _number(gauges.values["created"]),
                "solves": _number(gauges.values["solves"]),
                "first reply, p50": _duration(gauges.values["first_reply_seconds_p50"]),
                "first-contact resolution": _percent(gauges.values["fcr_ratio"]),
                "CSAT": _percent(gauges.values["csat_ratio"]),
                "NPS": _number(gauges.values["nps_score"]),
                "open tickets now": f"{sum(gauges.backlog.values()):,}",
            }
        ),
    ]
    return "\n".join(lines)


def _aligned(values: dict[str, str]) -> list[str]:
    return [f"  {name:<28}{value:>12}" for name, value in values.items()]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return (
        f"{seconds:.0f} s"
        if seconds < 120
        else f"{seconds / 60:.0f} min"
        if seconds < 7200
        else f"{seconds / 3600:.1f} h"
    )
