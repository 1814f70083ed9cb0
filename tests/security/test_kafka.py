"""Kafka with TLS, users and rights: a real broker, a real worker, the commands."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faust.types import TP

from deskpulse.local.worker import LocalWorker
from deskpulse.settings import load
from schemas.outputs import HISTORIES
from streams.restore import read_to_end
from streams.topics import default_specs
from tests.cli.conftest import Deskpulse
from tests.security.secured import PASSWORD, STRANGER, Secured, secured_broker

TOKEN = "token-of-the-worker-0123456789"
TICKETS = 20
Settings = Callable[[dict[str, str]], None]


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with secured_broker(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Sets the variables of the environment, and no others of deskpulse's."""

    def put(environment: dict[str, str]) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    put({"DESKPULSE_KAFKA__PARTITIONS": "2"})
    return put


def test_a_worker_and_the_commands_need_no_more_rights_than_are_written_down(
    secured: Secured, settings: Settings, deskpulse: Deskpulse, tmp_path: Path
) -> None:
    environment = {
        **secured.environment(),
        "DESKPULSE_KAFKA__PARTITIONS": "2",
        "DESKPULSE_WORKER__ROLES": "processor",
        "DESKPULSE_WORKER__WEB_TOKEN": TOKEN,
    }
    settings(environment)
    assert len(deskpulse("topics", "create", "--format", "json").document["created"]) == len(default_specs(2))
    assert deskpulse("topics", "check").code == 0
    assert deskpulse("simulate", "--tickets", TICKETS).code == 0
    log = tmp_path / "worker.log"
    with LocalWorker(environment, log) as worker:
        status = worker.wait_until(lambda said: said["health"]["tracked_tickets"] == TICKETS, "has read all", 60)
        assert status["health"]["events"]
        deskpulse("verify", "--save", "look.json", "--url", worker.url, "--wait", "0s")
        look = json.loads(Path("look.json").read_text())
        assert [one["url"] for one in look["workers"]] == [worker.url]
        assert sum(look["ends"]["support.tickets"].values()) >= TICKETS
        settings({"DESKPULSE_WORKER__WEB_TOKEN": TOKEN[::-1]})
        refused = deskpulse("verify", "--save", "look.json", "--url", worker.url)
        assert refused.err == f"the worker at {worker.url} asks for its token; set worker.web_token\n"
        worker.stop()
    restored: set[bytes] = set()
    changelog = {
        TP(HISTORIES, partition): (0, lambda records: restored.update(key for key, _ in records))
        for partition in range(2)
    }
    asyncio.run(read_to_end(load().kafka.client(), changelog))
    assert len(restored) >= TICKETS
    written = log.read_text() + Path("look.json").read_text()
    assert "ready" in written
    assert PASSWORD not in written
    assert TOKEN not in written


def test_users_may_come_by_plain_and_by_certificate_as_well(
    secured: Secured, settings: Settings, deskpulse: Deskpulse
) -> None:
    settings(secured.environment(mechanism="PLAIN"))
    assert deskpulse("topics", "create").code == 0
    assert deskpulse("topics", "check").code == 0


def test_a_client_may_show_a_certificate_instead_of_a_password(
    secured: Secured, settings: Settings, deskpulse: Deskpulse
) -> None:
    settings(
        secured.environment(
            protocol="ssl",
            username="",
            password="",
            certificate_file=secured.certificate_file,
            key_file=secured.key_file,
        )
    )
    settings({"DESKPULSE_KAFKA__BOOTSTRAP": secured.ssl})
    assert deskpulse("topics", "create").code == 0
    assert deskpulse("topics", "check").code == 0


@pytest.mark.parametrize(
    ("wrong", "told", "advice"),
    [
        ({"password": "wrong-" + PASSWORD}, "invalid credentials", "check kafka.security.username, password and mech"),
        ({"username": "nobody"}, "invalid credentials", "check kafka.security.username, password and mechanism"),
        ({"mechanism": "SCRAM-SHA-256"}, "Unsupported SASL mechanism", "check kafka.security.username, password and"),
        ({"ca_file": "other"}, "certificate verify failed", "check kafka.security.ca_file"),
        ({"ca_file": ""}, "certificate verify failed", "check kafka.security.ca_file"),
        ({"ca_file": "/nowhere.pem"}, "ssl.ca.location failed", "check kafka.security.ca_file"),
        ({"username": STRANGER, "mechanism": "PLAIN"}, "Authorization failed", "the user lacks a right: docs/security"),
    ],
)
def test_who_is_refused_is_told_what_to_check_and_never_shown_the_password(
    secured: Secured, settings: Settings, deskpulse: Deskpulse, wrong: dict[str, str], told: str, advice: str
) -> None:
    if wrong.get("ca_file") == "other":
        wrong = {"ca_file": str(secured.other_ca_file)}
    settings(secured.environment(**wrong))
    settings({"DESKPULSE_KAFKA__GROUP": "deskpulse-refused"})
    ran = deskpulse("topics", "create")
    assert ran.code == 1
    assert len(ran.err.splitlines()) == 1
    assert told in ran.err
    assert advice in ran.err
    assert PASSWORD not in ran.out + ran.err


def test_a_producer_is_refused_at_once_as_well(secured: Secured, settings: Settings, deskpulse: Deskpulse) -> None:
    settings(secured.environment(password="wrong-" + PASSWORD))
    ran = deskpulse("simulate", "--tickets", 1)
    assert ran.code == 1
    assert ran.err.startswith("Kafka: the brokers refuse: ")
    assert "check kafka.security.username, password and mechanism" in ran.err
    assert PASSWORD not in ran.err


PLAINTEXT = {"protocol": "plaintext", "username": "", "password": "", "ca_file": ""}
SSL = {"protocol": "ssl", "username": "", "password": ""}


@pytest.mark.parametrize(
    ("port", "security", "advice"),
    [
        ("sasl_ssl", PLAINTEXT, "TLS, or none, or SASL may be expected: check kafka.security.protocol"),
        ("sasl_ssl", SSL, "TLS, or none, or SASL may be expected: check kafka.security.protocol"),
        ("plain", {}, "speaks no TLS: check kafka.security.protocol and the port in kafka.bootstrap"),
        ("ssl", SSL, "the brokers ask for a certificate that they trust: check kafka.security.certificate_file"),
    ],
)
def test_the_doctor_knows_a_wrong_protocol(
    secured: Secured,
    settings: Settings,
    deskpulse: Deskpulse,
    monkeypatch: pytest.MonkeyPatch,
    port: str,
    security: dict[str, str],
    advice: str,
) -> None:
    monkeypatch.setattr("deskpulse.cli.doctor._ANSWER_SECONDS", 0.5)
    settings(secured.environment(**security))
    settings({"DESKPULSE_KAFKA__BOOTSTRAP": getattr(secured, port), "DESKPULSE_CLICKHOUSE__PORT": "1"})
    ran = deskpulse("doctor", "--format", "json")
    (check,) = [check for check in json.loads(ran.out)["checks"] if check["check"] == "kafka"]
    assert check["status"] == "fail"
    assert advice in check["advice"], check["found"]
