"""ClickHouse over HTTPS, with users that may no more than docs/security.md gives them; ids that attack it.

The server is a stand-in for its HTTP interface over the real engine, whose rights are real.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from urllib3.exceptions import InsecureRequestWarning

from deskpulse.explain.route import Tickets
from deskpulse.settings import Settings
from schemas.events import TICKETS
from sinks.clickhouse import ClickHouseSink, ClickHouseTarget, UnreachableError, connect
from sinks.migrations import migrate
from tests.cli.conftest import Deskpulse
from tests.clickhouse.records import Record
from tests.clickhouse.stand_in_process import stand_in
from tests.page.worker import Worker, free_port, running
from tests.security.certificates import Authority
from tests.security.written import clickhouse_grants

PASSWORD = "s3cret: of the tests"
HOSTILE = [
    "T'1",
    "' OR 1=1 --",
    "'; DROP TABLE events --",
    "\\' OR ticket_id != \\'",
    "\\",
    "\\\\'",
    "\\N",
    "a\tb\nc\rd",
    "{ticket_id:String}",
    "%s %(ticket_id)s $1 ?",
    "../../etc/passwd",
    "..%2f..%2f",
    "<script>alert(1)</script>",
    "`x` /* */ #",
    "\N{RIGHT-TO-LEFT OVERRIDE}\N{ZERO WIDTH SPACE}\N{PILE OF POO}'",
    "\N{FULLWIDTH APOSTROPHE} OR 1",
    "x" * 511 + "'",
]
KEPT = Settings().clickhouse.retention.kept()
OTHERS = "the ticket of somebody else"


@dataclass(frozen=True)
class Place:
    """Where the server's files are."""

    folder: Path
    ours: Authority
    others: Authority

    @contextmanager
    def serve(self, user: str, *, certificate_needed: bool) -> Iterator[ClickHouseTarget]:
        """The server for ``user`` with the rights that are written for it, until the block ends."""
        grants = "".join(f"<query>{grant}</query>" for grant in clickhouse_grants(user))
        assert grants
        config, rights = self.folder / "config.xml", self.folder / "users.xml"
        config.write_text(f"<clickhouse><users_config>{rights}</users_config></clickhouse>")
        rights.write_text(
            "<clickhouse><profiles><default/></profiles><quotas><default/></quotas><users><default><password/>"
            "<networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>"
            f"<grants>{grants}</grants></default></users></clickhouse>"
        )
        certificate, key = self.ours.issue("127.0.0.1", common_name="clickhouse")
        authority = {"client_authority": self.ours.ca_file} if certificate_needed else {}
        files = {"config": config, "certificate": certificate, "key": key, **authority}
        with stand_in(self.folder / "data", username=user, password=PASSWORD, **files) as process:
            yield process.target(secure=True, ca_file=self.ours.ca_file)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A server's data, migrated by the owner of the database."""
    folder = tmp_path_factory.mktemp("clickhouse")
    made = Place(folder, Authority(folder / "ours"), Authority(folder / "others"))
    with made.serve("deskpulse_owner", certificate_needed=False) as target:
        client = connect(target)
        assert migrate(client, "deskpulse", KEPT)
        refuses(client, "CREATE DATABASE another", "CREATE DATABASE")
        client.close()
        who_is_not_let_in_is_told_why(made, target)
    return made


@pytest.fixture(scope="module")
def worker(place: Place) -> Iterator[ClickHouseTarget]:
    """The server for the worker's user, which asks for a certificate as well; it holds tickets with hostile ids."""
    certificate, key = place.ours.issue("worker.example")
    with place.serve("deskpulse_worker", certificate_needed=True) as target:
        mutual = replace(target, certificate_file=certificate, key_file=key)
        client = connect(mutual)
        records = [
            Record(json.dumps(created(ticket_id)).encode(), ticket_id.encode(), offset)
            for offset, ticket_id in enumerate([OTHERS, *HOSTILE])
        ]
        assert ClickHouseSink(client, "deskpulse").insert(TICKETS, 0, records) == len(records)
        client.close()
        yield mutual


def created(ticket_id: str) -> dict[str, str]:
    at = "2026-11-01T10:00:00Z"
    made = {"channel": "email", "priority": "low", "customer_id": f"customer of {ticket_id}"[:256]}
    return {"id": f"event of {ticket_id}"[:512], "type": "ticket.created", "ticket_id": ticket_id, "at": at, **made}


def refuses(client: object, statement: str, missing: str = "") -> None:
    with pytest.raises(DatabaseError, match=f"Not enough privileges.*{missing}"):
        client.command(statement)  # type: ignore[attr-defined]


def who_is_not_let_in_is_told_why(place: Place, target: ClickHouseTarget) -> None:
    """Told by the error, which says what to check and never the password."""
    wrong = {
        "certificate verify failed": replace(target, ca_file=place.others.ca_file),
        "CERTIFICATE_VERIFY_FAILED": replace(target, ca_file=None),
        "Hostname mismatch": replace(target, host="localhost"),
        "Authentication failed": replace(target, password="not the " + PASSWORD),
        "check address, user, password and `secure`": replace(target, secure=False, ca_file=None),
        "No such file": replace(target, ca_file=Path("/nowhere.pem")),
    }
    for told, refused in wrong.items():
        with pytest.raises(UnreachableError) as error:
            connect(refused)
        assert told in str(error.value)
        assert PASSWORD not in str(error.value) + repr(refused)
    with pytest.warns(InsecureRequestWarning):
        connect(replace(target, ca_file=None, verify=False)).close()


def test_a_worker_needs_no_more_rights_than_are_written_down(worker: ClickHouseTarget) -> None:
    client = connect(worker)
    assert migrate(client, "deskpulse", KEPT) == []
    for statement in (
        "DROP TABLE deskpulse.events",
        "TRUNCATE TABLE deskpulse.events",
        "ALTER TABLE deskpulse.events DELETE WHERE 1",
        "CREATE TABLE deskpulse.x (a Int8) ENGINE = Memory",
        "CREATE USER x",
        "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
        "SELECT * FROM file('/etc/passwd', 'CSV', 'a String')",
        "INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a String') VALUES ('x')",
    ):
        refuses(client, statement)
    client.close()


def test_without_its_certificate_a_worker_is_not_let_in(worker: ClickHouseTarget) -> None:
    with pytest.raises(UnreachableError):
        connect(replace(worker, certificate_file=None, key_file=None))


def test_an_id_is_an_id_whatever_it_is_made_of(worker: ClickHouseTarget) -> None:
    served = Worker(free_port(), tickets=Tickets(worker, Settings().domain()))
    with running(served):
        for ticket_id in [*HOSTILE, OTHERS]:
            told = get(served, f"/tickets/{quote(ticket_id, safe='')}?format=json")
            assert told[0] == 200, ticket_id
            assert json.loads(told[1])["ticket_id"] == ticket_id
        for nothing in ("' OR ''='", "\0", "T\\'1", "x" * 7000, "%", "*", "_", "\udcff"):
            assert get(served, f"/tickets/{quote(nothing, safe='', errors='surrogateescape')}?format=json")[0] == 404
        # Longer than a request may be, and what is no path of a ticket.
        assert get(served, f"/tickets/{'x' * 20_000}")[0] == 400
        for path in ("/tickets/../metrics/../etc/passwd", "/tickets/a/b", "/tickets/", "/..%2fdeskpulse%2fweb.py"):
            assert get(served, path)[0] == 404, path
    client = connect(worker)
    assert client.query("SELECT count() FROM events").result_rows == [(len(HOSTILE) + 1,)]
    client.close()


def test_the_commands_take_it_by_settings(
    worker: ClickHouseTarget, deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {
        "PORT": worker.port,
        "SECURE": "true",
        "USERNAME": worker.username,
        "PASSWORD": PASSWORD,
        "TLS__CA_FILE": worker.ca_file,
        "TLS__CERTIFICATE_FILE": worker.certificate_file,
        "TLS__KEY_FILE": worker.key_file,
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"DESKPULSE_CLICKHOUSE__{name}", str(value))
    assert deskpulse("migrate", "--format", "json").document["done"] == []
    rows = deskpulse("sql", "SELECT currentUser() AS user, count() AS n FROM events", "--format", "json").document
    assert rows["rows"][0]["n"] == len(HOSTILE) + 1
    refused = deskpulse("sql", "INSERT INTO events (ticket_id) VALUES ('x')")
    assert (refused.code, "Cannot execute query in readonly mode" in refused.err) == (1, True)
    for ticket_id in HOSTILE[:4]:
        # With an equals sign: an id that begins with a dash would be taken for an option.
        (told,) = deskpulse("explain", f"--ticket={ticket_id}", "--format", "json").document
        assert told["ticket_id"] == ticket_id
    ran = deskpulse("explain", "--ticket", "' OR ''='")
    assert (ran.code, PASSWORD in ran.err) == (1, False)


def get(served: Worker, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", served.port, timeout=20)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
