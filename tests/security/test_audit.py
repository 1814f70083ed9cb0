"""What the audit of the dependencies makes of what it hears."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SPEC = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert SPEC is not None
assert SPEC.loader is not None
audit = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(audit)

CLEAN = {"name": "clean", "version": "1.0", "vulns": []}
SKIPPED = {"name": "unknown", "skip_reason": "Dependency not found on PyPI and could not be audited: unknown (2.0)"}
BAD = {
    "name": "bad",
    "version": "3.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["3.1"], "description": "long"}],
}


def test_a_known_vulnerability_fails_with_its_fix() -> None:
    code, lines = audit.judged([CLEAN, BAD, SKIPPED])
    assert code == 1
    assert "bad 3.0: PYSEC-1 CVE-1; fixed in: 3.1" in lines
    assert lines[-1] == "2 dependencies audited, 1 with known vulnerabilities that concern deskpulse"


def test_what_does_not_concern_us_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.ACCEPTED, "CVE-1", "only on Windows")
    code, lines = audit.judged([BAD])
    assert code == 0
    assert "bad 3.0: PYSEC-1 CVE-1; fixed in: 3.1; accepted: only on Windows" in lines


@pytest.mark.parametrize("heard", [[], [SKIPPED]])
def test_without_data_nothing_is_called_clean(heard: list[Any]) -> None:
    assert audit.judged(heard) == (0, ["NOT AUDITED: no data about vulnerabilities can be reached from here"])
    assert audit.judged(heard, required=True)[0] == 2


def test_an_audit_in_part_says_of_what() -> None:
    code, lines = audit.judged([CLEAN, SKIPPED])
    assert code == 0
    assert lines[0].startswith("unknown: not audited: ")
    assert audit.judged([CLEAN, SKIPPED], required=True)[0] == 2


def test_every_dependency_that_is_installed_is_in_the_lock_with_its_hash() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if line and not line.startswith((" ", "#"))]
    assert pinned
    assert all("==" in line and line.endswith("\\") for line in pinned)
    assert "--require-hashes" in (ROOT / "Makefile").read_text()


def test_ci_audits() -> None:
    assert "make audit" in (ROOT / ".ci" / "run").read_text()
