"""``deskpulse worker``."""

from __future__ import annotations

import gc
from enum import StrEnum
from typing import Annotated, Final

import typer

from deskpulse.cli.common import ConfigOption, settings_from

EXAMPLE: Final = """Examples:

`deskpulse worker --config deskpulse.toml`

`DESKPULSE_WORKER__ROLES=sink DESKPULSE_WORKER__WEB_PORT=6067 deskpulse worker`"""


class LogLevel(StrEnum):
    """What the worker tells about itself."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def worker(
    config: ConfigOption = None,
    log_level: Annotated[LogLevel, typer.Option("--log-level", help="Least severity to log.")] = LogLevel.info,
) -> None:
    """Run a worker: keep the figures, write them into ClickHouse, serve the page and /metrics, until told to end.

    Start as many as there are partitions, each with a `worker.id` and a `worker.web_port` of its own; they share the
    partitions. Missing topics and tables are made. What a restored state gets over (brokers that were away for long, a
    transaction that timed out) the worker gets over by itself: it begins again, as the same process. Exit codes: 0 told
    to end, 1 an error, 2 wrong settings, 3 another live worker has the same `worker.id`, 65 too many dead letters, 70
    not ended in time.
    """
    # What is imported stays. To look through it again and again takes a tenth of the time of the start; when it is done
    # the worker begins to collect.
    gc.disable()
    settings = settings_from(config)
    from deskpulse.worker import run

    run(settings, log_level.name.upper())
