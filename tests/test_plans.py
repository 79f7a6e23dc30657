"""How a search keeps to its audiences, by count: every plan asks for what is allowed and says how much that is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from groundtune.index.plans import FILTERED_RUNS, WIDE, choose

ids = st.integers(min_value=1, max_value=30)


@given(st.sets(ids), st.dictionaries(ids, st.integers(min_value=1, max_value=9)))
def test_runs_hold_every_allowed_id_and_no_forbidden_one(allowed: set[int], census: dict[int, int]) -> None:
    plan = choose(allowed, census)
    assert plan.rows == sum(rows for id, rows in census.items() if id in allowed)
    if plan.runs is None:
        assert set(census) <= allowed
        assert plan.share == 1.0
        return
    inside = {id for id in census if any(low <= id <= high for low, high in plan.runs)}
    assert inside == allowed & census.keys()
    assert len(plan.runs) <= len(inside)


def test_a_caller_of_all_but_one_audience_needs_two_ranges() -> None:
    census = dict.fromkeys(range(1, 10_001), 3)
    assert choose(set(census) - {5_000}, census).runs == ((1, 4_999), (5_001, 10_000))
    assert choose(set(census), census).runs is None


def test_many_scattered_audiences_are_ranked_with_all_and_left_out_where_that_is_cheaper() -> None:
    census = dict.fromkeys(range(1, 20_001), 2)
    scattered = [int(id) for id in np.random.default_rng(0).permutation(np.arange(1, 20_001))]
    wide = choose(set(scattered[:10_000]), census)
    assert (wide.runs, wide.share, wide.rows) == (None, 0.5, 20_000)
    few = choose(set(scattered[:100]), census)
    assert few.runs is not None
    assert (few.share, few.rows) == (1.0, 200)
    narrow = choose(set(scattered[: round(WIDE * 20_000) - 1]), census)  # many runs, yet too small a share to rank with all
    assert narrow.runs is not None
    assert len(narrow.runs) > FILTERED_RUNS
