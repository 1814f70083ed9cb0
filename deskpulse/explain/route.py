"""``GET /tickets/<id>`` of a worker: the ticket's timeline as a page, or as JSON with ``?format=json``. Read-only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from deskpulse.cli.common import one_line
from deskpulse.explain.document import document
from deskpulse.explain.explanation import explained
from deskpulse.explain.page import page
from deskpulse.explain.tickets import MOST_EVENTS, TooManyEventsError, read_archive
from sinks.clickhouse import ClickHouseTarget, UnreachableError, connect, has_database
from streams.batch import Told, batch
from streams.config import DomainConfig
