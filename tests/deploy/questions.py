"""What the dashboards ask, with the choices made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from deskpulse.dashboards import support_desk

CHOICES = {"$window": "1h", "$dimension": "channel", "$__fromTime": "toDateTime(0)", "$__toTime": "now()"}


def targets(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for panel in support_desk()["panels"]:
        for target in panel.get("targets", []):
            if target["datasource"]["uid"] == kind:
                yield panel["title"], target


def chosen(text: str) -> str:
    for variable, value in CHOICES.items():
        text = text.replace(variable, value)
    assert "$" not in text
    return text


PROMQL = [(title, chosen(target["expr"])) for title, target in targets("prometheus")]
SQL = [chosen(target["rawSql"]) for _, target in targets("clickhouse")]
