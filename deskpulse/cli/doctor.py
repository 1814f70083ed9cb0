"""``deskpulse doctor``: does everything that deskpulse needs work, and what to do where it does not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import typer

from deskpulse.cli.common import ConfigOption, Format, FormatOption, emit, one_line, settings_from

if TYPE_CHECKING:
    from rich.console import Console

    from deskpulse.settings import ClickHouse, Kafka, Settings

EXAMPLE: Final = "Example: `deskpulse doctor --format json`"
_ANSWER_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    check: str
    status: Literal["ok", "warn", "fail"]
    found: str
    advice: str = ""
    """What to do; empty when all is well."""


def doctor(config: ConfigOption = None, answer: FormatOption = Format.text) -> None:
    """Check versions, settings, Kafka, topics, ClickHouse, the web port, and what is open to others.

    The exit code is 1 when something fails.
    """
    checks = list(_checks(config))
    ok = all(check.status != "fail" for check in checks)
    emit({"ok": ok, "checks": [asdict(check) for check in checks]}, answer, lambda console: _show(console, checks))
    raise typer.Exit(0 if ok else 1)


def _checks(config: Path | None) -> Iterator[Check]:
    from deskpulse.settings_file import SettingsError

    yield _versions()
    try:
        settings = settings_from(config)
    except SettingsError as error:
        for problem in error.problems:
            yield Check("settings", "fail", problem, "set it right; docs/settings.md says what each may be")
        return
    yield Check("settings", "ok", "all values can be used")
    yield from _kafka(settings.kafka)
    yield from _clickhouse(settings.clickhouse)
    yield _web(settings)
    yield from _security(settings)


def _versions() -> Check:
    from importlib.metadata import PackageNotFoundError, version

    told = [f"Python {sys.version.split()[0]}"]
    for package in ("deskpulse", "faust-streaming", "confluent-kafka", "clickhouse-connect", "chdb"):
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            told.append(f"no {package}")
    return Check("versions", "ok", ", ".join(told))


def _kafka(kafka: Kafka) -> Iterator[Check]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    from deskpulse.kafka_advice import advice_on
    from streams.clients import Deadline, Reasons, UnansweredError, client_config
    from streams.clients import metadata as of_brokers
    from streams.topics import TopicError, check_topics

    reasons = Reasons()
    client = kafka.client()
    start = "start it, or set kafka.bootstrap and kafka.security right; `deskpulse demo` brings one of its own"
    try:
        admin = AdminClient(client_config(client, fixed={"error_cb": reasons}))
        metadata = of_brokers(admin, reasons, Deadline(_ANSWER_SECONDS))
    except (UnansweredError, KafkaException) as error:
        yield Check("kafka", "fail", f"{kafka.bootstrap} does not answer: {error}", advice_on(str(error)) or start)
        return
    brokers = len(metadata.brokers)
    yield Check("kafka", "ok", f"{brokers} broker{'' if brokers == 1 else 's'} at {kafka.bootstrap}")
    if kafka.replication > brokers:
        advice = f"set kafka.replication to at most {brokers}"
        yield Check("replication", "fail", f"kafka.replication is {kafka.replication}, with {brokers} brokers", advice)
    specs = kafka.topics()
    missing = [spec.name for spec in specs if spec.name not in metadata.topics]
    if missing:
        yield Check("topics", "fail", f"missing: {', '.join(missing)}", "make them with `deskpulse topics create`")
        return
    try:
        problems = check_topics(client, specs, _ANSWER_SECONDS)
    except TopicError as error:
        problems = [str(error)]
    for problem in problems:
        yield Check("topics", "fail", problem, "change it with Kafka's own tools (kafka-configs, kafka-topics)")
    partitions = len(metadata.topics[specs[0].name].partitions)
    if partitions != kafka.partitions:
        found = f"topics have {partitions} partitions, kafka.partitions is {kafka.partitions}"
        yield Check("topics", "warn", found, f"the topics hold; set kafka.partitions to {partitions}")
    elif not problems:
        yield Check("topics", "ok", f"{len(specs)} topics with {partitions} partitions")


def _clickhouse(clickhouse: ClickHouse) -> Iterator[Check]:
    from clickhouse_connect.driver.exceptions import Error

    from sinks.clickhouse import UnreachableError, connect, has_database
    from sinks.migrations import shipped

    target = clickhouse.target()
    try:
        client = connect(target)
    except UnreachableError as error:
        yield Check("clickhouse", "fail", one_line(str(error)), "start it, or set the values of [clickhouse] right")
        return
    migrate = "bring it up to date with `deskpulse migrate`"
    try:
        yield Check("clickhouse", "ok", f"{target}, version {client.server_version}")
        if not has_database(client, target.database):
            yield Check("tables", "fail", f"no database {target.database}", migrate)
            return
        newest = shipped()[-1].version
        applied = client.query("SELECT max(version) FROM schema_migrations").result_rows[0][0]
        if applied == newest:
            yield Check("tables", "ok", f"database {target.database} is at migration {applied}")
        elif applied < newest:
            yield Check("tables", "fail", f"database {target.database} is at migration {applied} of {newest}", migrate)
        else:
            found = f"database {target.database} is at migration {applied}, this program knows {newest}"
            yield Check("tables", "fail", found, "use the release of deskpulse that made it, or a newer one")
    except Error as error:
        yield Check("tables", "fail", one_line(str(error)), migrate)
    finally:
        client.close()


def _web(settings: Settings) -> Check:
    """Free, or held by a worker; anything else that listens there is in the way."""
    import http.client
    import socket

    host, port = settings.worker.web_host, settings.worker.web_port
    try:
        with socket.create_server((host, port)):
            return Check("web", "ok", f"{host}:{port} is free")
    except OSError as error:
        reason = error.strerror or str(error)
    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/healthz")
        if connection.getresponse().status == http.client.OK:
            return Check("web", "ok", f"a worker answers at {host}:{port}")
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()
    return Check("web", "warn", f"{host}:{port}: {reason}", "a worker could not serve there; set worker.web_port")


def _security(settings: Settings) -> Iterator[Check]:
    from deskpulse.exposure import exposures

    found = exposures(settings)
    for one in found:
        yield Check("security", "warn", one.found, f"{one.advice}; docs/security.md")
    if not found:
        yield Check("security", "ok", "nothing is open beyond this machine without protection")


def _show(console: Console, checks: list[Check]) -> None:
    colours = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for check in checks:
        console.print(f"{check.status:>4}", style=colours[check.status], end="  ")
        console.print(f"{check.check}: {check.found}", markup=False)
        if check.advice:
            console.print(f"      → {check.advice}", markup=False)
