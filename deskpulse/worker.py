"""A worker: its applications put together from the settings and run as one process.

A processor keeps the figures and a sink writes them into ClickHouse; by default a worker is both. Each is a Faust
application with a consumer group of its own, so a slow ClickHouse does not hold up the figures.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from mode import Service

from deskpulse import worker_log
from deskpulse.allocator import collect_seldom, give_memory_back, hold_memory
from deskpulse.dlq.before import refused_before
from deskpulse.durations import duration_ms
from deskpulse.explain.route import Tickets
from deskpulse.lives import Lives, Worker
from deskpulse.settings import Settings
from deskpulse.web import options, register
from deskpulse.worker_name import NameTakenError, check_name, wait_for_name
from schemas.events import INPUT_TOPICS
from schemas.outputs import CELLS, FACTS, SLA_EVENTS
from sinks.agent import SinkAgent
from sinks.clickhouse import connect
from sinks.migrations import migrate
from streams.commit import CommitError, TransactionalCommitter
from streams.dead_letters import TooManyDeadLettersError
from streams.deadlines import HEARTBEATS_A_SESSION
from streams.live import Health, LiveFigures
from streams.offsets import READ_TOPICS
from streams.processor import Memory, Processor, ProcessorConfig
from streams.topics import check_topics, ensure_topics
from streams.transport import App, fail

SINK_TOPICS: Final = (FACTS, CELLS, SLA_EVENTS, *INPUT_TOPICS)
_LOG: Final = logging.getLogger(__name__)
_LOOK_SECONDS: Final = 0.2


class _Committing(Service):
    """Starts before its app and stops after it, so that the last revoke can commit."""

    def __init__(self, app: App, committer: TransactionalCommitter) -> None:
        self.app, self.committer = app, committer
        super().__init__()

    async def on_start(self) -> None:
        """Fence an earlier life of this worker."""
        try:
            await self.committer.start()
        except CommitError as error:
            fail(self.app, error)

    async def on_stop(self) -> None:
        """Wait for the last commit."""
        await self.committer.close()


def _group(settings: Settings, role: str) -> str:
    return settings.kafka.group if role == "processor" else f"{settings.kafka.group}-{role}"


def _app(settings: Settings, role: str, **web: Any) -> App:
    worker = settings.worker
    session_ms = duration_ms(worker.session_timeout)
    return App(
        _group(settings, role),
        brokers=settings.kafka.bootstrap,
        client={k: v for k, v in settings.kafka.client().items() if k != "bootstrap.servers"},
        consumer_client={
            "client.id": worker.id,
            "session.timeout.ms": session_ms,
            "heartbeat.interval.ms": max(100, session_ms // HEARTBEATS_A_SESSION),
        },
        web_in_thread=False,
        **web,
    )


def _committer(settings: Settings, role: str) -> TransactionalCommitter:
    return TransactionalCommitter(settings.kafka.client(), f"{settings.kafka.group}-{role}-{settings.worker.id}")


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
            dead_letter_limit=worker.dead_letter_limit,
            dead_letter_window=worker.dead_letter_window,
            state_folder=worker.state_folder,
        ),
        refused_before=partial(refused_before, settings.kafka.client()),
        memory=Memory(hold_memory, give_memory_back),
    )
    app.checkpoint, app.committer = processor, committer

    @app.agent(app.batches(*READ_TOPICS), name="processor")
    async def process(stream: Any) -> None:
        async for batch in stream:
            processor.apply(batch)
            await processor.room()

    _keep_running(app, processor.run)
    return processor


def sink_of(settings: Settings, app: App, committer: TransactionalCommitter) -> SinkAgent:
    """The sink, on its application; ClickHouse need not be there yet."""

    def connected() -> Client:
        client = connect(settings.clickhouse.target())
        try:
            migrate(client, settings.clickhouse.database, settings.clickhouse.retention.kept())
        except BaseException:
            client.close()
            raise
        return client

    sink = SinkAgent(app, committer, connected, settings.clickhouse.database, settings.privacy.pseudonyms())
    app.checkpoint, app.committer = sink, committer

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


async def _check_returned(settings: Settings, role: str, member_id: str) -> None:
    await asyncio.to_thread(check_name, settings.kafka.client(), _group(settings, role), settings.worker.id, member_id)


class Apps:
    """What one worker runs, by its roles."""

    def __init__(self, settings: Settings, lives: Lives) -> None:
        self._lives = lives
        self.processor: Processor | None = None
        self.sink: SinkAgent | None = None
        self.apps: list[App] = []
        self.services: list[Service] = []
        worker = settings.worker
        web = {
            "web_bind": worker.web_host,
            "web_host": worker.web_host,
            "web_port": worker.web_port,
            "web_application_options": options(),
        }
        for role in worker.roles:
            app = _app(settings, role, **(web if not self.apps else {"web_enabled": False}))
            committer = _committer(settings, role)
            if role == "processor":
                self.processor = processor_of(settings, app, committer)
            else:
                self.sink = sink_of(settings, app, committer)
            app.check_returned = partial(_check_returned, settings, role)
            self.apps.append(app)
            self.services.append(_Committing(app, committer))
        domain = settings.domain()
        register(
            self.apps[0],
            self.live,
            self.health,
            self.not_ready,
            settings.bands.by_figure(),
            Tickets(settings.clickhouse.target(), domain),
            domain.policies,
            worker.web_token.get_secret_value() if worker.web_token else None,
        )

    def live(self) -> LiveFigures:
        """The figures of the processor; none without one."""
        return self.processor.live() if self.processor else LiveFigures(now_ms=0, totals={}, backlog={}, ages={})

    def health(self) -> Health:
        """Counters and lags of both roles."""
        health = self.processor.health() if self.processor else Health({}, 0, {}, 0, 0, 0, (), {}, 0.0, 0, 0)
        told: dict[str, Any] = {"replacements": self._lives.record.number - 1}
        if self.sink is not None:
            told |= {"dead_letters": self.sink.dead_letters + Counter(health.dead_letters), **self.sink.told()}
        return replace(health, **told)

    def not_ready(self) -> Sequence[str]:
        """Why this worker is not ready.

        Without ClickHouse a processor's figures are as good as with it: whoever looks at them is to be sent here. Of a
        worker that is nothing but a sink, ready means that it has found its tables.
        """
        reasons = [reason for role in (self.processor, self.sink) if role for reason in role.not_ready()]
        if self.sink and not self.processor:
            reasons += self.sink.not_connected()
        return reasons


def run(settings: Settings, log_level: str = "INFO") -> None:
    """Run a worker until it is told to end (SIGTERM, Ctrl-C) or has to; then the process exits.

    A failure that a restored state can get over replaces the process, see ``deskpulse.lives``. Topics that are missing
    are made; topics that are not as they must be raise ``streams.topics.TopicError``, another live worker of this name
    ``deskpulse.worker_name.NameTakenError``.
    """
    worker_log.set_up(log_level)
    lives = Lives.continued()
    lives.begin()
    try:
        _run(settings, lives)
    except Exception as error:
        lives.mend_start(error)
        raise


def _run(settings: Settings, lives: Lives) -> None:
    _LOG.info("starting as %s: %s", settings.worker.id, " and ".join(settings.worker.roles))
    _LOG.info("Kafka at %s, group %s; %s", settings.kafka.bootstrap, settings.kafka.group, settings.clickhouse.target())
    specs = settings.kafka.topics()
    ensure_topics(settings.kafka.client(), specs)
    for problem in check_topics(settings.kafka.client(), specs):
        _LOG.warning("%s", problem)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    hold_memory()
    apps = Apps(settings, lives)
    apps.apps[0].task(_tell_when_ready(apps, lives, f"http://{settings.worker.web_host}:{settings.worker.web_port}/"))
    lives.has(apps.apps)
    groups = [_group(settings, role) for role in settings.worker.roles]
    session_seconds = settings.worker.session_timeout.total_seconds()
    if wait_for_name(settings.kafka.client(), groups, settings.worker.id, session_seconds):
        lives.has_its_name_alone()
    collect_seldom()
    # Quiet: its spinner and its smileys are for a terminal, and this is a log.
    worker = Worker(
        lives,
        apps.apps[0],
        *apps.services,
        *apps.apps[1:],
        loop=loop,
        quiet=True,
        override_logging=False,
        redirect_stdouts=False,
    )
    worker.spinner = None
    try:
        worker.execute_from_commandline()
    except SystemExit:
        for app in apps.apps:
            if isinstance(app.failure, TooManyDeadLettersError | NameTakenError):
                raise SystemExit(app.failure.exit_code) from None
        raise
    finally:
        _LOG.info("ended")


def _tell_when_ready(apps: Apps, lives: Lives, url: str) -> Callable[[], Awaitable[None]]:
    async def tell() -> None:
        # Asked again and again, as the page and /readyz ask it: no single event says that all roles are ready.
        while apps.not_ready():  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        lives.is_ready()
        _LOG.info("ready: %s", url)

    return tell
