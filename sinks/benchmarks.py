"""Benchmark bands: what is usual in the industry and what the best reach, shown beside the figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, TypeAlias


class Benchmark(Protocol):
    """The bands of one figure in its own unit (seconds, ratio 0-1, score)."""

    @property
    def industry_low(self) -> float:
        """Lower end of what is usual."""

    @property
    def industry_high(self) -> float:
        """Upper end of what is usual."""

    @property
    def best(self) -> float | None:
        """Where best practice begins; None where nobody has said."""

    @property
    def lower_is_better(self) -> bool:
        """Is less better, as of durations?"""


Benchmarks: TypeAlias = Mapping[str, Benchmark]
"""By figure: the name of a ratio or score of ``streams.figures``, or of a duration of ``streams.measures``."""
