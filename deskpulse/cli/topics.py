"""``deskpulse topics``: make the topics, or check them."""

from __future__ import annotations

from typing import Final

import typer

from deskpulse.cli.common import ConfigOption, Format, FormatOption, emit, settings_from

app = typer.Typer(help="Make the topics on Kafka, or check them.", no_args_is_help=True, rich_markup_mode="markdown")

_CREATE: Final = "Example: `deskpulse topics create`"
_CHECK: Final = "Example: `deskpulse topics check --format json`"


@app.command("create", epilog=_CREATE)
def create(config: ConfigOption = None, answer: FormatOption = Format.text) -> None:
    """Make the topics that are missing: inputs, outputs and the changelog. What exists is left as it is."""
    from streams.topics import check_topics, ensure_topics

    kafka = settings_from(config).kafka
    specs = kafka.topics()
    created = ensure_topics(kafka.client(), specs)
    problems = check_topics(kafka.client(), specs)
    there = [spec.name for spec in specs if spec.name not in created]
    document = {"created": created, "there": there, "problems": problems}
    lines = [f"made {name} with {kafka.partitions} partitions" for name in created] + [
        f"{name} exists" for name in there
    ]
    emit(document, answer, lambda console: console.print("\n".join(lines + problems), markup=False))
    raise typer.Exit(1 if problems else 0)


@app.command("check", epilog=_CHECK)
def check(config: ConfigOption = None, answer: FormatOption = Format.text) -> None:
    """Check that the topics exist, with equal numbers of partitions and the right configuration; exit code 1 if not."""
    from streams.topics import check_topics

    kafka = settings_from(config).kafka
    specs = kafka.topics()
    problems = check_topics(kafka.client(), specs)
    told = problems or [f"{len(specs)} topics are as they should be"]
    emit({"ok": not problems, "problems": problems}, answer, lambda c: c.print("\n".join(told), markup=False))
    raise typer.Exit(1 if problems else 0)
