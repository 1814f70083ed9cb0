"""Who may ask a worker, and what; the headers on every answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest

from deskpulse.settings import Settings
from deskpulse.web import ASSETS
from tests.page.worker import Worker, free_port, running

TOKEN = "a-token-of-the-tests.0123456789+/="
TELLING = ("/metrics", "/api/live", "/api/status", "/tickets/T1", "/nothing", "/healthz/", "//metrics", "/%6detrics")


class NoTickets:
    """What the route of tickets is there for; nothing is found."""

    config = Settings().domain()

    def look_up(self, ticket_id: str) -> None:
        return None


@pytest.fixture(scope="module")
def guarded() -> Iterator[Worker]:
    with running(Worker(free_port(), token=TOKEN, tickets=NoTickets())) as worker:  # type: ignore[arg-type]
        yield worker


@pytest.fixture(scope="module")
def open_here() -> Iterator[Worker]:
    with running(Worker(free_port(), tickets=NoTickets())) as worker:  # type: ignore[arg-type]
        yield worker


def asked(worker: Worker, path: str, method: str = "GET", **headers: str) -> HTTPResponse:
    connection = HTTPConnection("127.0.0.1", worker.port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        return answer
    finally:
        connection.close()


def test_a_worker_listens_on_loopback_unless_told() -> None:
    assert Settings().worker.web_host == "127.0.0.1"


@pytest.mark.parametrize("path", TELLING)
@pytest.mark.parametrize(
    "given", [None, "", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Basic {TOKEN}", "Bearer \xe9"]
)
def test_nothing_is_told_without_the_token(guarded: Worker, path: str, given: str | None) -> None:
    answer = asked(guarded, path, **({} if given is None else {"Authorization": given}))
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="deskpulse"'
    assert "worker.web_token" in answer.text
    assert TOKEN not in answer.text + str(answer.headers)


def test_with_the_token_all_is_as_without_one(guarded: Worker, open_here: Worker) -> None:
    for path, status in {"/metrics": 200, "/api/live": 200, "/api/status": 200, "/tickets/T1": 404, "/no": 404}.items():
        assert asked(guarded, path, Authorization=f"Bearer {TOKEN}").status == status, path
        assert asked(guarded, path, Authorization=f"bearer {TOKEN}").status == status, path
        assert asked(open_here, path).status == status, path


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/ticket.css", *ASSETS])
def test_what_tells_nothing_of_the_desk_needs_no_token(guarded: Worker, path: str) -> None:
    assert asked(guarded, path).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
@pytest.mark.parametrize("path", ["/", "/api/live", "/tickets/T1", "/nothing"])
def test_nothing_can_be_changed(open_here: Worker, method: str, path: str) -> None:
    answer = asked(open_here, path, method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


def test_a_head_is_a_get_without_its_body(open_here: Worker) -> None:
    answer = asked(open_here, "/metrics", "HEAD")
    assert (answer.status, answer.text) == (200, "")


@pytest.mark.parametrize("path", ["/", "/page.js", "/metrics", "/api/live", "/tickets/T1", "/nothing"])
def test_every_answer_says_how_a_browser_is_to_treat_it(guarded: Worker, open_here: Worker, path: str) -> None:
    for answer in (asked(guarded, path), asked(open_here, path), asked(open_here, path, "POST")):
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == (
            "no-cache" if answer.status == 200 and path in ASSETS else "no-store"
        )
        assert answer.headers["Server"] == "deskpulse"
        assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "127.0.0.1", "desk.localhost"]
)
def test_on_loopback_its_own_names_are_answered(open_here: Worker, host: str) -> None:
    assert asked(open_here, "/api/live", Host=host.format(port=open_here.port)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:6066", "127.0.0.1.evil.example", "10.0.0.1", "[", ""])
def test_a_page_that_has_its_name_point_here_reads_nothing(open_here: Worker, guarded: Worker, host: str) -> None:
    answer = asked(open_here, "/api/live", Host=host)
    assert answer.status == 421
    assert "worker.web_token" in answer.text
    # It has no token, so with one any name will do.
    assert asked(guarded, "/api/live", Host=host).status == 401
    if host.startswith("evil"):
        assert asked(guarded, "/api/live", Host=host, Authorization=f"Bearer {TOKEN}").status == 200


def test_a_browser_gets_a_page_that_asks_for_the_token(guarded: Worker) -> None:
    answer = asked(guarded, "/tickets/T%2F1", Accept="text/html,*/*")
    assert answer.status == 401
    assert 'src="../open.js"' in answer.text
    assert 'src="open.js"' in asked(guarded, "/metrics", Accept="text/html").text


@pytest.mark.parametrize("asks_first", [False, True])
def test_an_idle_connection_is_closed(asks_first: bool) -> None:
    with (
        running(Worker(free_port(), idle_seconds=0.2)) as worker,
        socket.create_connection(("127.0.0.1", worker.port), timeout=20) as connection,
    ):
        if asks_first:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert connection.recv(4096) == b""
