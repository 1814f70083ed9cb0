"""``deskpulse generate``: the files of the project that are made from its code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from deskpulse.cli.common import CommandError, Format, FormatOption, emit

EXAMPLE: Final = "Example: `deskpulse generate --check`"
_ROOT: Final = Path(__file__).parents[2]


def generated(root: Path) -> dict[Path, str]:
    """Every generated file under the project's folder ``root``, with its text."""
    from deskpulse import dashboards, metrics_reference, settings_page
    from deskpulse.cli import page
    from schemas import generate as contracts
    from sinks.tables import columns_sql
    from sinks.views import views_sql

    return {
        **contracts.generate(root),
        **dashboards.generate(root),
        root / "deploy/clickhouse/columns.sql": columns_sql(),
        root / "deploy/clickhouse/views.sql": views_sql(),
        root / settings_page.PATH: settings_page.page(),
        root / page.PATH: page.page(),
        root / metrics_reference.PATH: metrics_reference.page(),
    }


def differences(root: Path) -> list[Path]:
    """The generated files that are missing, or are not what is generated."""
    return [path for path, text in generated(root).items() if not path.is_file() or path.read_text("utf-8") != text]


def generate(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what differs, with exit code 1.")] = False,
    root: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder.", show_default=False)] = _ROOT,
    answer: FormatOption = Format.text,
) -> None:
    """Write what is generated: JSON Schema and AsyncAPI, SQL of views, dashboards, reference pages."""
    if not (root / "pyproject.toml").is_file():
        raise CommandError(f"{root} is no checkout of deskpulse; expected the folder with pyproject.toml")
    texts = generated(root)
    differ = differences(root)
    if not check:
        for path in differ:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(texts[path], encoding="utf-8")
    names = [str(path.relative_to(root)) for path in differ]
    told = [f"{name} {'differs' if check else 'written'}" for name in names] or [f"{len(texts)} files are as generated"]
    emit({"files": len(texts), "changed": names}, answer, lambda console: console.print("\n".join(told), markup=False))
    raise typer.Exit(1 if check and differ else 0)
