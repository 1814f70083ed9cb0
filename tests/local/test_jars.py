from __future__ import annotations

import functools
import hashlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deskpulse.local.errors import LocalStackError
from deskpulse.local.jars import LOCK_PATH, cache_dir, kafka_jars, kafka_version, read_lock
from deskpulse.local.kafka import LocalKafka, free_port

JARS = {"org.apache.kafka:kafka_2.13:9.9.9": b"broker" * 1000, "org.example:other:1.0": b"other" * 1000}

FETCHER = """
import sys
from pathlib import Path
from deskpulse.local.jars import kafka_jars
kafka_jars(Path(sys.argv[1]))
"""


class Maven:
    """A Maven repository on this machine, which notes what is asked of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        for coordinate, content in JARS.items():
            self.path(coordinate).parent.mkdir(parents=True)
            self.path(coordinate).write_bytes(content)

    def path(self, coordinate: str) -> Path:
        group, artifact, version = coordinate.split(":")
        return self.folder / group.replace(".", "/") / artifact / version / f"{artifact}-{version}.jar"

    def jars_asked(self) -> list[str]:
        return sorted(Path(each).name for each in self.asked if each.endswith(".jar"))


@pytest.fixture
def maven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Maven]:
    repository = Maven(tmp_path / "maven")

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            repository.asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing: the tests ask the repository itself."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(repository.folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("DESKPULSE_MAVEN_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield repository
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "jars.lock"
    lines = [f"{name} {hashlib.sha256(content).hexdigest()} {len(content)}\n" for name, content in JARS.items()]
    path.write_text("# a comment\n" + "".join(lines))
    return path


def test_jars_are_fetched_once_and_kept(maven: Maven, lock: Path) -> None:
    first = kafka_jars(lock)
    assert [path.read_bytes() for path in first] == list(JARS.values())
    assert {path.parent for path in first} == {cache_dir("9.9.9")}
    assert kafka_jars(lock) == first
    assert maven.jars_asked() == ["kafka_2.13-9.9.9.jar", "other-1.0.jar"]


def test_damaged_jar_in_the_cache_is_reported_and_fetched_again(
    maven: Maven, lock: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broker, _ = kafka_jars(lock)
    broker.write_bytes(broker.read_bytes()[:-1])
    with caplog.at_level(logging.WARNING):
        kafka_jars(lock)
    assert broker.read_bytes() == JARS["org.apache.kafka:kafka_2.13:9.9.9"]
    assert f"{broker} is damaged" in caplog.text
    assert maven.jars_asked().count("other-1.0.jar") == 1


def test_jar_with_another_sum_than_the_lock_is_refused_and_not_kept(maven: Maven, lock: Path) -> None:
    maven.path("org.example:other:1.0").write_bytes(b"something else")
    with pytest.raises(
        LocalStackError, match=r"org\.example:other:1\.0 .* has SHA-256 .* the lock file says .* refused"
    ):
        kafka_jars(lock)
    kept = {path.name for path in cache_dir("9.9.9").iterdir()}
    assert kept <= {"kafka_2.13-9.9.9.jar"}


def test_jar_that_the_repository_does_not_have_is_named(maven: Maven, lock: Path) -> None:
    maven.path("org.example:other:1.0").unlink()
    with pytest.raises(LocalStackError, match=r"org\.example:other:1\.0 is not in the cache and can't be fetched"):
        kafka_jars(lock)


def test_two_processes_that_need_the_jars_at_once_fetch_them_once(maven: Maven, lock: Path) -> None:
    both = [subprocess.Popen([sys.executable, "-c", FETCHER, lock]) for _ in range(2)]
    assert [each.wait(60) for each in both] == [0, 0]
    assert maven.jars_asked() == ["kafka_2.13-9.9.9.jar", "other-1.0.jar"]


def test_offline_without_jars_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_MAVEN_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(LocalStackError) as told:
        LocalKafka().start()
    version = kafka_version(read_lock(LOCK_PATH))
    for part in ("is not in the cache", "DESKPULSE_MAVEN_URL", "DESKPULSE_KAFKA__BOOTSTRAP", f"kafka-{version}"):
        assert part in str(told.value)


def test_lock_line_that_is_wrong_is_named_with_its_number(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("# head\norg.example:other 12\n")
    with pytest.raises(LocalStackError, match=r"lock:2: expected 'group:artifact:version sha256 bytes'"):
        read_lock(tmp_path / "lock")


def test_cache_that_cannot_be_written_is_named(lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(LocalStackError, match="Set XDG_CACHE_HOME"):
        kafka_jars(lock)
