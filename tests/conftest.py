"""What tests of every kind share: a real broker, names of one's own on it."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import IO, Any

import hypothesis
import pytest

from tests import broker_host

# Examples are not timed: machines are noisy.
hypothesis.settings.register_profile("deskpulse", deadline=None)
hypothesis.settings.load_profile("deskpulse")

RUN_FOLDER = pytest.StashKey[Path]()
RUN_LOCK = pytest.StashKey[IO[str]]()


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        config.stash[RUN_FOLDER] = Path(config.workerinput["deskpulse_run_folder"])
    else:
        folder = Path(tempfile.mkdtemp(prefix="deskpulse-tests-"))
        config.stash[RUN_FOLDER] = folder
        config.stash[RUN_LOCK] = broker_host.hold_run(folder)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell each process of pytest-xdist where the run's broker is to be found."""
    node.workerinput["deskpulse_run_folder"] = str(node.config.stash[RUN_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    held = config.stash.get(RUN_LOCK, None)
    if held is not None:
        held.close()
        broker_host.await_end(config.stash[RUN_FOLDER])
        shutil.rmtree(config.stash[RUN_FOLDER])


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config) -> str:
    """Address of a real Kafka broker, shared by the whole run: keep to topics and groups named by ``unique``."""
    return os.environ.get("DESKPULSE_TEST_BROKER") or broker_host.shared_broker(pytestconfig.stash[RUN_FOLDER])


@pytest.fixture
def unique(request: pytest.FixtureRequest) -> str:
    """A name that no other test and no other run uses; fit for topics, groups and transactional ids."""
    test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"{test[:40]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def topic_prefix(unique: str) -> str:
    """What the names of the test's topics begin with."""
    return f"{unique}-"
