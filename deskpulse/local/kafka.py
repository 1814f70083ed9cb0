"""A real Apache Kafka broker on this machine, without Docker: one process, gone with its parent."""

import fcntl
import logging
import os
import random
import shlex
import shutil
import socket
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from deskpulse.local.errors import LocalStackError
from deskpulse.local.jars import kafka_jars
from deskpulse.local.java import find_java
from deskpulse.local.processes import Process

HOST = "127.0.0.1"

# Below the ranges that Linux (32768-) and macOS (49152-) give to outgoing connections, so that the port of a broker
# that is down for a moment is not taken by a client that happens to connect.
_PORTS = range(20000, 32768)
_TEMPORARY = "tmp"

# Bounded and sparing: the broker shares the machine with what is measured or shown. Without the optimising compiler it
# is up in three quarters of the time, and moves 2 million records about as fast for half of the processor time
# (docs/local-stack.md).
_JVM_OPTIONS = ("-Xms128m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

# One node, quick groups, nothing deleted by age: a replay's records are as old as its data.
_SETTINGS: Mapping[str, str | int] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "auto.create.topics.enable": "false",
    "default.replication.factor": 1,
    "min.insync.replicas": 1,
    "log.retention.ms": -1,
    # The default of 128 MiB would be a sixth of the heap.
    "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    "num.network.threads": 2,
    "num.io.threads": 4,
    "offsets.topic.num.partitions": 1,
    "offsets.topic.replication.factor": 1,
    "transaction.state.log.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    # A killed worker's transaction is aborted at its timeout, not up to 10 s later.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500,
    "share.coordinator.state.topic.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.min.isr": 1,
    # After a crash the broker is let in again when its old session has ended: by default 9 s.
    "broker.heartbeat.interval.ms": 500,
    "broker.session.timeout.ms": 3000,
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 1000,
}

_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = [%d] %p %m (%c{1})%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = out
"""

_log = logging.getLogger(__name__)


class LocalKafka:
    """A broker with its controller (KRaft) in one Java process, listening on 127.0.0.1 only.

    `data_dir`: folder for its data, settings and log; kept, and taken up again by a later broker. None: a temporary
    folder, removed at the end. `port`: where clients connect; None chooses a free one. `settings`: additions to
    server.properties. `more_listeners`: a security protocol (SSL, SASL_SSL) to the port where it is spoken, beside
    PLAINTEXT; what it needs stands in `settings`. `scram_users`: names to passwords, by SCRAM-SHA-512. Ends with
    `stop`, with the context, and with this process, even when that is killed.
    """

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        port: int | None = None,
        settings: Mapping[str, str | int] | None = None,
        more_listeners: Mapping[str, int] | None = None,
        scram_users: Mapping[str, str] | None = None,
        start_deadline_seconds: float = 60.0,
    ) -> None:
        self.data_dir = data_dir.absolute() if data_dir else None
        self.port = free_port() if port is None else port
        self._temporary = data_dir is None
        self._controller_port = free_port()
        self._settings = dict(settings or {})
        self._listeners = {"PLAINTEXT": self.port, **(more_listeners or {})}
        self._scram_users = dict(scram_users or {})
        self._start_deadline_seconds = start_deadline_seconds
        self._process: Process | None = None
        self._in_use: IO[str] | None = None

    @property
    def bootstrap(self) -> str:
        """Address for clients, `127.0.0.1:port`."""
        return f"{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the broker; LocalStackError when it was never started."""
        return self._running.pid

    @property
    def running(self) -> bool:
        """Whether the broker's process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """The broker's log, in its data folder."""
        return self._folder / "kafka.log"

    def start(self) -> Self:
        """Start the broker and wait until it answers; LocalStackError carries the end of its log if it does not."""
        if self._process is not None:
            raise LocalStackError(f"the broker at {self.bootstrap} was started already")
        began = time.monotonic()
        java, jars = find_java(), kafka_jars()
        if self._temporary:
            self.data_dir = Path(tempfile.mkdtemp(prefix="deskpulse-kafka-"))
        folder = self._folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._claim(folder)
            # What the broker unpacks it would leave in the system's when it is killed.
            shutil.rmtree(folder / _TEMPORARY, ignore_errors=True)
            (folder / _TEMPORARY).mkdir()
            self._write_configuration(folder)
            remove = [folder] if self._temporary else []
            self._process = Process(self._command(java, jars, folder), log_path=self.log_path, remove=remove)
            self._await_answer()
        except BaseException:
            self.stop()
            raise
        _log.info("Kafka at %s is up after %.1f s, data in %s", self.bootstrap, time.monotonic() - began, folder)
        return self

    def stop(self) -> None:
        """Stop the broker in order and remove its folder if that is temporary. May be called again."""
        if self._process is not None:
            self._process.close()
            self._process = None
        if self._in_use is not None:
            self._in_use.close()
            self._in_use = None

    def kill(self) -> None:
        """End the broker with SIGKILL, as a crash would; the data stay for `restart`."""
        self._running.kill()

    def restart(self) -> None:
        """Start the broker again on its data and port; one that still runs is stopped in order first."""
        if self.running:
            self._running.terminate()
        self._running.start_again()
        self._await_answer()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _running(self) -> Process:
        if self._process is None:
            raise LocalStackError("the broker was not started")
        return self._process

    @property
    def _folder(self) -> Path:
        if self.data_dir is None:
            raise LocalStackError("the broker was not started: it has no folder yet")
        return self.data_dir

    def _claim(self, folder: Path) -> None:
        """Hold the folder: a second broker would write its own ports into the settings of the first."""
        self._in_use = (folder / "in-use").open("w")
        try:
            fcntl.flock(self._in_use, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = f"{folder} is in use by another local Kafka broker; stop that one, or give another folder"
            raise LocalStackError(text) from None

    def _write_configuration(self, folder: Path) -> None:
        for_clients = ",".join(f"{protocol}://{HOST}:{port}" for protocol, port in self._listeners.items())
        protocols = ",".join(f"{protocol}:{protocol}" for protocol in self._listeners)
        settings = {
            **_SETTINGS,
            "listeners": f"{for_clients},CONTROLLER://{HOST}:{self._controller_port}",
            "advertised.listeners": for_clients,
            "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
            "controller.quorum.voters": f"1@{HOST}:{self._controller_port}",
            "log.dirs": folder / "data",
            **self._settings,
        }
        (folder / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (folder / "log4j2.properties").write_text(_LOG4J)

    def _command(self, java: Path, jars: Sequence[Path], folder: Path) -> list[str]:
        """Return the command that formats the storage if it is new and then becomes the broker."""
        options = [*_JVM_OPTIONS, f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}"]
        options += [f"-Djava.io.tmpdir={folder / _TEMPORARY}", "-cp", os.pathsep.join(map(str, jars))]
        properties = str(folder / "server.properties")
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        # With an equals sign: an id that begins with a dash would be taken for an option.
        tool = [str(java), *options, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}"]
        for name, password in self._scram_users.items():
            tool += ["--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]"]
        broker = [str(java), *options, "kafka.Kafka", properties]
        formatted = shlex.quote(str(folder / "data" / "meta.properties"))
        formatting = shlex.join([*tool, "--config", properties])
        # One process with one id, so that no moment of the start is without the supervisor.
        return ["/bin/sh", "-c", f"test -e {formatted} || {formatting} || exit; exec {shlex.join(broker)}"]

    def _await_answer(self) -> None:
        until = time.monotonic() + self._start_deadline_seconds
        # Refused connections are what is waited through here, so nothing is logged of them.
        quick = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "log_level": 0}
        admin = AdminClient({"bootstrap.servers": self.bootstrap, **quick})
        while True:
            try:
                if admin.list_topics(timeout=0.5).brokers:
                    return
            except KafkaException:
                pass
            code = self._running.poll()
            if code is not None or time.monotonic() > until:
                raise LocalStackError(self._failure("does not answer" if code is None else f"ended with code {code}"))

    def _failure(self, what: str) -> str:
        log = self.log_path
        lines = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        return f"the local Kafka broker at {self.bootstrap} {what}. Its log ({log}) ends:\n{lines}"


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that nothing listens on now; LocalStackError when none is found."""
    for port in random.sample(_PORTS, 50):
        with socket.socket() as probe:
            # As the broker does: a port in TIME_WAIT after an earlier broker is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise LocalStackError(f"no free TCP port on {HOST} between {_PORTS.start} and {_PORTS.stop}")
