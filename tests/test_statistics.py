"""Paired statistics against independent computations and published numbers, and their coverage where the truth is known."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, false_discovery_control, norm, ttest_1samp
from statsmodels.stats.proportion import proportion_confint

from groundtune.errors import DataError
from groundtune.evaluation.baseline import best_constant
from groundtune.evaluation.bounded import BoundedValues, design_effect, groups_that_differ, score_interval, score_test
from groundtune.evaluation.statistics import (
    contrast,
    exact_mcnemar,
    groups_needed,
    holm,
    mean_interval,
    mean_of,
    minimum_detectable_effect,
    power,
    questions_needed,
    sign_flip,
    simultaneous_level,
    smallest_p,
)
from groundtune.evaluation.table import score_table
from groundtune.scoring import metric
from groundtune.types import Example, Interval, Score

Array = NDArray[np.float64]


def alone(values: Array | list[float], low: float = -1.0, high: float = 1.0) -> BoundedValues:
    return BoundedValues(np.asarray(values, dtype=float), np.arange(len(values)), low, high)


def discordant(only_first: int, only_second: int, items: int) -> Array:
    return np.array([1.0] * only_first + [-1.0] * only_second + [0.0] * (items - only_first - only_second))


# --- score test and interval --------------------------------------------------------------------------------------------


def tango(only_first: int, only_second: int, items: int, null: float) -> float:
    """Tango's statistic with the restricted maximum found by searching the trinomial likelihood."""

    def loss(share: float) -> float:
        counts, chances = (
            (only_first, only_second, items - only_first - only_second),
            (share + null, share, 1 - 2 * share - null),
        )
        return -sum(count * np.log(max(chance, 1e-300)) for count, chance in zip(counts, chances, strict=True) if count)

    low, high = max(0.0, -null), (1 - null) / 2
    inner = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    share = min((low, inner, high), key=loss)
    return (only_first - only_second - items * null) / np.sqrt(items * (2 * share + null - null**2))


@pytest.mark.parametrize(
    ("only_first", "only_second", "items", "null"),
    [(5, 3, 40, -0.05), (0, 0, 30, -0.05), (2, 0, 50, -0.05), (0, 2, 60, -0.05), (10, 2, 100, 0.02), (3, 0, 25, 0.3)],
)
def test_for_binary_pairs_it_is_tangos_test(only_first: int, only_second: int, items: int, null: float) -> None:
    ours = score_test(alone(discordant(only_first, only_second, items)), null)
    assert ours == pytest.approx(norm.sf(tango(only_first, only_second, items, null)), rel=1e-5)


@pytest.mark.parametrize(("right", "items"), [(0, 20), (3, 20), (20, 20), (50, 100), (1, 400)])
def test_for_proportions_it_is_wilsons_interval(right: int, items: int) -> None:
    values = [1.0] * right + [0.0] * (items - right)
    low, high = score_interval(alone(values, 0.0), level=0.9)
    assert (low, high) == pytest.approx(proportion_confint(right, items, alpha=0.1, method="wilson"), abs=1e-7)


def test_the_interval_is_what_the_test_does_not_reject() -> None:
    sample = alone(np.random.default_rng(0).uniform(-1, 0.4, 60))
    low, high = score_interval(sample, level=0.95)
    assert score_test(sample, low) == pytest.approx(0.025, abs=1e-6)
    assert score_test(sample, high) == pytest.approx(0.975, abs=1e-6)


def test_with_many_values_it_approaches_the_t_test() -> None:
    values = np.random.default_rng(1).normal(0.02, 0.1, 4000).clip(-1, 1)
    assert score_test(alone(values), 0.016) == pytest.approx(
        ttest_1samp(values, 0.016, alternative="greater").pvalue, abs=0.002
    )


@pytest.mark.parametrize("values", [[0.0] * 9, [1.0] * 9, [-1.0] * 9, [0.3] * 9, [1.0] * 8 + [-1.0]])
def test_degenerate_samples_have_wide_intervals_inside_the_bounds(values: list[float]) -> None:
    low, high = score_interval(alone(values), level=0.95)
    assert -1 <= low <= np.mean(values) <= high <= 1 and high - low > 0.25


def test_one_group_says_nothing() -> None:
    sample = BoundedValues(np.ones(50), np.zeros(50, dtype=np.int64), 0.0, 1.0)
    assert score_interval(sample, level=0.95) == (0.0, 1.0) and score_test(sample, 0.5) == 1.0


def grouped(seed: int, groups: int, size: int, shared: float) -> BoundedValues:
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(groups), size)
    latent = np.sqrt(shared) * rng.standard_normal(groups)[codes] + np.sqrt(1 - shared) * rng.standard_normal(len(codes))
    return BoundedValues((latent / 4).clip(-1, 1), codes, -1.0, 1.0)


def test_the_design_effect_is_the_ratio_of_the_cluster_robust_variance() -> None:
    sample = grouped(0, 30, 4, 0.6)
    ones = np.ones(len(sample.values))
    plain = sm.OLS(sample.values, ones).fit()
    robust = sm.OLS(sample.values, ones).fit(cov_type="cluster", cov_kwds={"groups": sample.groups})
    assert design_effect(sample) == pytest.approx((robust.bse[0] / plain.bse[0]) ** 2)
    assert design_effect(grouped(0, 30, 4, 0.0)) < design_effect(sample) < 4


def test_with_few_differing_groups_correlation_is_assumed() -> None:
    codes = np.repeat(np.arange(10), 10)
    sample = BoundedValues(np.zeros(100), codes, -1.0, 1.0)
    assert groups_that_differ(sample) == 0 and design_effect(sample) == 10
    assert score_test(sample, -0.05) > 0.2 > 0.02 > score_test(alone([0.0] * 100), -0.05)


# --- paired tests -------------------------------------------------------------------------------------------------------


def test_mcnemar_is_the_sign_test_of_discordant_items() -> None:
    first, second = np.array([1] * 9 + [0] * 2 + [1] * 20), np.array([0] * 9 + [1] * 2 + [1] * 20)
    assert exact_mcnemar(first, second) == pytest.approx(binomtest(9, 11, 0.5).pvalue)
    assert exact_mcnemar(first, first) == 1.0


def test_few_groups_are_flipped_exactly() -> None:
    rng = np.random.default_rng(3)
    codes = np.repeat(np.arange(9), 3)
    sample = BoundedValues(rng.uniform(-0.3, 0.6, 27), codes, -1.0, 1.0)
    sums = np.bincount(codes, sample.values)
    flipped = np.array(list(product((-1, 1), repeat=9))) @ sums
    p_value, name = sign_flip(sample, seed=0)
    assert p_value == pytest.approx(float((np.abs(flipped) >= abs(sums.sum()) - 1e-12).mean()))
    assert name == "sign-flip over groups (exact)"


def test_many_items_are_flipped_at_random() -> None:
    values = np.random.default_rng(4).normal(0.03, 0.2, 150).clip(-1, 1)
    p_value, name = sign_flip(alone(values), seed=0)
    assert p_value == pytest.approx(ttest_1samp(values, 0).pvalue, abs=0.02) and name == "sign-flip over items (20,000 draws)"


def test_without_a_difference_nothing_is_significant() -> None:
    assert sign_flip(alone([0.0] * 30), seed=0)[0] == 1.0


def test_the_contrast_names_the_test_that_fits_and_mirrors_exactly() -> None:
    rng = np.random.default_rng(5)
    binary = (rng.uniform(size=(2, 80)) < [[0.5], [0.7]]).astype(float)
    smooth = rng.uniform(size=(2, 80))
    for rows, codes, name in [
        (binary, np.arange(80), "exact McNemar; not worse: score test"),
        (binary, np.arange(80) // 8, "sign-flip over groups (exact); not worse: cluster-adjusted score test"),
        (smooth, np.arange(80), "sign-flip over items (20,000 draws); not worse: score test"),
        (np.tile(smooth, 3), np.arange(240), "sign-flip over items (20,000 draws); not worse: score test"),
    ]:
        there, back = (contrast(rows[i], rows[1 - i], codes, margin=0.05, seed=1) for i in (0, 1))
        assert there.test == back.test == name
        assert (there.difference, there.p_value, there.p_not_worse) == (
            -back.difference,
            back.p_value,
            back.p_not_worse_reverse,
        )
        assert (there.interval.low, there.interval.high) == (-back.interval.high, -back.interval.low)
        assert there.interval.low < there.difference < there.interval.high


def test_large_samples_get_the_bca_interval_close_to_the_t_interval() -> None:
    values = np.random.default_rng(6).beta(2, 5, 400)
    found = mean_interval(list(values), [str(number) for number in range(400)], seed=0)
    half = 1.966 * values.std(ddof=1) / 20
    assert found.method == "BCa bootstrap over items"
    assert (found.low, found.high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.003)
    shuffled = np.random.default_rng(0).permutation(values)
    assert mean_interval(list(shuffled), [str(number) for number in range(400)], seed=0) == found


def test_the_bootstrap_over_groups_is_wider_than_over_items() -> None:
    sample = grouped(7, 250, 4, 0.8)
    over_groups = mean_of(sample, level=0.95, seed=0, prefer_score=False)
    over_items = mean_of(alone(sample.values), level=0.95, seed=0, prefer_score=False)
    ratio = (over_groups.high - over_groups.low) / (over_items.high - over_items.low)
    assert over_groups.method == "BCa bootstrap over groups" and ratio == pytest.approx(np.sqrt(design_effect(sample)), rel=0.1)


def test_holm_by_hand_and_not_benjamini_hochberg() -> None:
    raw = [0.01, 0.04, 0.03, 0.005]
    assert holm(raw) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(raw) != pytest.approx(list(false_discovery_control(raw)))
    assert holm([]) == []


# --- before the run -----------------------------------------------------------------------------------------------------


def test_the_smallest_p_of_few_groups() -> None:
    assert smallest_p(5) == 2 / 32 and smallest_p(6) == 2 / 64 and smallest_p(0) == 1
    assert groups_needed(1) == 6 and groups_needed(10) == 9
    codes = np.arange(6)
    assert sign_flip(BoundedValues(np.full(6, 0.1), codes, -1.0, 1.0), seed=0)[0] == smallest_p(6)


def test_power_and_detectable_effect_are_those_of_the_published_tables() -> None:
    """Paired t test, d = 0.5, two-sided .05: 34 pairs for power .80 (Faul et al. 2007, G*Power; 33.37 unrounded)."""
    assert power(0.5, groups=34, spread=1.0) == pytest.approx(0.8078, abs=0.0005)
    assert minimum_detectable_effect(34, spread=1.0) == pytest.approx(0.4952, abs=0.0005)
    values = np.random.default_rng(8).normal(0, 1, 5000)
    values = 0.1 + 0.2 * (values - values.mean()) / values.std()
    assert questions_needed(alone(values, -2, 2), 0.0, alpha=0.05, two_sided=True) == 32  # z instead of t


def test_more_comparisons_and_fewer_groups_detect_less() -> None:
    assert (
        minimum_detectable_effect(100)
        < minimum_detectable_effect(100, comparisons=10)
        < minimum_detectable_effect(50, comparisons=10)
    )
    assert minimum_detectable_effect(5) == 1.0
    assert questions_needed(alone([0.1, -0.2, 0.0]), 0.0, alpha=0.05, two_sided=True) == float("inf")


def test_simultaneous_levels() -> None:
    assert simultaneous_level(10) == pytest.approx(0.995) and simultaneous_level(0) == 0.95


# --- coverage where the truth is known ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "groups", "size"),
    [(0.50, 0.55, 25, 1), (0.93, 0.98, 60, 1), (0.50, 0.50, 60, 1), (0.45, 0.50, 20, 4), (0.90, 0.95, 40, 3)],
)
def test_intervals_cover_and_weaker_ones_are_not_called_as_good(first: float, second: float, groups: int, size: int) -> None:
    """300 replicates: .95 - 3 Monte-Carlo errors = .912; .025 + 3 errors = .052."""
    rng = np.random.default_rng(9)
    codes = np.repeat(np.arange(groups), size)
    truth, covered, claimed = first - second, 0, 0
    for _ in range(300):
        shared, own = rng.standard_normal((2, groups)), rng.standard_normal((3, len(codes)))
        base = np.sqrt(0.6) * own[2]
        a, b = (np.sqrt(0.2) * shared[row][codes] + base + np.sqrt(0.2) * own[row] for row in (0, 1))
        values = (norm.cdf(a) < first).astype(float) - (norm.cdf(b) < second).astype(float)
        sample = BoundedValues(values, codes, -1.0, 1.0)
        found: Interval = mean_of(sample, level=0.95, seed=0, prefer_score=True)
        covered += found.low <= truth <= found.high
        claimed += score_test(sample, -0.05) < 0.025
    assert covered / 300 >= 0.912
    assert truth > -0.05 or claimed / 300 <= 0.052


# --- tables and the floor -----------------------------------------------------------------------------------------------


def scored(candidate: str, item: str, value: float | None, *, group: str = "g", seed: int = 0) -> Score:
    return Score(candidate, item, group, "", 0, seed, "", {} if value is None else {"f1": value})


def test_a_table_holds_the_items_to_which_the_metric_applies_for_all() -> None:
    table = score_table(
        {
            "b": [scored("b", "q2", 0.5), scored("b", "q1", 1.0), scored("b", "q3", None)],
            "a": [scored("a", "q1", 0.0), scored("a", "q1", 1.0), scored("a", "q2", 0.25), scored("a", "q3", 1.0)],
        },
        metric="f1",
    )
    assert (table.candidates, table.items, table.names) == (("b", "a"), ("q1", "q2"), ("g",))
    assert table.values.tolist() == [[1.0, 0.5], [0.5, 0.25]] and table.seeds == 1


def test_a_candidate_that_was_not_trained_stands_for_every_seed() -> None:
    tuned = [scored("tuned", item, value, seed=seed) for item, seed, value in product(("q1", "q2"), (3, 5), (0.5,))]
    tuned[1] = scored("tuned", "q1", 1.0, seed=5)
    table = score_table({"rag": [scored("rag", "q1", 0.0), scored("rag", "q2", 1.0)], "tuned": tuned}, metric="f1")
    assert table.by_seed.tolist() == [[[0.0, 1.0], [0.0, 1.0]], [[0.5, 0.5], [1.0, 0.5]]]
    assert table.values.tolist() == [[0.0, 1.0], [0.75, 0.5]]
    with pytest.raises(DataError, match="tuned: item 'q2' was not scored with the seeds 3, 5"):
        score_table({"tuned": tuned[:3]}, metric="f1")


def test_an_unfair_table_is_refused() -> None:
    with pytest.raises(DataError, match="b: 1 items were not scored, the first 'q2'"):
        score_table({"a": [scored("a", "q1", 1), scored("a", "q2", 1)], "b": [scored("b", "q1", 1)]}, metric="f1")
    with pytest.raises(DataError, match="two groups"):
        score_table({"a": [scored("a", "q1", 1, group="g")], "b": [scored("b", "q1", 1, group="h")]}, metric="f1")


def test_the_best_constant_answer() -> None:
    labels = [Example(f"q{n}", "?", (label,)) for n, label in enumerate(["yes"] * 5 + ["no"] * 4 + ["maybe"])]
    assert best_constant(labels, metric("label_accuracy")).answer == "yes"
    assert best_constant(labels, metric("label_accuracy")).score == 0.5
    unanswerable = [Example(f"u{n}", "?", ()) for n in range(6)]
    assert best_constant([*labels, *unanswerable], metric("f1")).answer == "Not in the documents."
    with pytest.raises(DataError, match="none of the questions"):
        best_constant(labels, metric("json_valid"))
