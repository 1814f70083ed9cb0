"""The stack of docker-compose.yml, as far as it can be checked without an engine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from deskpulse.cli import run
from deskpulse.settings_file import all_fields

ROOT = Path(__file__).parents[2]
# compose-spec.json is the schema of the module compose-spec/compose-go v2.16.2 (Apache-2.0), unchanged.
SCHEMA = Path(__file__).with_name("compose-spec.json")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OWN = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_file_is_valid_by_the_compose_specification() -> None:
    schema = json.loads(SCHEMA.read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(COMPOSE)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_of_a_certain_version(name: str) -> None:
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+(\.\d+)?", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_and_mounts_is_there(name: str) -> None:
    service = SERVICES[name]
    for other, waits in service.get("depends_on", {}).items():
        if waits["condition"] == "service_healthy":
            assert "test" in SERVICES[other]["healthcheck"]
        else:
            assert SERVICES[other]["restart"].startswith("on-failure"), f"{other} ends when it is done"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"topics", "migrate"}))
def test_every_server_says_whether_it_is_well_and_comes_back_after_a_crash(name: str) -> None:
    checked_by_image = name in OWN and "HEALTHCHECK" in DOCKERFILE
    assert checked_by_image or "test" in SERVICES[name]["healthcheck"]
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", OWN)
def test_the_variables_are_settings_and_the_commands_are_commands(name: str) -> None:
    known = {field.variable for field in all_fields()}
    given = {variable for variable in SERVICES[name]["environment"] if variable.startswith("DESKPULSE_")}
    assert given <= known
    assert run([*SERVICES[name]["command"], "--help"]) == 0


@pytest.mark.parametrize("name", OWN)
def test_our_own_containers_have_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["tmpfs"] == ["/tmp", "/var/lib/deskpulse"]
    assert service["pids_limit"] > 0
    assert "cap_add" not in service
    assert "user" not in service, "the image's user"
    assert "volumes" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_no_container_can_gain_rights_or_reach_the_machine(name: str) -> None:
    service = SERVICES[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "network_mode", "pid", "ipc", "devices", "userns_mode", "cap_add"} & set(service)
    assert all(":ro" in volume for volume in service.get("volumes", []) if volume.startswith("."))
    assert not any("docker.sock" in volume for volume in service.get("volumes", []))


def test_the_broker_is_the_one_of_the_local_stack() -> None:
    jars = (ROOT / "deskpulse" / "local" / "kafka-jars.lock").read_text()
    (version,) = set(re.findall(r"org\.apache\.kafka:kafka_2\.13:(\S+)", jars))
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{version}"


def test_the_image_is_built_from_what_is_there_at_certain_versions_and_runs_as_nobody_special() -> None:
    assert re.search(r"^ARG PYTHON=python:\d+\.\d+\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["${PYTHON}", "${PYTHON}"]
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["10001"]
    assert DOCKERFILE.index("\nUSER ") < DOCKERFILE.index("\nENTRYPOINT ")
    assert "sudo" not in DOCKERFILE
    sources = [s for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE) for s in line.split()]
    allowed = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert set(sources) == set(allowed)
    assert [source for source in sources if not (ROOT / source).exists()] == []
