"""The dashboards are what the code makes, and every question in them has an answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import yaml

from deskpulse.dashboards import generate, support_desk
from sinks.metric_names import sample_names
from tests.deploy.questions import PROMQL, SQL, targets

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "deploy" / "grafana"


def test_the_committed_dashboards_are_the_generated_ones() -> None:
    texts = generate(ROOT)
    assert set((GRAFANA / "dashboards").glob("*.json")) == set(texts), "run: deskpulse generate"
    assert [path for path, text in texts.items() if path.read_text() != text] == [], "run: deskpulse generate"


def test_only_metrics_that_deskpulse_exports_are_asked_for() -> None:
    asked = {name for _, query in PROMQL for name in re.findall(r"\bsupport_\w+", query)}
    assert asked - sample_names() == set()
    assert len(asked) > 20


def test_clickhouse_answers_every_query_and_time_series_have_a_time() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.ask_clickhouse"],
        input=json.dumps(SQL), capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    columns = json.loads(done.stdout)
    for (title, target), found in zip(targets("clickhouse"), columns, strict=True):
        assert ("time" in found) == (target["queryType"] == "timeseries"), title


def test_panels_have_numbers_of_their_own_and_do_not_cover_each_other() -> None:
    panels = support_desk()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    covered = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(covered)) == len(covered)
    assert max(x for x, _ in covered) < 24


def test_the_data_sources_that_the_dashboards_ask_are_provisioned_at_services_of_the_stack() -> None:
    provisioned = yaml.safe_load((GRAFANA / "provisioning" / "datasources" / "deskpulse.yml").read_text())
    sources = {source["uid"]: source["type"] for source in provisioned["datasources"]}
    asked = {
        (target["datasource"]["uid"], target["datasource"]["type"])
        for kind in ("prometheus", "clickhouse")
        for _, target in targets(kind)
    }
    assert asked == set(sources.items())
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert {"prometheus", "clickhouse"} <= set(compose["services"])
    assert sources["clickhouse"] in compose["services"]["grafana"]["environment"]["GF_INSTALL_PLUGINS"]
    dashboards = yaml.safe_load((GRAFANA / "provisioning" / "dashboards" / "deskpulse.yml").read_text())
    path = dashboards["providers"][0]["options"]["path"]
    assert f"./deploy/grafana/dashboards:{path}:ro" in compose["services"]["grafana"]["volumes"]
