"""What a worker serves over HTTP: its metrics, its health, the page and the page's data, explained tickets.

The routes stand on the aiohttp application of Faust's web server, which runs in the worker's event loop: it shares
the loop with the fold, so it reads figures between two batches and needs no lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import faust
import msgspec
from aiohttp import web
from faust.web.base import BlueprintManager
from faust.web.drivers.aiohttp import Web
from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest

from deskpulse.explain.route import Tickets, ticket_page
from deskpulse.page_data import DEFAULT_WINDOW, page_data
from deskpulse.web_guard import Handler, guard
from sinks.benchmarks import Benchmarks
from sinks.prometheus import CONTENT_TYPE, FiguresCollector
from streams.figures import WINDOWS_SECONDS
from streams.live import Health, LiveFigures
from streams.policies import Policies

PAGE: Final = Path(__file__).parent / "page"
TICKET_STYLES: Final = Path(__file__).parent / "explain" / "ticket.css"
SCRIPTS: Final = ("page.js", "tiles.js", "charts.js", "format.js", "token.js", "open.js")
ASSETS: Final = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}": (name, "text/javascript") for name in SCRIPTS},
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEALTH: Final = ("/healthz", "/readyz")
REUSED_SECONDS: Final = 0.5
"""How long one picture is given to all who look at the page: it costs the same for one as for a hundred."""
IDLE_SECONDS: Final = 75.0
"""Longer than any usual time between two scrapes; aiohttp's own is an hour, for which a client that sends nothing would
have its connection, and each that has come and gone its timer."""


def options(idle_seconds: float = IDLE_SECONDS) -> dict[str, Any]:
    """Faust's ``web_application_options``: connections that are idle for so long are closed."""
    return {"handler_args": {"keepalive_timeout": idle_seconds}}


def register(
    app: faust.App,
    live: Callable[[], LiveFigures],
    health: Callable[[], Health],
    not_ready: Callable[[], Sequence[str]],
    benchmarks: Benchmarks,
    tickets: Tickets | None = None,
    policies: Policies | None = None,
    token: str | None = None,
) -> None:
    """Put deskpulse's routes, and none of Faust's own, on the web server of ``app``.

    ``not_ready`` says why the worker is not ready, in words for people; nothing when it is. All three callables run in
    the event loop. ``tickets`` are looked up for ``/tickets/<id>``, which is not there without them. ``policies`` say
    which targets have figures; without them all have. ``token`` is asked for by all that tells anything of the desk:
    the health checks and the page's own files, which are the same everywhere, are open. To be called once, before the
    worker starts, on an app with ``web_in_thread=False`` and ``web_bind`` set (Faust's own default is every interface).
    """
    if not isinstance(app.web, Web):
        raise TypeError(f"web: the app's web server is {type(app.web).__name__}; expected Faust's aiohttp driver")
    # Faust's own pages (tables, router) are of features that deskpulse does not use, and its index is at "/".
    app.web.blueprints = BlueprintManager()
    routes: dict[str, Handler] = {
        "/metrics": _metrics(_collector(live, health, benchmarks, policies)),
        "/healthz": _healthz,
        "/readyz": _readyz(not_ready),
        "/api/live": _live(live, health, not_ready, benchmarks),
        "/api/status": _status(health, not_ready),
        **{path: _asset(PAGE / name, kind) for path, (name, kind) in ASSETS.items()},
    }
    if tickets is not None:
        # Braces are as good as any other character of an id; aiohttp would not let them in.
        routes["/tickets/{ticket_id:[^/]+}"] = ticket_page(tickets)
        routes["/ticket.css"] = _asset(TICKET_STYLES, "text/css")
    for path, handler in routes.items():
        app.web.web_app.router.add_get(path, handler)
    guard(app.web.web_app, bound_to=app.conf.web_bind, token=token, open_to_all={*HEALTH, *ASSETS, "/ticket.css"})


def _collector(
    live: Callable[[], LiveFigures],
    health: Callable[[], Health],
    benchmarks: Benchmarks,
    policies: Policies | None,
) -> FiguresCollector:
    if policies is None:
        return FiguresCollector(live, health, benchmarks)
    return FiguresCollector(live, health, benchmarks, targets=policies.targets, business=policies.business)


def _metrics(figures: FiguresCollector) -> Handler:
    process = CollectorRegistry()
    ProcessCollector(registry=process)
    GCCollector(registry=process)

    async def metrics(_: web.Request) -> web.Response:
        parts = []
        for part in figures.parts():
            parts.append(part)
            await asyncio.sleep(0)
        body = "".join(parts).encode() + generate_latest(process)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE})

    return metrics


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def _readyz(not_ready: Callable[[], Sequence[str]]) -> Handler:
    async def readyz(_: web.Request) -> web.Response:
        reasons = not_ready()
        if reasons:
            return web.Response(status=503, text="".join(f"{reason}\n" for reason in reasons))
        return web.Response(text="ready\n")

    return readyz


def _live(
    live: Callable[[], LiveFigures],
    health: Callable[[], Health],
    not_ready: Callable[[], Sequence[str]],
    benchmarks: Benchmarks,
) -> Handler:
    made: dict[str, tuple[float, bytes]] = {}

    async def answer(request: web.Request) -> web.Response:
        window = request.query.get("window", DEFAULT_WINDOW)
        if window not in WINDOWS_SECONDS:
            expected = ", ".join(WINDOWS_SECONDS)
            return web.Response(status=400, text=f"window: there is no {window!r}; expected one of {expected}\n")
        now = asyncio.get_running_loop().time()
        made_at, body = made.get(window, (float("-inf"), b""))
        if now - made_at > REUSED_SECONDS:
            body = msgspec.json.encode(page_data(live(), health(), not_ready(), benchmarks, window))
            made[window] = now, body
        return _json(body)

    return answer


def _status(health: Callable[[], Health], not_ready: Callable[[], Sequence[str]]) -> Handler:
    async def status(_: web.Request) -> web.Response:
        reasons = list(not_ready())
        # What is counted by several labels is no JSON object; it is at /metrics.
        told = replace(health(), sla_events={})
        return _json(msgspec.json.encode({"ready": not reasons, "reasons": reasons, "health": told}))

    return status


def _asset(path: Path, kind: str) -> Handler:
    body = path.read_bytes()

    async def asset(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "no-cache"})

    return asset


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
