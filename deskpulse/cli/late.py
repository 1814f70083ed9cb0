"""``deskpulse late``: the events that came after their tickets had left the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deskpulse.cli.common import (
    CommandError,
    ConfigOption,
    Format,
    FormatOption,
    SinceOption,
    UntilOption,
    emit,
    instant_option,
    settings_from,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from deskpulse.backfill.late import Late
    from deskpulse.recompute.archive import Place
    from deskpulse.settings import Settings

app = typer.Typer(
    help="The events that came after their tickets had left the horizon, and what they would have changed.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
_LIST: Final = "Examples: `deskpulse late list --since 2d` and `deskpulse late list --exact --format json`"
_FOREVER: Final = 2**63 - 1


@app.command("list", epilog=_LIST)
def list_late(
    since: SinceOption = None,
    until: UntilOption = None,
    type_: Annotated[str, typer.Option("--type", metavar="TYPE", help="Of this type, like survey.answered.")] = "",
    exact: Annotated[
        bool, typer.Option("--exact", help="Compute from the archive in ClickHouse what they change, hour by hour.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100_000, metavar="N", help="How many of the newest.")] = 100,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """List late events: when their tickets left, how late they are, and which hours and measures they can touch.

    With --exact facts and cells are computed without them and with them, and the hours are named that `deskpulse
    backfill` has to compute anew. Ids of customers and agents are never shown.
    """
    from deskpulse.backfill.late import document, late_records, place_of
    from deskpulse.cli.progress import Meter
    from deskpulse.dlq.letters import letter_of
    from deskpulse.dlq.reading import Reader
    from schemas.events import TYPE_NAMES
    from schemas.outputs import DEAD_LETTERS, LATE

    if type_ and type_ not in TYPE_NAMES:
        raise typer.BadParameter(f"--type is {type_!r}; expected one of {', '.join(TYPE_NAMES)}")
    first = 0 if since is None else instant_option("--since", since, ago=True)
    end = _FOREVER if until is None else instant_option("--until", until, ago=True)
    settings = settings_from(config)
    dead: set[Place] = set()
    with Reader(settings.kafka.client()) as reader, Meter("reading", unit="records") as meter:
        # What is exact needs all of them: those not listed count neither without nor with the others.
        read = reader.records(LATE, 0 if exact else first, lambda done, _: meter.show(done, done))
        found = list(late_records(read))
        if exact:
            dead = {place for one in reader.records(DEAD_LETTERS) if (place := place_of(letter_of(one))) is not None}
    listed = [one for one in found if first <= one.refused_at_ms < end and _is(one, type_)]
    listed = sorted(listed, key=lambda one: one.refused_at_ms)[-limit:]
    told = document(listed, limit)
    if exact:
        told["exact"] = _exact(settings, listed, {one.origin for one in found}, dead)
    emit(told, answer, lambda console: _show(console, told))


def _is(one: Late, type_: str) -> bool:
    return not type_ or one.event.__struct_config__.tag == type_


def _exact(settings: Settings, listed: list[Late], late: set[Place], dead: set[Place]) -> dict[str, Any]:
    from deskpulse.backfill.exact import exact
    from sinks.clickhouse import connect, has_database

    target = settings.clickhouse.target()
    client = connect(target)
    try:
        if not has_database(client, target.database):
            raise CommandError(f"{target} has no database {target.database}; make it with `deskpulse migrate`")
        return exact(client, settings.domain(), listed, late, dead)
    finally:
        client.close()


def _show(console: Console, told: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    by_type = ", ".join(f"{number:,} {name}" for name, number in told["by_type"].items())
    console.print(f"{told['late']:,} late events{': ' if by_type else ''}{by_type}", markup=False)
    if told["records"]:
        table = Table("came", "ticket", "type", "hour", "left", "can touch", box=None, header_style="bold")
        for one in told["records"]:
            table.add_row(
                one["refused_at"], Text(one["ticket"]), one["type"], one["hour"] or "", one["left_at"] or "",
                Text(_touches(one)),
            )  # fmt: skip
        console.print(table)
    if "exact" in told:
        _show_exact(console, told["exact"])


def _touches(one: Mapping[str, Any]) -> str:
    if one["whole_ticket"]:
        return "everything"
    parts = [", ".join(one["measures"]), f"by {', '.join(one['dimensions'])}" if one["dimensions"] else ""]
    return "; ".join(part for part in parts if part) or "no cell"


def _show_exact(console: Console, exact: Mapping[str, Any]) -> None:
    for hour in exact["hours"]:
        for cell in hour["cells"]:
            where = ", ".join(f"{name}={value}" for name, value in cell["dimensions"].items() if value)
            amounts = ", ".join(f"{name} {amount:+,}" for name, amount in cell["measures"].items())
            closed = "" if hour["closed"] else " (not closed yet)"
            console.print(f"{hour['hour']}{closed}  {where}: {amounts}", markup=False)
    done = sum(one["backfilled"] for one in exact["tickets"])
    console.print(f"Facts of {len(exact['tickets']):,} tickets differ; {done:,} were backfilled since.", markup=False)
    if exact["not_archived"]:
        console.print(f"{exact['not_archived']:,} of the events are not in the archive (yet).", markup=False)
    if exact["not_closed"]:
        console.print(f"{exact['not_closed']:,} hours are not closed yet: within the horizon.", markup=False)
    if exact["backfill"]:
        period = f"--from {exact['backfill']['from']} --to {exact['backfill']['to']}"
        console.print(f"deskpulse backfill {period}", style="bold", markup=False)
