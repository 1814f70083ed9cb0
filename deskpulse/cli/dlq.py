"""``deskpulse dlq``: look at the dead letters, and send them again after a fix."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from deskpulse.cli.common import (
    WRONG_USE,
    CommandError,
    ConfigOption,
    Format,
    FormatOption,
    SinceOption,
    UntilOption,
    emit,
    instant_option,
    settings_from,
    tell,
)

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.dlq.letters import LetterId, Wanted
    from deskpulse.settings import Settings

app = typer.Typer(
    help="Look at the records that were refused, and send them again after a fix.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

_LIST: Final = "Examples: `deskpulse dlq list --since 2d` and `deskpulse dlq list --reason bad_record --format json`"
_SHOW: Final = """Examples:

`deskpulse dlq show 3@17`

`deskpulse dlq show 3@17 3@18 --value > broken.jsonl`"""
_REPLAY: Final = "Examples: `deskpulse dlq replay --reason bad_record --dry-run` and `deskpulse dlq replay 3@17 3@18`"

ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="CODE", help="Refused for this, like bad_record or key_mismatch.")
]
TopicOption = Annotated[
    str, typer.Option("--topic", metavar="TOPIC", help="Read from this topic, like support.messages.")
]


@app.command("list", epilog=_LIST)
def list_letters(
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=0, max=100_000, metavar="N", help="How many of the newest to list.")] = 10,
    all_: Annotated[bool, typer.Option("--all", help="List those, too, that were sent again already.")] = False,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Count the dead letters by reason and origin, and list the newest, each with its PARTITION@OFFSET.

    Nothing of what the records hold is shown, no customer's or agent's id either: the reason is told in words of the
    contract. "Accepted now" is how many a worker would take today, as after a fix: these `deskpulse dlq replay` sends.
    """
    from deskpulse.cli.progress import Meter
    from deskpulse.dlq.listing import document, listing
    from deskpulse.dlq.reading import Reader

    settings = settings_from(config)
    wanted = _wanted(reason, topic, since, until)
    with Reader(settings.kafka.client()) as reader, Meter("reading", unit="letters") as meter:
        replayed = reader.replayed()
        letters = reader.letters(wanted, lambda done, _: meter.show(done, done))
        found = listing(letters, replayed, limit, all_, _latest_ms(settings))
    told = document(found, replayed)
    emit(told, answer, lambda console: _show_listing(console, told))


@app.command("show", epilog=_SHOW)
def show(
    letters: Annotated[
        list[str], typer.Argument(metavar="PARTITION@OFFSET...", help="Which, as `dlq list` names them.")
    ],
    raw: Annotated[bool, typer.Option("--raw", help="Show key, value and headers as they are, unmasked.")] = False,
    value: Annotated[
        bool, typer.Option("--value", help="Write the values alone, as they are, one a line: to be mended.")
    ] = False,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Show dead letters whole: why each was refused, where it came from, and whether it would be accepted today.

    Personal data is masked unless --raw or --value is given: ids of people, fields that deskpulse does not know, and of
    what is no JSON all but its shape.
    """
    from deskpulse.dlq.letters import Wanted
    from deskpulse.dlq.listing import letter_document
    from deskpulse.dlq.reading import Reader

    settings = settings_from(config)
    ids = _ids(letters)
    with Reader(settings.kafka.client()) as reader:
        replayed = reader.replayed()
        found = {letter.id: letter for letter in reader.letters(Wanted(ids=frozenset(ids)))}
    if raw or value:
        tell("unmasked: what follows may hold personal data")
    if value:
        for one in ids:
            held = found[one].value or b""
            sys.stdout.buffer.write(held if held.endswith(b"\n") else held + b"\n")
        sys.stdout.flush()
        return
    latest_ms = _latest_ms(settings)
    told = [letter_document(found[one], replayed, latest_ms, raw) for one in ids]
    emit(told, answer, lambda console: _show_letters(console, told))


@app.command("replay", epilog=_REPLAY)
def replay_letters(
    letters: Annotated[
        list[str] | None, typer.Argument(metavar="[PARTITION@OFFSET...]", help="Only these; else all that are chosen.")
    ] = None,
    reason: ReasonOption = "",
    topic: TopicOption = "",
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=0, metavar="N", help="Send no more than this, oldest first; 0: all.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Send nothing; say what would be sent.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Send those, too, that would be refused again.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Send those, too, that were sent again already.")] = False,
    config: ConfigOption = None,
    answer: FormatOption = Format.text,
) -> None:
    """Send dead letters back to the topics that they came from, as they were: key, value, headers and timestamp.

    Only those that today's code accepts, and each once: what was sent is recorded in the same transaction. What
    ClickHouse had refused goes into its table, with the place that it had. What is still wrong stays; mend it
    (`dlq show --value`) and publish it (`deskpulse publish`). Exit code 1 when a letter that was named was not sent.
    """
    from deskpulse.cli.progress import Meter
    from deskpulse.dlq.replay import Choice, document, rehearse, replay
    from deskpulse.dlq.rows import Rows
    from sinks.clickhouse import ClickHouseSink, connect

    settings = settings_from(config)
    ids = frozenset(_ids(letters or []))
    wanted = _wanted(reason, topic, since, until, ids)
    choice = Choice(wanted, limit, force, again, _latest_ms(settings))
    kafka = settings.kafka

    def open_sink() -> ClickHouseSink:
        target = settings.clickhouse.target()
        client = connect(target)
        opened.callback(client.close)
        return ClickHouseSink(client, target.database, settings.privacy.pseudonyms())

    with ExitStack() as opened, Meter("replaying", unit="letters") as meter:

        def progress(done: int, _: int) -> None:
            meter.show(done, done)

        if dry_run:
            outcome = rehearse(kafka.client(), choice, progress)
        else:
            outcome = replay(kafka.client(), kafka.group, kafka.replication, choice, Rows(open_sink), progress)
        told = document(outcome, meter.seconds, dry_run)
    emit(told, answer, lambda console: console.print(_replayed(told), markup=False))
    if ids and outcome.left:
        raise typer.Exit(1)


def _latest_ms(settings: Settings) -> int | None:
    from deskpulse.durations import duration_ms

    worker = settings.worker
    return None if worker.clock == "event" else time.time_ns() // 1_000_000 + duration_ms(worker.max_future)


def _ids(written: list[str]) -> list[LetterId]:
    from deskpulse.dlq.letters import parse_id

    try:
        return list(dict.fromkeys(parse_id(text) for text in written))
    except ValueError as error:
        raise CommandError(str(error), WRONG_USE) from None


def _wanted(
    reason: str, topic: str, since: str | None, until: str | None, ids: frozenset[LetterId] = frozenset()
) -> Wanted:
    from deskpulse.dlq.letters import Wanted

    times = {
        name: instant_option(f"--{name}", written, ago=True)
        for name, written in (("since", since), ("until", until))
        if written is not None
    }
    return Wanted(reason, topic, times.get("since", 0), times.get("until", 2**63 - 1), ids)


def _show_listing(console: Console, told: Mapping[str, Any]) -> None:
    from rich.table import Table
    from rich.text import Text

    console.print(
        f"{told['letters']:,} dead letters, {told['replayed']:,} of them sent again; of the others "
        f"{told['accepted_now']:,} would be accepted now"
    )
    if told["kinds"]:
        kinds = Table("letters", "sent again", "accepted now", "reason", "origin", "first", "last", box=None)
        for kind in told["kinds"]:
            kinds.add_row(
                f"{kind['letters']:,}",
                f"{kind['replayed']:,}",
                f"{kind['accepted_now']:,}",
                Text(_reason(kind)),
                Text(kind["origin_topic"]),
                kind["first_refused_at"],
                kind["last_refused_at"],
            )
        console.print(kinds)
    if told["newest"]:
        console.print("\nThe newest:")
        newest = Table("letter", "refused", "origin", "bytes", "reason", "sent again", box=None)
        for one in told["newest"]:
            newest.add_row(
                one["letter"],
                one["refused_at"],
                Text(one["origin"]),
                f"{one['bytes']:,}",
                Text(_reason(one)),
                one["replayed_at"] or "",
            )
        console.print(newest)


def _reason(told: Mapping[str, Any]) -> str:
    return f"{told['reason']}: {told['problem']}" if told["problem"] else str(told["reason"])


def _show_letters(console: Console, told: list[dict[str, Any]]) -> None:
    import json

    for one in told:
        today = one["today"]
        value = one["value"]
        lines = {
            "letter": one["letter"] + ("" if one["masked"] else ", not masked"),
            "refused": f"{one['refused_at']}, {one['reason']}: {one['told']}",
            "origin": f"{one['origin']}, recorded {one['recorded_at']}",
            "sent again": one["replayed_at"] or "no",
            "today": f"accepted, by {today['topic']}"
            if today["accepted"]
            else f"refused, {today['reason']}: {today['told']}",
            "key": one["key"] if one["key"] is not None else "none",
            "headers": ", ".join(f"{name}={held}" for name, held in one["headers"]) or "none",
            "value": value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2),
        }
        width = max(map(len, lines)) + 2
        console.print("\n".join(f"{name:{width}}{held}" for name, held in lines.items()), markup=False)
        console.print()


def _replayed(told: Mapping[str, Any]) -> str:
    done = "would be sent" if told["dry_run"] else "sent"
    lines = [f"{told['sent']:,} of {told['letters']:,} dead letters {done} again"]
    lines += [f"  {topic} {number:,}" for topic, number in told["by_topic"].items()]
    lines += [f"  left, {_WHY.get(why, f'would be refused again: {why}')} {n:,}" for why, n in told["left"].items()]
    return "\n".join(lines)


_WHY: Final = {
    "replayed": "sent again already (--again)",
    "no_input": "from no input topic",
    "unknown_type": "of a type that deskpulse does not know",
}
