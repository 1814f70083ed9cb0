"""What the commands share: the options --config and --format, output, and errors that need no traceback."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.settings import Settings

WRONG_USE: Final = 2
"""Exit code for settings and options that are wrong; 1 is for what a command found or could not do."""
_ERROR_CHARACTERS: Final = 400

# A server that is not there is told of once, in the error; the clients would say it again at each attempt.
for _client in ("deskpulse.kafka", "clickhouse_connect"):
    logging.getLogger(_client).addHandler(logging.NullHandler())


class Format(StrEnum):
    """How a command answers."""

    text = "text"
    json = "json"


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="Settings file; else DESKPULSE_CONFIG, else ./deskpulse.toml where it exists.",
    ),
]
FormatOption = Annotated[
    Format,
    typer.Option("--format", "-f", metavar="text|json", help="json: exactly one JSON document on standard output."),
]
SinceOption = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="Came at or after this: RFC 3339 with an offset, or how long ago, like 2h."),
]
UntilOption = Annotated[str | None, typer.Option(metavar="TIME", help="Came before this, written the same way.")]


class CommandError(Exception):
    """A command cannot do what it was asked; the text says why and what to do."""

    def __init__(self, text: str, exit_code: int = 1) -> None:
        super().__init__(text)
        self.exit_code = exit_code


_KAFKA: Final = "Kafka: "
# By module and name, so that an error is known without importing what could raise it.
_KNOWN: Final[tuple[tuple[str, str, str, int], ...]] = (
    ("deskpulse.settings_file", "SettingsError", "", WRONG_USE),
    ("deskpulse.local.errors", "LocalStackError", "", 1),
    ("sources.files", "InputError", "", 1),
    ("sources.publisher", "PublishError", _KAFKA, 1),
    ("streams.topics", "TopicError", _KAFKA, 1),
    ("streams.commit", "CommitError", _KAFKA, 1),
    ("deskpulse.worker_name", "NameTakenError", "", 3),
    ("deskpulse.dlq.reading", "DeadLettersError", "", 1),
    ("streams.history", "UnreadableHistoryError", _KAFKA, 1),
    ("deskpulse.forget.logs", "NotReadError", "", 1),
    ("confluent_kafka", "KafkaException", _KAFKA, 1),
    ("deskpulse.verify.asking", "TokenRefusedError", "", 1),
    ("sinks.clickhouse", "UnreachableError", "", 1),
    ("sinks.clickhouse", "InsertFailedError", "ClickHouse: ", 1),
    ("sinks.migrations", "MigrationRefusedError", "", 1),
    ("clickhouse_connect.driver.exceptions", "Error", "ClickHouse: ", 1),
)


def explained(error: Exception) -> tuple[str, int] | None:
    """What to print of an error of a known kind, and the exit code; None of one that nobody foresaw."""
    if isinstance(error, CommandError):
        return str(error), error.exit_code
    for module, name, origin, code in _KNOWN:
        if module in sys.modules and isinstance(error, getattr(sys.modules[module], name)):
            text = origin + (str(error) if code == WRONG_USE else one_line(str(error)))
            return (_with_advice(text) if origin == _KAFKA else text), code
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}", 1
    return None


def _with_advice(text: str) -> str:
    from deskpulse.kafka_advice import advice_on

    advice = advice_on(text)
    return f"{text}; {advice}" if advice else text


def one_line(text: str) -> str:
    """A text of a server's error on one line, not too long."""
    line = " ".join(text.split())
    return line if len(line) <= _ERROR_CHARACTERS else line[:_ERROR_CHARACTERS] + "…"


def settings_from(config: Path | None) -> Settings:
    """The settings; raises ``SettingsError``, which ends the command with code 2."""
    from deskpulse.settings import load

    return load(config)


def emit(document: Any, answer: Format, show: Callable[[Console], None]) -> None:
    """Print the result of a command once: ``document`` as JSON, or what ``show`` prints for people."""
    if answer is Format.json:
        print(json.dumps(document, ensure_ascii=False, default=str))
        return
    from rich.console import Console

    show(Console(highlight=False, soft_wrap=not sys.stdout.isatty()))


def tell(text: str) -> None:
    """Say something on standard error."""
    print(text, file=sys.stderr, flush=True)


def duration_option(text: str) -> float:
    """An option like ``90s`` or ``4h``, in seconds."""
    from deskpulse.durations import parse_duration

    try:
        return parse_duration(text).total_seconds()
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: {error}") from None


def instant_option(name: str, written: str, *, ago: bool = False) -> int:
    """An option like ``2026-06-01T10:00:00Z``, in milliseconds since 1970; with ``ago`` also a duration before now."""
    from deskpulse.durations import duration_ms, parse_duration
    from schemas.events import EPOCH, LATEST, at_ms

    with suppress(ValueError):
        at = datetime.fromisoformat(written)
        if at.tzinfo is not None and EPOCH <= at < LATEST:
            return at_ms(at)
    if ago:
        with suppress(ValueError):
            return max(0, time.time_ns() // 1_000_000 - duration_ms(parse_duration(written)))
    raise typer.BadParameter(
        f"{name} is {written!r}; expected RFC 3339 with an offset, like 2026-06-01T10:00:00Z, before {LATEST.year}"
        + (", or how long ago, like 90m" if ago else "")
    )
