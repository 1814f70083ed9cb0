"""``GET /tickets/<id>`` of a worker: the ticket's timeline as a page, or as JSON with ``?format=json``. Read-only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from aiohttp import web
from clickhouse_connect.driver.exceptions import Error

from deskpulse.explain.archive import TooManyEventsError, read_archive
from deskpulse.explain.document import document
from deskpulse.explain.explanation import explained
from deskpulse.explain.page import failure_page, page
from sinks.clickhouse import ClickHouseTarget, UnreachableError, connect
from streams.batch import Told, batch
from streams.config import DomainConfig

MOST_EVENTS: Final = 20_000
"""No more events of one customer are looked at: a worker has other things to do."""


class Tickets:
    """Looks tickets up in the archive, as they are now."""

    def __init__(self, target: ClickHouseTarget, config: DomainConfig) -> None:
        self._target = target
        self.config = config

    def look_up(self, ticket_id: str) -> Told | None:
        """A ticket by its id, None of one that the archive does not know.

        Blocks. Raises ``TooManyEventsError``, and what ``connect`` and a query raise.
        """
        client = connect(self._target)
        try:
            events = read_archive(client, ticket_id, MOST_EVENTS)
        finally:
            client.close()
        return batch(events, int(time.time() * 1000), self.config).get(ticket_id)


def ticket_page(tickets: Tickets) -> Callable[[web.Request], Awaitable[web.Response]]:
    """The handler of ``/tickets/{ticket_id}``.

    One ticket at a time is looked up, in a thread: the event loop has the figures to keep.
    """
    one_at_a_time = asyncio.Lock()

    async def answer(request: web.Request) -> web.Response:
        ticket_id = request.match_info["ticket_id"]
        as_json = request.query.get("format") == "json"

        def refuse(status: int, title: str, text: str) -> web.Response:
            if as_json:
                return web.json_response({"error": text}, status=status)
            return _html(failure_page(title, text), status)

        try:
            async with one_at_a_time:
                told = await asyncio.to_thread(tickets.look_up, ticket_id)
        except TooManyEventsError as error:
            return refuse(503, "Too much to look at", str(error))
        except (UnreachableError, Error, OSError) as error:
            first_line = (str(error).splitlines() or [type(error).__name__])[0]
            return refuse(503, "The archive cannot be asked", first_line)
        if told is None:
            return refuse(404, "No such ticket", f"The archive has no event of ticket {ticket_id}.")
        if as_json:
            body = msgspec.json.encode(document(told))
            return web.Response(body=body, content_type="application/json")
        return _html(page(explained(told, tickets.config)), 200)

    return answer


def _html(text: str, status: int) -> web.Response:
    return web.Response(status=status, text=text, content_type="text/html")
