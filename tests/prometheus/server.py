"""A real Prometheus that scrapes workers of the test, with the configuration that is deployed."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from tests.debian import require_binary
from tests.page.worker import Worker, free_port

CONFIG = Path(__file__).parents[2] / "deploy" / "prometheus" / "prometheus.yml"
DEADLINE_SECONDS = 40


@dataclass(frozen=True)
class Prometheus:
    """Where it answers."""

    url: str

    def ask(self, query: str) -> dict[frozenset[tuple[str, str]], float]:
        """The samples of an instant query, by their labels without the metric's name."""
        with urlopen(f"{self.url}/api/v1/query?{urlencode({'query': query})}", timeout=20) as answer:
            found = json.load(answer)["data"]["result"]
        return {
            frozenset((name, value) for name, value in sample["metric"].items() if name != "__name__"): float(
                sample["value"][1]
            )
            for sample in found
        }


@contextmanager
def scraping(workers: Sequence[Worker], folder: Path) -> Iterator[Prometheus]:
    """A Prometheus with its data under ``folder`` that has scraped every worker once."""
    config: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    config["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config["rule_files"] = [str(CONFIG.parent / pattern) for pattern in config["rule_files"]]
    del config["alerting"]
    targets = [worker.url.removeprefix("http://") for worker in workers]
    config["scrape_configs"] = [{"job_name": "deskpulse", "static_configs": [{"targets": targets}]}]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    port = free_port()
    command: list[str | Path] = [
        require_binary("prometheus", "prometheus"),
        f"--config.file={path}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            prometheus = Prometheus(f"http://127.0.0.1:{port}")
            _wait(prometheus, len(workers), process, folder / "log")
            yield prometheus
        finally:
            process.terminate()
            process.wait(20)


def _wait(prometheus: Prometheus, workers: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if sum(prometheus.ask("up").values()) == workers:
                return
        except URLError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"Prometheus did not scrape {workers} workers in time\n{log.read_text()}")
