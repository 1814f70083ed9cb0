"""The benchmark bands as settings: what is usual in the industry and what the best reach, figure by figure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from deskpulse.durations import Duration
from deskpulse.settings_types import Section

RatioBound = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class BandValues:
    """A figure's benchmark in the figure's own unit (seconds, ratio 0-1, score); what ``sinks.benchmarks`` takes."""

    industry_low: float
    industry_high: float
    best: float | None
    lower_is_better: bool


class DurationBand(Section):
    """The band of a duration, of which less is better."""

    industry_low: Duration = Field(description="Lower end of what is usual.")
    industry_high: Duration = Field(description="Upper end of what is usual.")
    best: Duration | None = Field(default=None, description="Best practice is less than this.")

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if self.industry_low > self.industry_high:
            raise ValueError("`industry_low` is above `industry_high`; expected it at or below")
        return self

    def values(self) -> BandValues:
        """The band in seconds."""
        best = None if self.best is None else self.best.total_seconds()
        return BandValues(
            self.industry_low.total_seconds(), self.industry_high.total_seconds(), best, lower_is_better=True
        )


class ScoreBand(Section):
    """The band of a score, of which more is better."""

    industry_low: float = Field(description="Lower end of what is usual.")
    industry_high: float = Field(description="Upper end of what is usual.")
    best: float | None = Field(default=None, description="Best practice is this or more.")

    @model_validator(mode="after")
    def _low_to_high(self) -> Self:
        if self.industry_low > self.industry_high:
            raise ValueError("`industry_low` is above `industry_high`; expected it at or below")
        return self

    def values(self) -> BandValues:
        """The band as numbers."""
        return BandValues(self.industry_low, self.industry_high, self.best, lower_is_better=False)


class RatioBand(ScoreBand):
    """The band of a ratio (0-1), of which more is better."""

    industry_low: RatioBound = Field(description="Lower end of what is usual, 0-1.")
    industry_high: RatioBound = Field(description="Upper end of what is usual, 0-1.")
    best: RatioBound | None = Field(default=None, description="Best practice is this or more, 0-1.")


class Bands(Section):
    """Benchmarks that stand beside the figures. A table of the file replaces the whole band of its figure."""

    first_reply: DurationBand = Field(
        default=DurationBand(
            industry_low=timedelta(minutes=10), industry_high=timedelta(minutes=15), best=timedelta(minutes=5)
        )
    )
    resolution_ratio: RatioBand = Field(default=RatioBand(industry_low=0.75, industry_high=0.80, best=0.85))
    fcr_ratio: RatioBand = Field(default=RatioBand(industry_low=0.70, industry_high=0.70))
    csat_ratio: RatioBand = Field(default=RatioBand(industry_low=0.80, industry_high=0.80))
    nps_score: ScoreBand = Field(default=ScoreBand(industry_low=50, industry_high=50, best=70))

    def by_figure(self) -> dict[str, BandValues]:
        """The bands by ``first_reply``, ``resolution_ratio``, ``fcr_ratio``, ``csat_ratio``, ``nps_score``."""
        return {name: band.values() for name, band in self}
