"""Kafka's jars: named and summed in a lock file, fetched once into the user's cache folder."""

import contextlib
import fcntl
import hashlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tenacity
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from deskpulse.local.errors import LocalStackError

LOCK_PATH = Path(__file__).with_name("kafka-jars.lock")
KAFKA_GROUP_ARTIFACT = "org.apache.kafka:kafka_2.13"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LockedJar:
    """One jar of the lock file: Maven coordinate `group:artifact:version`, SHA-256 in hex, size in bytes."""

    coordinate: str
    sha256: str
    size: int

    @property
    def file_name(self) -> str:
        """Name of the jar in Maven's layout and in the cache."""
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path) -> tuple[LockedJar, ...]:
    """Read the lock file; LocalStackError names the line that is not `group:artifact:version sha256 bytes`."""
    jars = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            coordinate, sha256, size = line.split()
            _group, _artifact, _version = coordinate.split(":")
            jars.append(LockedJar(coordinate, sha256, int(size)))
        except ValueError:
            raise LocalStackError(
                f"{path}:{number}: expected 'group:artifact:version sha256 bytes', got {line!r}"
            ) from None
    return tuple(jars)


def kafka_version(jars: Sequence[LockedJar]) -> str:
    """Return the version of Kafka that the lock holds."""
    prefix = KAFKA_GROUP_ARTIFACT + ":"
    return next(jar.coordinate.removeprefix(prefix) for jar in jars if jar.coordinate.startswith(prefix))


def cache_dir(version: str) -> Path:
    """Return the folder for the jars: `$XDG_CACHE_HOME/deskpulse/kafka-<version>`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "deskpulse" / f"kafka-{version}"


def kafka_jars(lock_path: Path = LOCK_PATH) -> list[Path]:
    """Return the paths of all jars of the broker, each just checked against the lock; fetch those that are not there.

    Safe when several processes ask at once: one fetches, the others wait. A cached jar with another sum is reported
    and fetched anew. Raises LocalStackError when a jar can't be had, saying what to do.
    """
    jars = read_lock(lock_path)
    folder = cache_dir(kafka_version(jars))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _exclusive(folder.with_name(folder.name + ".lock")):
            missing = [jar for jar in jars if not _cached(jar, folder)]
            if missing:
                _fetch_all(missing, folder, kafka_version(jars))
    except OSError as error:
        raise LocalStackError(
            f"can't keep Kafka's jars in {folder}: {error}. Set XDG_CACHE_HOME to a folder that can be written."
        ) from error
    return [folder / jar.file_name for jar in jars]


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def maven_url() -> str:
    """Return the base address of the Maven repository: `DESKPULSE_MAVEN_URL`, or the central one that jgo knows."""
    if url := os.environ.get("DESKPULSE_MAVEN_URL"):
        return url.rstrip("/")
    try:
        from jgo.constants import MAVEN_CENTRAL_URL
    except ImportError as error:
        raise LocalStackError(
            "Kafka's jars are not in the cache and the package jgo that fetches them is not installed. Install the "
            "extra: pip install 'deskpulse[local]'; or use a broker of your own: DESKPULSE_KAFKA__BOOTSTRAP=host:port."
        ) from error
    return str(MAVEN_CENTRAL_URL)


def _cached(jar: LockedJar, folder: Path) -> bool:
    path = folder / jar.file_name
    if not path.exists():
        return False
    if (found := sha256_of(path)) == jar.sha256:
        return True
    _log.warning("%s is damaged (SHA-256 %s, the lock says %s); it is fetched again", path, found, jar.sha256)
    return False


def _fetch_all(jars: Sequence[LockedJar], folder: Path, version: str) -> None:
    url = maven_url()
    total = sum(jar.size for jar in jars)
    _log.info("fetching Apache Kafka %s: %d jars, %.0f MB, into %s", version, len(jars), total / 1e6, folder)
    with _progress(f"Apache Kafka {version}", total) as advance, ThreadPoolExecutor(max_workers=6) as pool:
        futures = [pool.submit(_fetch, jar, folder, url) for jar in jars]
        try:
            for jar, future in zip(jars, futures, strict=True):
                future.result()
                advance(jar.size)
        finally:
            pool.shutdown(cancel_futures=True)
    _log.info("fetched Apache Kafka %s", version)


def _fetch(jar: LockedJar, folder: Path, url: str) -> None:
    """Download one jar beside its place, check it, and move it there in one step."""
    import requests

    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(requests.RequestException),
        stop=tenacity.stop_after_attempt(3),
        wait=tenacity.wait_exponential(multiplier=0.2),
        reraise=True,
    )
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as staging:
        try:
            path = attempts(_download, jar, Path(staging), url)
        # jgo raises RuntimeError when the repository answers that it has no such file.
        except (requests.RequestException, RuntimeError) as error:
            raise LocalStackError(_no_jar(jar, folder, url, error)) from error
        found = sha256_of(path)
        if found != jar.sha256:
            raise LocalStackError(
                f"{jar.coordinate} from {url} has SHA-256 {found}, but the lock file says {jar.sha256}: "
                "it is refused. Is a proxy or the mirror in DESKPULSE_MAVEN_URL handing out something else?"
            )
        path.replace(folder / jar.file_name)


def _download(jar: LockedJar, staging: Path, url: str) -> Path:
    from jgo.maven import MavenContext

    # An attempt that broke off leaves a part of the file, which jgo would take for the whole: each gets its own folder.
    attempt = Path(tempfile.mkdtemp(dir=staging))
    context = MavenContext(repo_cache=attempt, remote_repos={"central": url}, timeout=30)
    return Path(context.create_dependency(jar.coordinate).artifact.resolve())


def _no_jar(jar: LockedJar, folder: Path, url: str, error: Exception) -> str:
    return (
        f"Kafka's jar {jar.coordinate} is not in the cache and can't be fetched from {url}: "
        f"{type(error).__name__}. Either go online once; or set DESKPULSE_MAVEN_URL to a Maven mirror that this "
        f"machine reaches; or copy the folder {folder} from a machine that has it; or use a Kafka broker of your own: "
        "DESKPULSE_KAFKA__BOOTSTRAP=host:port."
    )


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    # Standard output belongs to the command's answer (`--format json`).
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total)
        yield lambda size: progress.advance(task, size)
