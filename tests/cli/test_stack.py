"""Topics, tables and the doctor; ClickHouse runs in a process of its own, since a process can hold one engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deskpulse.local.kafka import free_port
from streams.topics import default_specs
from tests.cli.conftest import PARTITIONS, Deskpulse, Ran

ROOT = Path(__file__).parents[2]


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PATH", str(tmp_path / "clickhouse"))
    monkeypatch.setenv("DESKPULSE_WORKER__WEB_PORT", str(free_port()))


def in_process_of_its_own(*arguments: str) -> Ran:
    done = subprocess.run([sys.executable, "-m", "deskpulse", *arguments], capture_output=True, text=True, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def statuses(document: Any) -> dict[str, str]:
    return {check["check"]: check["status"] for check in document["checks"]}


def test_topics_are_made_once_and_checked(deskpulse: Deskpulse, kafka: str) -> None:
    ran = deskpulse("topics", "create", "--format", "json")
    assert ran.document["created"] == []
    assert ran.document["there"] == [spec.name for spec in default_specs(PARTITIONS)]
    assert deskpulse("topics", "check", "--format", "json").document == {"ok": True, "problems": []}


def test_from_nothing_to_an_answer_of_clickhouse(kafka: str, embedded: None) -> None:
    before = in_process_of_its_own("doctor", "--format", "json")
    assert before.code == 1
    assert statuses(before.document)["tables"] == "fail"
    assert "deskpulse migrate" in before.out
    first = in_process_of_its_own("migrate", "--format", "json")
    assert first.code == 0
    assert first.document["done"][0] == "applied 0001_facts.sql"
    assert in_process_of_its_own("migrate", "--format", "json").document["done"] == []
    table = in_process_of_its_own("sql", "SELECT 1 AS one, 'a' AS letter, NULL AS nothing")
    assert [line.split() for line in table.out.splitlines()] == [
        ["one", "letter", "nothing"],
        ["1", "a", "NULL"],
        ["1", "row"],
    ]
    answer = in_process_of_its_own("sql", "SELECT count() AS n, avg(number) AS mean FROM numbers(0)", "-f", "json")
    assert answer.document == {"columns": ["n", "mean"], "rows": [{"n": 0, "mean": None}]}
    changing = in_process_of_its_own("sql", "DROP TABLE events")
    assert changing.code == 1
    assert "Cannot execute query in readonly mode" in changing.err
    wrong = in_process_of_its_own("sql", "SELECT nothing FROM nowhere")
    assert wrong.code == 1
    assert wrong.err.startswith("ClickHouse: ")
    assert len(wrong.err.splitlines()) == 1
    after = in_process_of_its_own("doctor", "--format", "json")
    assert after.code == 0, after.out
    assert set(statuses(after.document).values()) == {"ok"}


def test_the_doctor_says_what_is_wrong_and_what_to_do(deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_KAFKA__BOOTSTRAP", f"127.0.0.1:{free_port()}")
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PORT", str(free_port()))
    monkeypatch.setattr("deskpulse.cli.doctor._ANSWER_SECONDS", 0.5)
    ran = deskpulse("doctor", "--format", "json")
    assert ran.code == 1
    assert statuses(ran.document)["kafka"] == statuses(ran.document)["clickhouse"] == "fail"
    assert all(check["advice"] for check in ran.document["checks"] if check["status"] == "fail")


def test_the_doctor_notices_other_numbers_of_partitions(
    deskpulse: Deskpulse, kafka: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESKPULSE_KAFKA__PARTITIONS", str(PARTITIONS + 1))
    monkeypatch.setenv("DESKPULSE_CLICKHOUSE__PORT", str(free_port()))
    checks = json.loads(deskpulse("doctor", "--format", "json").out)["checks"]
    (topics,) = [check for check in checks if check["check"] == "topics"]
    assert topics["status"] == "warn"
    assert f"set kafka.partitions to {PARTITIONS}" in topics["advice"]


def test_wrong_settings_are_a_finding_of_the_doctor(deskpulse: Deskpulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKPULSE_KAFKA__PARTITIONS", "many")
    ran = deskpulse("doctor")
    assert ran.code == 1
    assert "fail  settings: DESKPULSE_KAFKA__PARTITIONS" in ran.out
