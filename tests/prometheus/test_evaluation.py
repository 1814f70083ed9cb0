"""All figures at once are the figures one by one."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.evaluation import evaluate
from streams import buckets, measures
from streams.figures import FIGURES

COUNTS = st.dictionaries(st.sampled_from(sorted(measures.COUNT_ID.values())), st.integers(0, 10**9))
SUMS = st.dictionaries(
    st.integers(measures.SUM_BASE, measures.SUM_BASE + len(measures.DURATIONS) - 1), st.integers(0, 10**12)
)
BUCKETS = st.dictionaries(
    st.builds(
        lambda duration, bucket: measures.BUCKET_BASE * (duration + 1) + bucket,
        st.integers(0, len(measures.DURATIONS) - 1),
        st.integers(0, buckets.COUNT - 1),
    ),
    st.integers(0, 5),
    max_size=40,
)


@settings(max_examples=300, deadline=None)
@given(COUNTS, SUMS, BUCKETS)
def test_the_pass_over_a_cell_gives_what_each_figure_is_defined_as(
    counts: dict[int, int], sums: dict[int, int], filled: dict[int, int]
) -> None:
    totals = {**filled, **counts, **sums}
    # An interval is of a share: no more can be satisfied than answered.
    answers, satisfied = measures.COUNT_ID["csat_answers"], measures.COUNT_ID["csat_satisfied"]
    totals[satisfied] = min(totals.get(satisfied, 0), totals.get(answers, 0))
    one_by_one = {figure.name: figure.value(totals) for figure in FIGURES}
    assert evaluate(totals) == {name: value for name, value in one_by_one.items() if value is not None}
