"""What a worker logs: its own doings, one line each, and of its frameworks only what went wrong."""

from __future__ import annotations

import inspect
import logging
import sys
import time
from pathlib import Path
from typing import Final

import faust
import mode

_FRAMEWORKS: Final = tuple(f"{Path(inspect.getfile(package)).parent}/" for package in (faust, mode))

_TOLD_BY_CALLERS: Final = ("clickhouse_connect.", "urllib3.")
"""What they warn of is raised as well, and a server that is away is told once by each attempt, not three times."""


class _Formatter(logging.Formatter):
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    converter = staticmethod(time.gmtime)


def _of_interest(record: logging.LogRecord) -> bool:
    # Faust and mode tell of each of some forty services that it starts and stops, in part under the names of our own
    # modules, whose classes these services are: so the place of the call decides.
    if record.name.startswith(_TOLD_BY_CALLERS):
        return False
    return record.levelno >= logging.WARNING or not record.pathname.startswith(_FRAMEWORKS)


def set_up(level: str) -> None:
    """Log to standard error from ``level`` (a name of ``logging``) on; with ``DEBUG`` also what the frameworks do."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    if level != "DEBUG":
        handler.addFilter(_of_interest)
    logging.basicConfig(level=level, handlers=[handler], force=True)
