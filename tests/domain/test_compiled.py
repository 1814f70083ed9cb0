"""The build of the domain gives what its sources give."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from deskpulse.compile import missing
from streams import compiled


def run(switch: str) -> tuple[str, str]:
    """Where the facts' code lies, and a hash of everything that a partition publishes of some simulated weeks."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.domain.publishing"],
        env={**os.environ, compiled.SWITCH: switch},
        capture_output=True,
        text=True,
        check=True,
    )
    where, published = ran.stdout.split()
    return where, published


@pytest.mark.skipif(not compiled.folder().is_dir(), reason=f"the domain is not compiled: {missing() or 'see make'}")
def test_compiled_and_interpreted_the_same_is_published() -> None:
    fast, of_build = run("1")
    slow, of_sources = run("0")
    assert fast.endswith(compiled.SUFFIX)
    assert slow.endswith("facts.py")
    assert of_build == of_sources
