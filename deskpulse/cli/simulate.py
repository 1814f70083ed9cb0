"""``deskpulse simulate``: the traffic of a made-up support desk."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
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
    from sources.simulator import Delivery, SimulatorConfig

EXAMPLE: Final = (
    "Examples: `deskpulse simulate --live --rate 50` and "
    "`deskpulse simulate --tickets 125000 --days 7 --seed 7 --late 0.01 --to-file week.jsonl.gz`"
)
_DAY_MS: Final = 86_400_000
_DEFAULT_RATE: Final = 10.0
_WARM_SECONDS: Final = 4 * 3600.0
_WARM_EVENTS: Final = 200_000
"""A warm desk has no more events of the past than this, so that it is warm within seconds."""

_SETTLED_SECONDS: Final = 60.0
"""A live desk has reached its rate after this at the latest."""


def simulate(
    tickets: Annotated[
        int | None,
        typer.Option(min=0, metavar="N", help="How many tickets come in within --days; about 8 events each."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(metavar="N", help="Events a second on average, instead of --tickets.  [default: 10]")
    ] = None,
    days: Annotated[float, typer.Option(metavar="N", help="The span in which tickets come in; not with --live.")] = 1.0,
    start: Annotated[
        datetime | None,
        typer.Option(
            metavar="DATE",
            formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"],
            help="When the span begins, UTC.  [default: so many days before the last midnight]",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="The same seed, start and options give the same bytes.  [default: 1; with --live any]"
        ),
    ] = None,
    late: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of the records that come minutes to hours late.")
    ] = 0,
    duplicates: Annotated[
        float, typer.Option(min=0, max=1, metavar="SHARE", help="Share of the records that come twice.")
    ] = 0,
    rhythm: Annotated[
        bool | None,
        typer.Option("--rhythm/--flat", help="Days and weeks with their rhythm, or even.  [default: even with --live]"),
    ] = None,
    incidents: Annotated[bool, typer.Option(help="With bursts of tickets about one thing.")] = True,
    complete: Annotated[
        bool, typer.Option("--complete", help="With all that happens after the span, until the last ticket is done.")
    ] = False,
    live: Annotated[
        bool, typer.Option("--live", help="At the pace of the clock, from now on, until Ctrl-C or --seconds.")
    ] = False,
    warm: Annotated[
        float | None,
        typer.Option(
            parser=duration_option,
            metavar="DURATION",
            help="With --live: the past that is published first, like 4h or 0s.  [default: 4h, less at high rates]",
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, metavar="N", help="With --live: end after this.")] = None,
    events: Annotated[int | None, typer.Option(min=0, metavar="N", help="End after so many records.")] = None,
    to_file: Annotated[
        str | None,
        typer.Option(
            "--to-file",
            "-o",
            metavar="FILE",
            help="Write lines to a file (.gz: packed; -: standard output), not to Kafka.",
        ),
    ] = None,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Make up the traffic of a support desk: to Kafka or into a file, as fast as possible or live.

    Its days and weeks have a rhythm; tickets come by seven channels, are answered by bots and agents, handed over,
    put off, solved, reopened, surveyed, seldom merged or deleted; incidents bring bursts. Nothing of it is real.
    """
    from itertools import islice

    from sources.simulator import SimulatorConfig
    from sources.simulator import simulate as deliveries

    if live and (tickets is not None or to_file is not None or start is not None):
        raise CommandError("--live goes with --rate, and not with --tickets, --start or --to-file", WRONG_USE)
    if not live and (seconds is not None or warm is not None):
        raise CommandError("--seconds and --warm go with --live", WRONG_USE)
    if tickets is None and rate is None:
        rate = _DEFAULT_RATE
    now_ms = int(time.time() * 1000)
    if live and rate is not None and warm is None:
        warm = min(_WARM_SECONDS, _WARM_EVENTS / max(rate, 0.001))
    try:
        desk = SimulatorConfig(
            start_at_ms=now_ms - int((warm or 0) * 1000) if live else _start_ms(start, days, now_ms),
            seed=(now_ms if live else 1) if seed is None else seed,
            days=None if live else days,
            tickets=tickets,
            events_per_second=rate,
            reached_after_seconds=max(warm or 0, _SETTLED_SECONDS) if live else None,
            late=late,
            duplicates=duplicates,
            rhythm=not live if rhythm is None else rhythm,
            incidents=incidents,
            complete=complete,
        )
    except ValueError as error:
        raise CommandError(str(error), WRONG_USE) from None
    records: Iterator[Delivery] = deliveries(desk)
    if events is not None:
        records = islice(records, events)
    with _until_told(seconds) as stopped:
        sent, took = _send(records, desk, stopped, to_file, live, config)
    document = {
        "events": sum(sent.values()),
        "by_topic": dict(sorted(sent.items())),
        "seed": desk.seed,
        "start_at": datetime.fromtimestamp(desk.start_at_ms / 1000, UTC).isoformat(),
        "seconds": round(took, 3),
        "events_per_second": round(sum(sent.values()) / took) if took > 0 else None,
    }
    # With `-o -` standard output is the events'.
    show = tell if to_file == "-" else None
    if show:
        show(_told(document))
    else:
        emit(document, answer, lambda console: console.print(_told(document), markup=False))


def _send(
    records: Iterator[Delivery], desk: SimulatorConfig, stopped: Any, to_file: str | None, live: bool, config: Any
) -> tuple[Counter[str], float]:
    from deskpulse.cli.progress import Meter
    from sources import traffic
    from sources.publisher import Publisher

    if to_file is not None:
        with Meter("simulating") as meter:
            return traffic.write(
                records, to_file, stopped=stopped, on_progress=lambda n: meter.show(n.total())
            ), meter.seconds
    publisher = Publisher(settings_from(config).kafka.client())
    publisher.connect()
    with Meter("simulating live" if live else "simulating") as meter:
        sent = traffic.publish(
            records, publisher, live=live, stopped=stopped, on_progress=lambda n: meter.show(n.total())
        )
        return sent, meter.seconds


def _start_ms(start: datetime | None, days: float, now_ms: int) -> int:
    if start is not None:
        return int(start.replace(tzinfo=UTC).timestamp() * 1000)
    return now_ms // _DAY_MS * _DAY_MS - int(days * _DAY_MS)


@contextmanager
def _until_told(seconds: float | None) -> Iterator[Any]:
    """A question that is true once SIGINT or SIGTERM came or the time is over: what is on its way still arrives.

    Time begins when it is asked first: until then the brokers may be slow to answer.
    """
    told = False
    until: float | None = None

    def stop(*_: object) -> None:
        nonlocal told
        told = True

    def is_over() -> bool:
        nonlocal until
        if until is None and seconds is not None:
            until = time.monotonic() + seconds
        return told or (until is not None and time.monotonic() >= until)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield is_over
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(document: dict[str, Any]) -> str:
    lines = [f"{document['events']:,} events in {document['seconds']:.1f} s (seed {document['seed']})"]
    return "\n".join(lines + [f"  {topic} {number:,}" for topic, number in document["by_topic"].items()])
