"""Log-spaced buckets of durations, which merge by addition and give quantiles within 2 % relative error.

The bounds grow by at most 4 % a step, so a bucket's geometric middle is within 2 % of all that it holds (the idea of
DDSketch, Masson et al., VLDB 2019). The thresholds of the published shares (5 min, 15 min, 1 h, 4 h, 24 h) are bounds
themselves, so shares are exact.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from itertools import pairwise
from math import ceil, log, sqrt
from typing import Final

SHARE_THRESHOLDS_SECONDS: Final = (300, 900, 3_600, 14_400, 86_400)
LONGEST_MS: Final = 10 * 366 * 86_400_000
"""Ten years; whatever is longer falls into the last bucket."""
_GROWTH: Final = 1.04


def _bounds() -> tuple[float, ...]:
    anchors = [1, *(1000 * s for s in SHARE_THRESHOLDS_SECONDS), LONGEST_MS]
    bounds = [1.0]
    for low, high in pairwise(anchors):
        steps = ceil(log(high / low) / log(_GROWTH))
        bounds += [float(high) if k == steps else low * (high / low) ** (k / steps) for k in range(1, steps + 1)]
    return tuple(bounds)


BOUNDS_MS: Final = _bounds()
"""Bucket ``i`` holds durations of ``BOUNDS_MS[i - 1] <= ms < BOUNDS_MS[i]``; bucket 0 those under a millisecond."""

COUNT: Final = len(BOUNDS_MS) + 1

MIDDLES_MS: Final[tuple[float, ...]] = (
    0.0,
    *(sqrt(low * high) for low, high in pairwise(BOUNDS_MS)),
    float(LONGEST_MS),
)
"""What a bucket stands for."""


def bucket_of(ms: int) -> int:
    """The bucket of a duration in milliseconds."""
    return bisect_right(BOUNDS_MS, ms)


def quantile_ms(buckets: Mapping[int, int], q: float) -> float | None:
    """The ``q`` quantile (0-1, nearest rank) in milliseconds; None of nothing."""
    total = sum(buckets.values())
    if total <= 0:
        return None
    rank = max(1, ceil(q * total))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return MIDDLES_MS[bucket]
    raise AssertionError("ranks end with the last bucket")


def count_under(buckets: Mapping[int, int], seconds: int) -> int:
    """How many durations were under one of ``SHARE_THRESHOLDS_SECONDS``, exactly."""
    last = bucket_of(1000 * seconds) - 1
    return sum(n for bucket, n in buckets.items() if bucket <= last)
