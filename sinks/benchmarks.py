"""Benchmark bands: what the industry and the best reach, shown beside the figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias


@dataclass(frozen=True)
class Benchmark:
    """The bands of one figure in its own unit (ratios 0-1, seconds); None leaves that side open."""

    better: Literal["lower", "higher"]
    industry_low: float | None = None
    industry_high: float | None = None
    best_low: float | None = None
    best_high: float | None = None

    def bands(self) -> dict[str, float]:
        """The bounds that are set, by name."""
        bounds = {
            "industry_low": self.industry_low,
            "industry_high": self.industry_high,
            "best_low": self.best_low,
            "best_high": self.best_high,
        }
        return {name: bound for name, bound in bounds.items() if bound is not None}


Benchmarks: TypeAlias = Mapping[str, Benchmark]
"""By ``Figure.name``."""

_FIRST_REPLY: Final = Benchmark("lower", industry_low=600, industry_high=900, best_high=300)
DEFAULT_BENCHMARKS: Final[Benchmarks] = {
    "first_reply_seconds_mean": _FIRST_REPLY,
    "first_reply_seconds_p50": _FIRST_REPLY,
    "resolution_ratio": Benchmark("higher", industry_low=0.75, industry_high=0.80, best_low=0.85, best_high=0.90),
    "fcr_ratio": Benchmark("higher", industry_low=0.70),
    "csat_ratio": Benchmark("higher", industry_low=0.80),
    "nps_score": Benchmark("higher", industry_low=50, best_low=70),
}
