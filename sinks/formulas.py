"""Each figure as a formula of ClickHouse's SQL, to the same last bit as ``Figure.value``."""

from __future__ import annotations

from typing import Final

from streams import buckets
from streams.figures import (
    Z_95,
    Count,
    Difference,
    Figure,
    Mean,
    Number,
    Quantile,
    Ratio,
    Share,
    Wilson,
)

_Z2: Final = Z_95**2


def formula(figure: Figure) -> str:
    """A figure as SQL over ``n_<count>``, ``ms_<duration>``, ``total_<duration>``, ``buckets_<duration>``, … of
    ``sinks.views``; NULL where it has no value. Rounds like ``Figure.value``: same operations in the same order.

    Raises ``TypeError`` for a kind of figure that has no SQL yet.
    """
    match figure:
        case Count(of=name):
            return f"n_{name}"
        case Ratio(plus=plus, minus=minus, by=by, scale=scale):
            above = _sum(plus, minus)
            if scale != 1.0:
                above = f"{scale} * {above}"
            return f"if({_sum(by)} > 0, {above} / {_sum(by)}, NULL)"
        case Difference(plus=plus, minus=minus):
            return _sum(plus, minus)
        case Wilson(of=name, by=by, upper=upper):
            n, share = f"n_{by}", f"(n_{name} / n_{by})"
            half = f"{Z_95!r} * sqrt({share} * (1 - {share}) / {n} + {_Z2!r} / (4 * {n} * {n}))"
            end = f"({share} + {_Z2!r} / (2 * {n}) {'+' if upper else '-'} {half}) / (1 + {_Z2!r} / {n})"
            return f"if({n} > 0, {end}, NULL)"
        case Number(of=name):
            return f"total_{name}"
        case Mean(of=name):
            return f"if(total_{name} > 0, ms_{name} / total_{name} / 1000, NULL)"
        case Quantile(of=name, q=q):
            rank = f"greatest(1, ceil({q} * total_{name}))"
            bucket = f"mapKeys(buckets_{name})[arrayFirstIndex(n -> n >= {rank}, ranks_{name})]"
            return f"if(total_{name} > 0, middles_ms[{bucket} + 1] / 1000, NULL)"
        case Share(of=name, under_seconds=seconds):
            last = buckets.bucket_of(1000 * seconds) - 1
            under = f"arraySum(mapValues(mapFilter((bucket, n) -> bucket <= {last}, buckets_{name})))"
            return f"if(total_{name} > 0, {under} / total_{name}, NULL)"
    raise TypeError(f"figure {figure.name!r}: {type(figure).__name__} has no SQL; add it to sinks/formulas.py")


def _sum(plus: tuple[str, ...], minus: tuple[str, ...] = ()) -> str:
    terms = " + ".join(f"n_{name}" for name in plus) + "".join(f" - n_{name}" for name in minus)
    return terms if len(plus) + len(minus) == 1 else f"({terms})"
