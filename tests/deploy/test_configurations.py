"""What Prometheus and Alertmanager are told."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.debian import require_binary

DEPLOY = Path(__file__).parents[2] / "deploy"


def test_prometheus_accepts_its_configuration() -> None:
    promtool = require_binary("promtool", "prometheus")
    done = subprocess.run(
        [promtool, "check", "config", DEPLOY / "prometheus" / "prometheus.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_alertmanager_accepts_its_configuration() -> None:
    amtool = require_binary("amtool", "prometheus-alertmanager")
    done = subprocess.run(
        [amtool, "check-config", DEPLOY / "alertmanager" / "alertmanager.yml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
