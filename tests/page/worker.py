"""A worker's web server, as Faust runs it, over figures that the test sets."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import faust

from deskpulse.explain.route import Tickets
from deskpulse.settings import Settings
from deskpulse.web import IDLE_SECONDS, options, register
from streams.live import Health, LiveFigures
from tests import madeup


@dataclass
class Worker:
    """What the server answers from."""

    port: int
    live: LiveFigures = field(default_factory=madeup.live)
    health: Health = field(default_factory=madeup.health)
    not_ready: tuple[str, ...] = ()
    tickets: Tickets | None = None
    token: str | None = None
    idle_seconds: float = IDLE_SECONDS

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextmanager
def running(worker: Worker) -> Iterator[Worker]:
    """The worker's web server, in a thread, until the block ends."""
    started, ended, failed = threading.Event(), threading.Event(), []

    async def serve() -> None:
        app = faust.App(
            "page",
            broker="memory://",
            web_bind="127.0.0.1",
            web_port=worker.port,
            web_host="127.0.0.1",
            web_application_options=options(worker.idle_seconds),
        )
        register(
            app,
            lambda: worker.live,
            lambda: worker.health,
            lambda: worker.not_ready,
            Settings().bands.by_figure(),
            worker.tickets,
            token=worker.token,
        )
        await app.web.start()
        started.set()
        await asyncio.to_thread(ended.wait)
        await app.web.stop()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            failed.append(error)
            started.set()
            raise

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait(20)
    assert not failed, failed
    try:
        yield worker
    finally:
        ended.set()
        thread.join(20)
