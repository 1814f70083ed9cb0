"""A real Prometheus and a real Alertmanager with what is deployed, but for addresses and intervals."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import yaml

from tests.debian import require_binary
from tests.page.worker import free_port
from tests.waiting import wait_until

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = sorted((DEPLOY / "prometheus" / "rules").glob("*.yml"))
START_SECONDS = 20
INTERVAL = "1s"


@dataclass(frozen=True)
class Notification:
    """One alert as the webhook was told of it."""

    receiver: str
    at: datetime
    """When the webhook got it."""
    status: str
    """``firing`` or ``resolved``."""
    labels: dict[str, str]
    annotations: dict[str, str]


@dataclass
class Webhook:
    """Where Alertmanager sends to."""

    url: str
    got: list[Notification] = field(default_factory=list)

    def await_alert(self, status: str, deadline_seconds: float, **labels: str) -> Notification:
        """The first notification of an alert that has these labels."""

        def told() -> Notification | None:
            alike = (one for one in self.got if one.status == status and labels.items() <= one.labels.items())
            return next(alike, None)

        return wait_until(told, deadline_seconds, f"a notification, {status}, of {labels}, after {self.got}")


@contextmanager
def webhook() -> Iterator[Webhook]:
    """A web server that notes what is posted to ``/<receiver>``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.got += [
                Notification(
                    self.path.strip("/"), datetime.now(UTC), alert["status"], alert["labels"], alert["annotations"]
                )
                for alert in body["alerts"]
            ]
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hook = Webhook(f"http://127.0.0.1:{server.server_port}")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield hook
        finally:
            server.shutdown()


@contextmanager
def alertmanager(hook: Webhook, folder: Path) -> Iterator[str]:
    """The address of an Alertmanager whose receivers are the webhook."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "alertmanager" / "alertmanager.yml").read_text())
    for route in (config["route"], *config["route"]["routes"]):
        route["group_interval"] = INTERVAL
        if route["group_wait"] != "0s":
            route["group_wait"] = INTERVAL
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": f"{hook.url}/{receiver['name']}"}]
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        require_binary("prometheus-alertmanager", "prometheus-alertmanager"),
        f"--config.file={path}",
        f"--storage.path={folder / 'alertmanager-data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with _running(command, address, folder / "alertmanager.log"):
        yield address


@contextmanager
def prometheus(worker: str, alertmanager_address: str, folder: Path) -> Iterator[str]:
    """The address of a Prometheus that scrapes the worker at ``host:port`` and evaluates the deployed rules."""
    config: dict[str, Any] = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    config["global"] |= {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL}
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager_address]}]}]
    config["scrape_configs"] = [{"job_name": "deskpulse", "static_configs": [{"targets": [worker]}]}]
    config["rule_files"] = [str(_fast(rules, folder)) for rules in RULES]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    address = f"127.0.0.1:{free_port()}"
    command = [
        require_binary("prometheus", "prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'prometheus-data'}",
        f"--web.listen-address={address}",
    ]
    with _running(command, address, folder / "prometheus.log"):
        yield address


def _fast(rules: Path, folder: Path) -> Path:
    """The same rules, with every interval cut short."""
    told: dict[str, Any] = yaml.safe_load(rules.read_text())
    for group in told["groups"]:
        for timed in (group, *group["rules"]):
            timed |= {name: INTERVAL for name in ("interval", "for", "keep_firing_for") if name in timed}
    path = folder / rules.name
    path.write_text(yaml.safe_dump(told))
    return path


@contextmanager
def _running(command: list[Any], address: str, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                with urlopen(f"http://{address}/-/ready", timeout=5) as answer:
                    return bool(answer.status == 200)
            except (URLError, ConnectionError):
                return False

        wait_until(ready, START_SECONDS, f"{Path(command[0]).name} is ready; see {log}")
        yield
    finally:
        process.terminate()
        process.wait(START_SECONDS)
