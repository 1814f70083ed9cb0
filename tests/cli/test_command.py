from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from deskpulse.cli import app, generate, run
from tests.cli.conftest import Deskpulse

ROOT = Path(__file__).parents[2]


def commands() -> list[list[str]]:
    found = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        if isinstance(command, TyperGroup):
            found += [[name, below] for below in command.commands]
        else:
            assert isinstance(command, TyperCommand)
            found.append([name])
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_has_help_with_an_example_and_an_answer_for_programs(
    command: list[str], deskpulse: Deskpulse
) -> None:
    ran = deskpulse(*command, "--help")
    assert ran.code == 0
    assert "Example" in ran.out
    assert f"deskpulse {' '.join(command)}" in " ".join(ran.out.split())
    assert "--format" in ran.out or command == ["worker"], "a worker answers nothing, it runs"


def test_help_comes_without_loading_what_the_commands_work_with() -> None:
    heavy = "{'pydantic', 'confluent_kafka', 'clickhouse_connect', 'faust', 'msgspec', 'chdb', 'numpy', 'aiohttp'}"
    code = f"import sys, deskpulse.cli; sys.exit(', '.join({heavy} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert loaded.stderr.strip() == ""


def test_wrong_use_ends_with_code_2() -> None:
    assert run(["publish", "--no-such-option"]) == 2
    assert run(["no-such-command"]) == 2
    assert run(["simulate", "--live", "--tickets", "5"]) == 2


def test_the_version_is_told(deskpulse: Deskpulse) -> None:
    assert deskpulse("--version").out.startswith("deskpulse 0.")


def test_what_is_committed_is_what_is_generated() -> None:
    differ = [str(path.relative_to(ROOT)) for path in generate.differences(ROOT)]
    assert not differ, "run `deskpulse generate`"


def test_generate_writes_what_is_missing_and_check_only_tells(deskpulse: Deskpulse, tmp_path: Path) -> None:
    assert "no checkout" in deskpulse("generate", "--root", tmp_path).err
    (tmp_path / "pyproject.toml").touch()
    told = deskpulse("generate", "--check", "--root", tmp_path)
    assert told.code == 1
    assert "docs/settings.md differs" in told.out
    assert not (tmp_path / "docs").exists()
    assert deskpulse("generate", "--root", tmp_path).code == 0
    (tmp_path / "docs/cli.md").write_text("by hand")
    assert deskpulse("generate", "--check", "--root", tmp_path, "--format", "json").document["changed"] == [
        "docs/cli.md"
    ]
