from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deskpulse.local.errors import LocalStackError
from deskpulse.local.kafka import LocalKafka
from tests import broker_host
from tests.local import records
from tests.local.ends import ended
from tests.waiting import wait_until

PARENT = """
import json, signal, sys
from deskpulse.local.kafka import LocalKafka
with LocalKafka() as broker:
    print(json.dumps([broker.bootstrap, broker.pid, str(broker.data_dir)]), flush=True)
    signal.pause()
"""

RUN = """
import signal, sys
from pathlib import Path
from tests import broker_host
held = broker_host.hold_run(Path(sys.argv[1]))
print(broker_host.shared_broker(Path(sys.argv[1])), flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kafka") / "made by the broker"


@pytest.fixture(scope="module")
def one(folder: Path) -> Iterator[LocalKafka]:
    with LocalKafka(folder) as broker:
        yield broker


@pytest.fixture
def local(one: LocalKafka) -> LocalKafka:
    return one if one.running else one.start()


def test_broker_takes_a_record_and_gives_it_back(local: LocalKafka, unique: str) -> None:
    records.create(local.bootstrap, unique)
    records.publish(local.bootstrap, unique, b"hello")
    assert records.first(local.bootstrap, unique) == b"hello"


def test_two_brokers_at_once_know_nothing_of_each_other_and_one_ends_with_its_killed_parent(
    local: LocalKafka, unique: str
) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        bootstrap, pid, folder = json.loads(parent.stdout.readline())
        records.create(bootstrap, unique)
        assert bootstrap != local.bootstrap
        assert unique in records.topics(bootstrap)
        assert unique not in records.topics(local.bootstrap)
        assert Path(folder).exists()
        parent.kill()
    wait_until(lambda: ended(pid), 20, "the broker of a killed parent has ended")
    wait_until(lambda: not Path(folder).exists(), 20, "its temporary folder is gone")


def test_folder_of_a_running_broker_is_refused_to_a_second(local: LocalKafka, folder: Path) -> None:
    with pytest.raises(LocalStackError, match="in use by another local Kafka broker"):
        LocalKafka(folder).start()
    assert records.topics(local.bootstrap) is not None


def test_broker_that_cannot_start_shows_the_end_of_its_log_and_leaves_nothing() -> None:
    broken = LocalKafka(settings={"num.io.threads": "many"})
    with pytest.raises(LocalStackError, match=r"ended with code 1(.|\n)*num\.io\.threads"):
        broken.start()
    assert broken.data_dir is not None
    assert not broken.data_dir.exists()


def test_broker_of_the_run_is_shared_and_takes_records(broker: str, topic_prefix: str) -> None:
    records.create(broker, topic_prefix + "events")
    records.publish(broker, topic_prefix + "events", b"shared")
    assert records.first(broker, topic_prefix + "events") == b"shared"


@pytest.mark.skipif("DESKPULSE_TEST_BROKER" in os.environ, reason="the run has a broker of its user's")
def test_broker_of_a_run_ends_with_the_killed_run(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", RUN, tmp_path], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        bootstrap = run.stdout.readline().strip()
        assert records.topics(bootstrap) is not None
        run.kill()
    broker_host.await_end(tmp_path)


def test_broker_keeps_its_records_through_a_crash_and_a_later_start(
    local: LocalKafka, folder: Path, unique: str
) -> None:
    records.create(local.bootstrap, unique)
    records.publish(local.bootstrap, unique, b"kept")
    before = local.bootstrap, local.pid
    local.kill()
    local.restart()
    assert local.bootstrap == before[0]
    assert local.pid != before[1]
    assert records.first(local.bootstrap, unique) == b"kept"
    local.stop()
    assert ended(before[1])
    with LocalKafka(folder) as later:
        assert records.first(later.bootstrap, unique) == b"kept"
