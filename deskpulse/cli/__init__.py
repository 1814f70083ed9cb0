"""The command ``deskpulse``. Each command is a function of a module here, registered in one line below.

Modules of commands import only typer and ``common`` at the top, and what they work with inside their functions: the
command must answer ``--help`` at once.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from deskpulse.cli import (
    backfill,
    clickhouse,
    config,
    demo,
    dlq,
    doctor,
    explain,
    forget,
    generate,
    late,
    publish,
    replay,
    simulate,
    topics,
    verify,
    worker,
)
from deskpulse.cli.common import explained, tell

app = typer.Typer(
    name="deskpulse",
    help="Live figures of a support desk from its event stream: Kafka in, ClickHouse and Prometheus out.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

SET_UP, TRAFFIC, LOOK, PROJECT = "Set up", "Events in", "Look", "For work on deskpulse"

app.command("demo", rich_help_panel=LOOK, epilog=demo.EXAMPLE)(demo.demo)
app.command("worker", rich_help_panel=LOOK, epilog=worker.EXAMPLE)(worker.worker)
app.add_typer(topics.app, name="topics", rich_help_panel=SET_UP)
app.command("migrate", rich_help_panel=SET_UP, epilog=clickhouse.MIGRATE_EXAMPLE)(clickhouse.migrate)
app.command("doctor", rich_help_panel=SET_UP, epilog=doctor.EXAMPLE)(doctor.doctor)
app.command("config", rich_help_panel=SET_UP, epilog=config.EXAMPLE)(config.config)
app.command("publish", rich_help_panel=TRAFFIC, epilog=publish.EXAMPLE)(publish.publish)
app.command("replay", rich_help_panel=TRAFFIC, epilog=replay.EXAMPLE)(replay.replay)
app.add_typer(dlq.app, name="dlq", rich_help_panel=TRAFFIC)
app.command("forget", rich_help_panel=TRAFFIC, epilog=forget.EXAMPLE)(forget.forget)
app.command("simulate", rich_help_panel=TRAFFIC, epilog=simulate.EXAMPLE)(simulate.simulate)
app.command("explain", rich_help_panel=LOOK, epilog=explain.EXAMPLE)(explain.explain)
app.command("sql", rich_help_panel=LOOK, epilog=clickhouse.SQL_EXAMPLE)(clickhouse.sql)
app.command("verify", rich_help_panel=LOOK, epilog=verify.EXAMPLE)(verify.verify)
app.add_typer(late.app, name="late", rich_help_panel=LOOK)
app.command("backfill", rich_help_panel=TRAFFIC, epilog=backfill.EXAMPLE)(backfill.backfill)
app.command("generate", rich_help_panel=PROJECT, epilog=generate.EXAMPLE)(generate.generate)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"deskpulse {version('deskpulse')}")
        raise typer.Exit


@app.callback()
def _deskpulse(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Live figures of a support desk from its event stream: Kafka in, ClickHouse and Prometheus out."""


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit code; an error of a known kind is one clear line, any other a traceback."""
    try:
        app(list(arguments))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except Exception as error:
        told = explained(error)
        if told is None:
            raise
        tell(told[0])
        return told[1]
    return 0


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
