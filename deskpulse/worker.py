"""A worker: its applications put together from the settings and run as one process.

A processor keeps the figures and a sink writes them into ClickHouse; by default a worker is both. Each is a Faust
application with a consumer group of its own, so a slow ClickHouse does not hold up the figures.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final

import faust
from mode import Service

from deskpulse.durations import duration_ms
from deskpulse.settings import Settings
from deskpulse.web import register
from schemas.events import INPUT_TOPICS
from schemas.outputs import CELLS, FACTS, SLA_EVENTS
from sinks.agent import SinkAgent
from sinks.clickhouse import connect
from sinks.migrations import migrate
from streams.commit import TransactionalCommitter
from streams.live import Health, LiveFigures
from streams.processor import Processor, ProcessorConfig
from streams.topics import check_topics, default_specs, ensure_topics
from streams.transport import App, fail

SINK_TOPICS: Final = (FACTS, CELLS, SLA_EVENTS, *INPUT_TOPICS)
_YOUNG_OBJECTS: Final = 50_000
"""State is bytes, which the cyclic collector does not look at; what it does look at rarely is a cycle."""


class _Committing(Service):
    """Starts before its app and stops after it, so that the last revoke can commit."""

    def __init__(self, committer: TransactionalCommitter) -> None:
        self.committer = committer
        super().__init__()

    async def on_start(self) -> None:
        """Fence an earlier life of this worker."""
        await self.committer.start()

    async def on_stop(self) -> None:
        """Wait for the last commit."""
        await self.committer.close()


def _app(settings: Settings, role: str, **web: Any) -> App:
    worker = settings.worker
    session_ms = duration_ms(worker.session_timeout)
    return App(
        settings.kafka.group if role == "processor" else f"{settings.kafka.group}-{role}",
        brokers=settings.kafka.bootstrap,
        client={k: v for k, v in settings.kafka.client().items() if k != "bootstrap.servers"},
        consumer_client={"session.timeout.ms": session_ms, "heartbeat.interval.ms": max(100, session_ms // 5)},
        revoke_seconds=30.0,
        web_in_thread=False,
        **web,
    )


def _committer(settings: Settings, role: str) -> TransactionalCommitter:
    return TransactionalCommitter(
        settings.kafka.client(), f"{settings.kafka.group}-{role}-{settings.worker.id}", transaction_timeout_seconds=10.0
    )


def processor_of(settings: Settings, app: App, committer: TransactionalCommitter) -> Processor:
    """The processor, on its application."""
    worker = settings.worker
    processor = Processor(
        app,
        committer,
        settings.kafka.client(),
        ProcessorConfig(
            domain=settings.domain(),
            event_clock=worker.clock == "event",
            grace_ms=duration_ms(worker.grace),
            max_future_ms=duration_ms(worker.max_future),
            commit_seconds=worker.commit_interval.total_seconds(),
            dimension_limit=worker.dimension_limit,
        ),
    )
    app.checkpoint = processor

    @app.agent(app.batches(*INPUT_TOPICS), name="processor")
    async def process(stream: Any) -> None:
        async for batch in stream:
            processor.apply(batch)

    _keep_running(app, processor.run)
    return processor


def sink_of(settings: Settings, app: App, committer: TransactionalCommitter) -> SinkAgent:
    """The sink, on its application, with its tables in place."""
    client = connect(settings.clickhouse.target())
    migrate(client, settings.clickhouse.database, settings.clickhouse.retention.kept())
    sink = SinkAgent(app, committer, client, settings.clickhouse.database)
    app.checkpoint = sink

    @app.agent(app.batches(*SINK_TOPICS), name="sink")
    async def write(stream: Any) -> None:
        async for batch in stream:
            await sink.take(batch)

    _keep_running(app, sink.run)
    return sink


def _keep_running(app: App, run: Callable[[], Awaitable[None]]) -> None:
    async def until_it_ends() -> None:
        try:
            await run()
        except Exception as error:
            fail(app, error)

    app.task(until_it_ends)


class Apps:
    """What one worker runs, by its roles."""

    def __init__(self, settings: Settings) -> None:
        self.processor: Processor | None = None
        self.sink: SinkAgent | None = None
        self.apps: list[App] = []
        self.services: list[Service] = []
        worker = settings.worker
        web = {
            "web_bind": worker.web_host,
            "web_host": worker.web_host,
            "web_port": worker.web_port,
        }
        for role in worker.roles:
            app = _app(settings, role, **(web if not self.apps else {"web_enabled": False}))
            committer = _committer(settings, role)
            if role == "processor":
                self.processor = processor_of(settings, app, committer)
            else:
                self.sink = sink_of(settings, app, committer)
            self.apps.append(app)
            self.services.append(_Committing(committer))
        register(self.apps[0], self.live, self.health, self.not_ready, settings.bands.by_figure())

    def live(self) -> LiveFigures:
        """The figures of the processor; none without one."""
        return self.processor.live() if self.processor else LiveFigures(now_ms=0, totals={}, backlog={}, ages={})

    def health(self) -> Health:
        """Counters and lags of both roles."""
        sink_lag = self.sink.lag() if self.sink else 0
        if self.processor:
            return self.processor.health(sink_lag)
        return Health({}, 0, {}, 0, 0, 0, (), {}, 0.0, 0, 0, sink_lag)

    def not_ready(self) -> Sequence[str]:
        """Why this worker is not ready."""
        return [reason for role in (self.processor, self.sink) if role for reason in role.not_ready()]


def run(settings: Settings, log_level: str = "INFO", data: Path | None = None) -> None:
    """Run a worker until it is told to end (SIGTERM, Ctrl-C) or has to; then the process exits.

    Topics that are missing are made; topics that are not as they must be raise ``streams.topics.TopicError``.
    """
    specs = default_specs(settings.kafka.partitions, settings.kafka.replication)
    ensure_topics(settings.kafka.client(), specs)
    for problem in check_topics(settings.kafka.client(), specs):
        print(problem)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    apps = Apps(settings)
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 50, 1_000)
    faust.Worker(
        *apps.apps, *apps.services, loop=loop, loglevel=log_level, redirect_stdouts=False
    ).execute_from_commandline()
