"""The page about the metrics is what the program says."""

from __future__ import annotations

from pathlib import Path

from deskpulse import metrics_reference

ROOT = Path(__file__).parents[2]


def test_the_committed_page_is_the_generated_one() -> None:
    assert (ROOT / metrics_reference.PATH).read_text() == metrics_reference.page(), "run: deskpulse generate"
