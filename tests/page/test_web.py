"""The routes of a worker's web server, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.live import ALL, Group
from tests.page.worker import Worker, free_port, running


@pytest.fixture(scope="module")
def served() -> Iterator[Worker]:
    with running(Worker(free_port())) as worker:
        yield worker


def get(worker: Worker, path: str) -> tuple[int, str]:
    try:
        with urlopen(worker.url + path, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_are_the_figures_and_the_process(served: Worker) -> None:
    status, text = get(served, "/metrics")
    samples = {
        (s.name, *sorted(s.labels.items())): s.value for f in text_string_to_metric_families(text) for s in f.samples
    }
    created = served.live.totals["1h"][Group(ALL, "")][0]
    assert status == 200
    assert samples["support_tickets_created", ("dimension", "all"), ("value", ""), ("window", "1h")] == created
    assert samples[("process_resident_memory_bytes",)] > 1_000_000


def test_a_worker_lives_while_it_restores_but_is_not_ready(served: Worker) -> None:
    assert get(served, "/readyz") == (200, "ready\n")
    served.not_ready = ("no partitions assigned",)
    try:
        assert get(served, "/healthz") == (200, "ok\n")
        assert get(served, "/readyz") == (503, "no partitions assigned\n")
        assert json.loads(get(served, "/api/status")[1])["ready"] is False
    finally:
        served.not_ready = ()


def test_the_status_tells_how_much_is_still_to_do(served: Worker) -> None:
    answer = json.loads(get(served, "/api/status")[1])
    assert answer["ready"] is True
    assert answer["reasons"] == []
    assert answer["health"]["input_lag"] == served.health.input_lag
    assert answer["health"]["events"] == served.health.events


def test_an_unknown_window_is_refused_with_those_that_are(served: Worker) -> None:
    status, text = get(served, "/api/live?window=2h")
    assert status == 400
    assert text == "window: there is no '2h'; expected one of 5m, 15m, 1h, 24h, 7d, 30d\n"


def test_a_figure_without_value_is_no_number_in_the_data_either(served: Worker) -> None:
    figures = json.loads(get(served, "/api/live?window=1h")[1])["figures"]
    assert figures["fcr_ratio"] > 0
    assert all(isinstance(value, int | float) for value in figures.values())


def test_the_page_and_all_that_it_loads_come_from_the_worker(served: Worker) -> None:
    status, page = get(served, "/")
    assert status == 200
    assert "//" not in page.replace("<!doctype", "")
    for name in ("page.js", "tiles.js", "charts.js", "format.js", "page.css", "icon.svg"):
        assert get(served, f"/{name}")[0] == 200, name


@pytest.mark.parametrize("path", ["/router", "/table", "/stats/", "/graph", "/page.py", "/nothing"])
def test_there_is_nothing_else(served: Worker, path: str) -> None:
    assert get(served, path)[0] == 404
