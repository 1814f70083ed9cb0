"""What the runbooks tell to ask can be asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
import yaml
from clickhouse_connect.driver.client import Client

from sinks.clickhouse import ClickHouseTarget, connect
from sinks.metric_names import sample_names
from sinks.migrations import migrate
from tests.alerts.promql import NOT_OURS, metrics_of, promtool

RUNBOOKS = sorted((Path(__file__).parents[2] / "docs" / "runbooks").glob("*.md"))


def queries(language: str) -> list[tuple[str, str]]:
    """The blocks of a language: page and query."""
    block = re.compile(rf"^ *```{language}\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
    return [(path.stem, dedent(query)) for path in RUNBOOKS for query in block.findall(path.read_text())]


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    client = connect(ClickHouseTarget(path=tmp_path_factory.mktemp("runbooks")))
    migrate(client, "deskpulse")
    client.command("USE deskpulse")
    yield client
    client.close()


@pytest.mark.parametrize(("page", "query"), queries("sql"), ids=lambda text: text.splitlines()[0][:40])
def test_clickhouse_takes_the_sql(clickhouse: Client, page: str, query: str) -> None:
    assert clickhouse.query(f"DESCRIBE ({query})").result_rows, page


def test_prometheus_takes_the_promql_and_has_its_metrics(tmp_path: Path) -> None:
    asked = [query for _, query in queries("promql")]
    rules = [{"record": f"asked_{number}", "expr": query} for number, query in enumerate(asked)]
    path = tmp_path / "asked.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    promtool("check", "rules", path)
    assert {name for query in asked for name in metrics_of(query)} <= sample_names() | NOT_OURS
