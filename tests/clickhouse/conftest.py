"""The engines on which the suite runs: always the one inside the process, and a server where Docker answers.

For what goes wrong with a server there is a stand-in (``standing_in``), with the same engine behind HTTP.
"""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from clickhouse_connect.driver.client import Client

from sinks.clickhouse import ClickHouseTarget, UnreachableError, connect
from sinks.migrations import migrate
from tests.clickhouse.stand_in_process import StandInProcess, stand_in

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

SERVER_IMAGE = "clickhouse/clickhouse-server:26.8"


@functools.cache
def docker_is_missing() -> str:
    """Why there is no server to test with; empty where Docker answers."""
    import docker  # type: ignore[import-untyped]

    try:
        docker.from_env().ping()
    except docker.errors.DockerException as error:
        return f"Docker does not answer: {error}"
    return ""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        engines = ["in process"] if docker_is_missing() else ["in process", "over HTTP"]
        metafunc.parametrize("engine", engines, indirect=True, scope="package")


@pytest.fixture(scope="package")
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseTarget]:
    if request.param == "over HTTP":
        with real_server() as (_, target):
            yield target
        return
    target = ClickHouseTarget(path=tmp_path_factory.mktemp("clickhouse"))
    # The engine lives as long as a client of it; opening it anew for every test would cost a second each.
    keeps_the_engine = connect(target)
    yield target
    keeps_the_engine.close()


@pytest.fixture(scope="package")
def standing_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInProcess]:
    """A stand-in for a server; who lets it fail heals it."""
    with stand_in(tmp_path_factory.mktemp("stand-in"), username="deskpulse", password="secret of the test") as it:
        yield it


@contextmanager
def real_server() -> Iterator[tuple[DockerContainer, ClickHouseTarget]]:
    """A server in a container, for where Docker answers."""
    from testcontainers.core.container import DockerContainer

    container = (
        DockerContainer(SERVER_IMAGE)
        .with_env("CLICKHOUSE_USER", "deskpulse")
        .with_env("CLICKHOUSE_PASSWORD", "secret of the test")
        .with_exposed_ports(8123)
    )
    with container:
        target = ClickHouseTarget(
            host=container.get_container_host_ip(),
            port=int(container.get_exposed_port(8123)),
            username="deskpulse",
            password="secret of the test",
        )
        _await(target)
        yield container, target


def _await(target: ClickHouseTarget) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connect(target).close()
            return
        except UnreachableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


_numbers = itertools.count()


@pytest.fixture
def empty(engine: ClickHouseTarget) -> Iterator[tuple[Client, str]]:
    """A client, and the name of a database that does not exist yet."""
    target = replace(engine, database=f"test_{next(_numbers)}")
    client = connect(target)
    yield client, target.database
    client.command(f"DROP DATABASE IF EXISTS {target.database}")
    client.close()


@pytest.fixture
def database(empty: tuple[Client, str]) -> tuple[Client, str]:
    """A client and its migrated database."""
    client, name = empty
    migrate(client, name)
    return client, name
