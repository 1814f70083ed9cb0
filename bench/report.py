"""What a measurement found: for people, as JSON, and as a section of ``docs/performance.md``."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table as RichTable

from bench.running import ROOT

PAGE: Final = ROOT / "docs" / "performance.md"


@dataclass(frozen=True)
class Table:
    """Figures in rows; the first column says what they are of."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Result:
    """What one measurement found."""

    name: str
    tables: Sequence[Table]
    data: dict[str, Any]
    """The figures themselves, for programs."""
    notes: Sequence[str] = ()
    machine: dict[str, Any] = field(default_factory=dict)
    """See :func:`machine`."""

    def json(self) -> str:
        """One JSON object."""
        return json.dumps({"bench": self.name, "machine": self.machine, **self.data}, indent=1)

    def show(self) -> None:
        """Print it for people."""
        console = Console(highlight=False)
        for table in self.tables:
            shown = RichTable(*table.columns, title=table.title, title_justify="left")
            for column in shown.columns[1:]:
                column.justify = "right"
            for row in table.rows:
                shown.add_row(*row)
            console.print(shown)
        for note in self.notes:
            console.print(f"- {note}", markup=False)

    def markdown(self) -> str:
        """The same for ``docs/performance.md``, with when and where it was measured."""
        at = self.machine
        lines = [f"Measured {at['at'][:10]}, commit {at['commit']}, {at['cores']} cores ({at['cpu']}), "]
        lines[0] += f"Python {at['python']}, load before: {at['load']}."
        for table in self.tables:
            lines += ["", f"**{table.title}**", "", _row(table.columns)]
            lines += [_row(["---", *["---:"] * (len(table.columns) - 1)])]
            lines += [_row(row) for row in table.rows]
        if self.notes:
            lines += ["", *(f"- {note}" for note in self.notes)]
        return "\n".join(lines)

    def save(self, page: Path = PAGE) -> None:
        """Put it into its section of the page, between ``<!-- bench NAME -->`` and ``<!-- end -->``."""
        mark = re.compile(rf"(<!-- bench {self.name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = mark.subn(lambda m: f"{m[1]}{self.markdown()}\n{m[2]}", page.read_text())
        if not found:
            raise ValueError(f"{page} has no section <!-- bench {self.name} --> … <!-- end -->")
        page.write_text(text)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def spread(values: Sequence[float], digits: int = 0) -> list[str]:
    """Least, median and greatest, as text."""
    return [f"{value:,.{digits}f}" for value in (min(values), median(values), max(values))]


def quantile(ordered: Sequence[float], share: float) -> float:
    """The least value that so many are not above, of values in order."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def machine() -> dict[str, Any]:
    """Where and when: what the figures depend on beside the program. To be asked before the measurement."""
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "confluent_kafka": version("confluent-kafka"),
        "msgspec": version("msgspec"),
        "faust": version("faust-streaming"),
    }


def _processor() -> str:
    """Its name, which virtual machines tell shortened, with family and model where they are told."""
    text = Path("/proc/cpuinfo").read_text()
    found = [re.search(rf"^{name}\s*:\s*(.*)", text, re.MULTILINE) for name in ("model name", "cpu family", "model")]
    name, family, model = (one and one[1] for one in found)
    return f"{name} family {family} model {model}" if name and family and model else name or platform.processor()


def _commit() -> str:
    import subprocess

    ran = subprocess.run(
        ["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return ran.stdout.strip() or "unknown"
