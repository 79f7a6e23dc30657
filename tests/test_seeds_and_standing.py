"""Claims about the method over several trainings, P(best) and the model confidence set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from groundtune.decision.verdict import Finding, decide_verdict
from groundtune.evaluation.crossed import sample_of, seed_spread
from groundtune.evaluation.standing import confidence_set, standing
from groundtune.evaluation.statistics import contrast, mean_of, questions_needed
from groundtune.evaluation.table import ScoreTable
from groundtune.types import Example, Score

Array = NDArray[np.float64]


def trained(rng: np.random.Generator, *, seeds: int, items: int, spread: float, mean: float = 0.6) -> Array:
    """Right or wrong [seed, item]: every training has its own mean, every item its difficulty."""
    means = np.clip(mean + spread * rng.standard_normal(seeds), 0.02, 0.98)
    latent = np.sqrt(0.6) * rng.standard_normal(items) + np.sqrt(0.4) * rng.standard_normal((seeds, items))
    return np.asarray((latent < norm.ppf(means)[:, None]).astype(float))


# --- crossed seeds and items --------------------------------------------------------------------------------------------


def test_the_spread_is_that_of_a_two_way_analysis_of_variance() -> None:
    values = np.array([[0.2, 0.6, 0.4], [0.5, 0.9, 1.0]])
    # by hand: seed means .4 and .8, group means .35 .75 .7; mean squares: seeds .24, groups .095, rest .015
    spread = seed_spread(values, np.arange(3))
    assert spread.deviation == pytest.approx(np.sqrt((0.24 - 0.015) / 3))
    assert spread.variance == pytest.approx((0.24 - 0.015) / 6)
    assert spread.freedom == pytest.approx(((0.24 + 0.095 - 0.015) / 0.24) ** 2)


def test_one_seed_or_seeds_that_do_not_matter_add_nothing() -> None:
    rng = np.random.default_rng(0)
    row = rng.uniform(size=(1, 40))
    for values in (row, np.repeat(row, 3, axis=0)):
        spread = seed_spread(values, np.arange(40))
        assert (spread.variance, spread.freedom, spread.deviation) == (0.0, float("inf"), 0.0)


def test_the_spread_between_trainings_is_recovered() -> None:
    rng = np.random.default_rng(1)
    found = [seed_spread(trained(rng, seeds=5, items=200, spread=0.06), np.arange(200)).deviation ** 2 for _ in range(300)]
    assert np.sqrt(np.mean(found)) == pytest.approx(0.06, rel=0.12)


def test_the_method_is_claimed_more_carefully_than_the_weights_and_mirrors() -> None:
    rng = np.random.default_rng(2)
    tuned = trained(rng, seeds=3, items=120, spread=0.08, mean=0.75)
    other = np.repeat(trained(rng, seeds=1, items=120, spread=0, mean=0.55), 3, axis=0)
    codes = np.arange(120)
    weights = contrast(tuned.mean(axis=0), other.mean(axis=0), codes, margin=0.05)
    method, back = contrast(tuned, other, codes, margin=0.05), contrast(other, tuned, codes, margin=0.05)
    assert method.difference == pytest.approx(weights.difference)
    assert method.interval.low < weights.interval.low and method.interval.high > weights.interval.high
    assert method.p_value > weights.p_value and method.p_not_worse > weights.p_not_worse
    assert "crossed score test (3 seeds x items)" in method.test and "seed-adjusted score" in method.interval.method
    assert (method.difference, method.p_value, method.p_not_worse) == (
        -back.difference,
        back.p_value,
        back.p_not_worse_reverse,
    )
    assert (method.interval.low, method.interval.high) == (-back.interval.high, -back.interval.low)


def test_intervals_of_the_method_cover_where_those_of_the_weights_do_not() -> None:
    """250 replicates of 3 trainings: .95 - 3 Monte-Carlo errors = .909."""
    rng = np.random.default_rng(3)
    covered = {"the method": 0, "these weights": 0}
    for _ in range(250):
        values = trained(rng, seeds=3, items=150, spread=0.08) - trained(rng, seeds=1, items=150, spread=0)
        for claim, rows in (("the method", values), ("these weights", values.mean(axis=0, keepdims=True))):
            sample = sample_of(rows, np.arange(150), low=-1.0, high=1.0)
            found = mean_of(sample, level=0.95, seed=0, prefer_score=False)
            covered[claim] += found.low <= 0 <= found.high
    assert covered["the method"] / 250 >= 0.909
    assert covered["these weights"] / 250 < 0.85


def test_no_number_of_questions_outweighs_the_scatter_of_trainings() -> None:
    values = np.full((3, 50), 0.05) + np.array([[0.1], [-0.1], [0.0]]) + np.linspace(-0.2, 0.2, 50)
    groups = np.arange(50)
    assert questions_needed(sample_of(values, groups, low=-1, high=1), 0.0, alpha=0.05, two_sided=True) == float("inf")
    weights = sample_of(values.mean(axis=0, keepdims=True), groups, low=-1, high=1)
    assert questions_needed(weights, 0.0, alpha=0.05, two_sided=True) < 100


# --- which claim a verdict makes ----------------------------------------------------------------------------------------


def race(tuned: Array, *, claim: str | None = None) -> Finding:
    """Tuned (several seeds) against a candidate that is right on the first half."""
    items = tuned.shape[1]

    def scores(name: str, rows: Array) -> list[Score]:
        return [
            Score(name, f"q{n:03d}", f"g{n}", "", 0, seed, "", {"f1": float(value)})
            for seed, row in enumerate(rows)
            for n, value in enumerate(row)
        ]

    half = (np.arange(items) < items / 2).astype(float)[None]
    return decide_verdict(
        {"rag": scores("rag", half), "tuned": scores("tuned", tuned)},
        metric="f1",
        examples=[Example(f"q{n:03d}", "?", ("a",)) for n in range(items)],
        costs={},
        margin=0.05,
        floor=0.0,
        claim=claim,  # type: ignore[arg-type]
    )


def test_the_verdict_says_which_claim_it_makes() -> None:
    steady = np.repeat((np.arange(100) < 80).astype(float)[None], 3, axis=0)
    one = race(steady[:1])
    assert one.claim == "these weights" and "claim" not in one.verdict.reason
    assert one.verdict.kind == "superior"
    method = race(steady)
    assert method.claim == "the method" and method.verdict.reason.endswith("; a claim about the method, from 3 training seeds.")
    assert method.verdict.kind == "superior", "trainings that agree take nothing away"
    assert race(steady[:1], claim="the method").claim == "these weights", "one training says nothing about the method"


def test_trainings_that_disagree_prove_these_weights_and_not_the_method() -> None:
    shares = (55, 70, 95)
    rows = np.array([(np.arange(100) < share).astype(float) for share in shares])
    weights, method = race(rows, claim="these weights"), race(rows)
    assert (weights.verdict.kind, weights.verdict.winner) == ("superior", "tuned")
    assert weights.verdict.reason.endswith("; a claim about these weights, averaged over 3 training seeds.")
    assert (method.verdict.kind, method.verdict.winner, method.verdict.provisional) == ("inconclusive", None, "tuned")


# --- standing -----------------------------------------------------------------------------------------------------------


def table_of(rows: Sequence[Array], groups: Array | None = None) -> ScoreTable:
    values = np.array(rows, dtype=float)
    codes = np.arange(values.shape[1]) if groups is None else groups
    names = tuple("abcdef"[: len(values)])
    items = tuple(f"q{n}" for n in range(values.shape[1]))
    return ScoreTable(names, items, codes, tuple(str(code) for code in range(codes.max() + 1)), values[:, None])


def test_p_best_of_two_is_the_chance_that_the_difference_is_positive() -> None:
    rng = np.random.default_rng(4)
    rows = rng.uniform(size=(2, 80)) * np.array([[1.0], [0.95]])
    difference = rows[0] - rows[1]
    expected = norm.cdf(difference.mean() / (difference.std() / np.sqrt(80)))
    found = standing(table_of(list(rows)))
    assert found.p_best["a"] == pytest.approx(expected, abs=0.02) and sum(found.p_best.values()) == pytest.approx(1)


def test_groups_are_resampled_whole() -> None:
    rng = np.random.default_rng(5)
    whole = rng.uniform(size=(2, 12)) * np.array([[1.0], [0.8]])
    alone = standing(table_of(list(whole))).p_best["a"]
    repeated = standing(table_of(list(np.repeat(whole, 5, axis=1)), np.repeat(np.arange(12), 5))).p_best["a"]
    assert repeated == pytest.approx(alone, abs=0.001)


def test_the_set_keeps_the_close_and_drops_the_far() -> None:
    rng = np.random.default_rng(6)
    rows = [(rng.uniform(size=200) < share).astype(float) for share in (0.8, 0.79, 0.3)]
    assert standing(table_of(rows)).confidence_set == ("a", "b")


def test_ties_twins_and_certain_differences_are_no_trouble() -> None:
    half = (np.arange(60) < 30).astype(float)
    assert standing(table_of([half, half])).p_best == {"a": 0.5, "b": 0.5}
    found = standing(table_of([half, 1 - half, np.zeros(60), half]))
    assert set(found.confidence_set) == {"a", "b", "d"}
    assert found.p_best["a"] == found.p_best["d"] and found.p_best["c"] == 0
    assert standing(table_of([np.ones(60), np.zeros(60)])).confidence_set == ("a",)
    assert standing(table_of([np.ones(9), np.zeros(9)], np.zeros(9, dtype=int))).confidence_set == ("a", "b")


def test_the_set_seldom_loses_the_best() -> None:
    """30 races of three, the best by 3 points: at least .95 less 3 Monte-Carlo errors."""
    rng = np.random.default_rng(7)
    kept = 0
    for number in range(30):
        rows = (rng.uniform(size=(3, 60)) < np.array([[0.63], [0.6], [0.6]])).astype(float)
        kept += bool(confidence_set(rows, np.ones(60), seed=number)[0])
    assert kept / 30 >= 0.83
