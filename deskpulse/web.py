"""What a worker serves over HTTP: its metrics, its health, the page and the page's data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import faust

from sinks.benchmarks import DEFAULT_BENCHMARKS, Benchmarks
from streams.live import Health, LiveFigures


def register(
    app: faust.App,
    live: Callable[[], LiveFigures],
    health: Callable[[], Health],
    not_ready: Callable[[], Sequence[str]],
    benchmarks: Benchmarks = DEFAULT_BENCHMARKS,
) -> None:
    """Put deskpulse's routes, and none of Faust's own, on the web server of ``app``.

    ``not_ready`` says why the worker is not ready, in words for people; nothing when it is. All three callables run in
    the event loop. To be called once, before the worker starts, on an app with ``web_in_thread=False`` and
    ``web_bind`` set (Faust's own default is every interface).
    """
