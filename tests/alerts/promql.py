"""Reading PromQL, as far as these tests need it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.debian import require_binary

NOT_OURS = {"up", "process_start_time_seconds", "process_cpu_seconds_total"}
"""Prometheus has `up` of every target; the others are of the Prometheus client library."""
_KEYWORDS = {"and", "or", "unless", "offset"}


def promtool(*arguments: str | Path) -> None:
    """Run it; what it finds fails the test."""
    done = subprocess.run([require_binary("promtool", "prometheus"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def metrics_of(expression: str) -> Iterator[str]:
    """The names of metrics in an expression: what is no label, function, keyword, number or string."""
    for names in re.findall(r'__name__=~"([^"]*)"', expression):
        yield from names.split("|")
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"|\b(?:by|on|without)\s*\([^)]*\)", " ", expression)
    for name, call in re.findall(r"(?<![\w.])([a-zA-Z_:][\w:]*)(\s*\()?", bare):
        if not call and name not in _KEYWORDS:
            yield name
