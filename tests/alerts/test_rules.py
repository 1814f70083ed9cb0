"""The alert rules: right by promtool, of metrics that there are, each tested and each with a runbook."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sinks.metric_names import sample_names
from tests.alerts.promql import NOT_OURS, metrics_of, promtool
from tests.alerts.servers import RULES

ROOT = Path(__file__).parents[2]
RUNBOOKS = ROOT / "docs" / "runbooks"
TESTS = sorted(Path(__file__).parent.glob("*.test.yml"))

ALL_RULES: list[dict[str, Any]] = [
    rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]
]
ALERTS: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in ALL_RULES if "alert" in rule}


def test_promtool_finds_nothing_wrong_with_the_rules() -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES)


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.name)
def test_alerts_are_silent_fire_and_are_resolved_when_they_should(path: Path) -> None:
    promtool("test", "rules", path)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_is_tested_before_while_and_after_it_fires(name: str) -> None:
    asked = [
        [bool(one.get("exp_alerts")) for one in test.get("alert_rule_test", []) if one["alertname"] == name]
        for path in TESTS
        for test in yaml.safe_load(path.read_text())["tests"]
    ]
    assert any(fires[0] is False and True in fires and fires[-1] is False for fires in asked if fires)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_grave_it_is_what_is_wrong_and_where_its_runbook_is(name: str) -> None:
    alert = ALERTS[name]
    severities = re.sub(r"{{.*?}}", " ", alert["labels"]["severity"]).split()
    assert severities
    assert set(severities) <= {"page", "warning"}
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["annotations"]["runbook_url"] == f"{{{{ $externalLabels.runbooks }}}}/{name}.md"
    page = (RUNBOOKS / f"{name}.md").read_text()
    assert page.startswith(f"# {name}\n")
    assert re.findall(r"^## (.*)$", page, re.MULTILINE) == ["What it means", "What to look at", "What to do"]


def test_every_runbook_is_of_an_alert_and_listed() -> None:
    pages = sorted(path.name for path in RUNBOOKS.iterdir())
    assert pages == sorted(f"{name}.md" for name in ALERTS)
    listed = re.findall(r"\]\(runbooks/(.+?)\)", (ROOT / "docs" / "alerts.md").read_text())
    assert sorted(listed) == pages
    assert "(alerts.md)" in (ROOT / "docs" / "README.md").read_text()


def test_rules_ask_only_for_what_there_is() -> None:
    recorded = {rule["record"] for rule in ALL_RULES if "record" in rule}
    asked = {name for rule in ALL_RULES for name in metrics_of(rule["expr"])}
    in_texts = {
        name
        for alert in ALERTS.values()
        for text in alert["annotations"].values()
        for name in re.findall(r"\w+:\w+:\w+|support_\w+", text)
    }
    assert asked | in_texts <= recorded | sample_names() | NOT_OURS
    assert recorded <= asked
