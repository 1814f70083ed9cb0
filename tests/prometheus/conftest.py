from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import madeup
from tests.page.worker import Worker, free_port, running
from tests.prometheus.server import Prometheus, scraping

LIVE = [madeup.live(seed=1, per_hour=300, teams=2), madeup.live(seed=2, per_hour=90, teams=2), madeup.empty()]
"""Three workers of one desk; the third owns partitions to which nothing came."""


@pytest.fixture(scope="package")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes the three workers; it takes a tenth of a core, so not longer than it is asked."""
    workers = [Worker(free_port(), live=live) for live in LIVE]
    with (
        running(workers[0]),
        running(workers[1]),
        running(workers[2]),
        scraping(workers, tmp_path_factory.mktemp("prometheus")) as found,
    ):
        yield found
