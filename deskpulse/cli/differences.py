"""Differences as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.markup import escape
from rich.table import Table

from deskpulse.verify.differences import Difference


def differences_table(differences: Iterable[Difference], expected: str, found: str) -> Table:
    """One row each; ``expected`` and ``found`` are the heads of the last columns."""
    table = Table("kind", "where", "what", expected, found, box=None, header_style="bold", pad_edge=False)
    for one in differences:
        table.add_row(one.kind, *(_cell(value) for value in (one.where, one.name, one.expected, one.found)))
    return table


def _cell(value: Any) -> str:
    return "nothing" if value is None else escape(str(value))
