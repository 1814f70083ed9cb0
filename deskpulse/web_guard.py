"""Who may ask a worker's web server, and what: the checks before every answer, the headers on every answer.

Everything is read-only. With a token (``worker.web_token``) all that tells anything needs ``Authorization: Bearer``;
without one, a worker that listens on loopback answers only to names of loopback, so that no page of the internet can
have its own name point here and read the figures with the browser of somebody on this machine (DNS rebinding).
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection
from typing import Final, TypeAlias

from aiohttp import web
from aiohttp.typedefs import Middleware
from yarl import URL

from deskpulse.exposure import is_loopback

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="deskpulse"'}
_REFUSED: Final = "this worker asks for its token (worker.web_token): send the header `Authorization: Bearer …`\n"
_NOT_HERE: Final = (
    "this worker listens on this machine alone and answers to its address or localhost, not to {name!r}. To reach it "
    "by that name, set worker.web_token, or let the proxy that forwards the request send the address as Host\n"
)
_SIGN_IN: Final = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>deskpulse</title>
  <link rel="icon" href="{top}icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="{top}page.css">
  <script type="module" src="{top}open.js"></script>
</head>
<body><noscript>This worker asks for its token, and the page that sends it needs JavaScript.</noscript></body>
</html>
"""


def guard(app: web.Application, *, bound_to: str, token: str | None, open_to_all: Collection[str]) -> None:
    """Put the checks and the headers on ``app``, before it starts.

    ``bound_to``: the address it listens on. ``open_to_all``: the routes that need no ``token``; every other one does,
    and so does what is no route at all.
    """
    app.middlewares.append(_checks(bound_to, token, frozenset(open_to_all)))
    app.on_response_prepare.append(_protect)


def _checks(bound_to: str, token: str | None, open_to_all: frozenset[str]) -> Middleware:
    only_here = token is None and is_loopback(bound_to)
    expected = None if token is None else token.encode()

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            text = f"{request.method} is not allowed: nothing can be changed here; expected GET or HEAD\n"
            return web.Response(status=405, text=text, headers={"Allow": "GET, HEAD"})
        if only_here and not _names_this_machine(request.host, bound_to):
            return web.Response(status=421, text=_NOT_HERE.format(name=request.host))
        if expected is not None and _route(request) not in open_to_all:
            scheme, _, given = request.headers.get("Authorization", "").partition(" ")
            known = hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected)
            if not known or scheme.lower() != "bearer":
                return _refused(request)
        return await handler(request)

    return checked


def _route(request: web.Request) -> str | None:
    """The route that answers, as it was registered; None of what is none."""
    resource = request.match_info.route.resource
    return None if resource is None else resource.canonical


def _names_this_machine(host_and_port: str, bound_to: str) -> bool:
    try:
        host = URL(f"http://{host_and_port}").host or ""
    except ValueError:
        return False
    return is_loopback(host) or host == bound_to


def _refused(request: web.Request) -> web.Response:
    """For a person who follows a link, a page that asks for the token and then shows what is behind the link."""
    if "text/html" not in request.headers.get("Accept", ""):
        return web.Response(status=401, text=_REFUSED, headers=_CHALLENGE)
    # Relative, as all of the page's links are: a proxy may serve it below a path.
    top = "../" * (request.rel_url.raw_path.count("/") - 1)
    return web.Response(status=401, text=_SIGN_IN.format(top=top), content_type="text/html", headers=_CHALLENGE)


async def _protect(_: web.Request, response: web.StreamResponse) -> None:
    """Whatever is answered, errors included."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    # Which versions run is nobody's business.
    response.headers["Server"] = "deskpulse"
