"""Prometheus has an answer to what the dashboards ask."""

from __future__ import annotations

import re

import pytest

from tests.deploy.questions import PROMQL
from tests.prometheus.server import Prometheus


@pytest.mark.parametrize(("title", "query"), PROMQL)
def test_prometheus_answers_every_query(prometheus: Prometheus, title: str, query: str) -> None:
    assert prometheus.ask(query) is not None
    # A rate needs two scrapes; that its counter is there can be seen after one.
    assert prometheus.ask(re.sub(r"(?:rate|increase)\((\w+)\[\w+\]\)", r"\1", query)), title
