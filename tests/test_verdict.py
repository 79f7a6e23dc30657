"""Verdicts where the truth is known, and the rules against embarrassment."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from groundtune.decision.verdict import Finding, decide_verdict
from groundtune.types import Example, Score, Verdict

Array = NDArray[np.float64]
COSTS = {"prompt": 1.0, "rag": 2.0, "tuned": 3.0, "copy": 4.0}


@pytest.fixture(scope="module", autouse=True)
def quick_collections() -> Iterator[None]:
    """statsmodels collects garbage at every adjustment, which takes long in a process as large as a test run."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def scored(candidate: str, values: Sequence[float] | Array, groups: Sequence[str] = ()) -> list[Score]:
    return [
        Score(candidate, f"q{n:03d}", groups[n] if len(groups) else f"g{n}", "", 0, 0, "", {"f1": float(value)})
        for n, value in enumerate(values)
    ]


def examples(count: int) -> list[Example]:
    return [Example(f"q{n:03d}", f"question {n}?", (f"answer{n}",)) for n in range(count)]


def decide(
    rows: Mapping[str, Sequence[float] | Array],
    *,
    groups: Sequence[str] = (),
    costs: Mapping[str, float] = COSTS,
    margin: float = 0.05,
    floor: float | None = 0.0,
) -> Finding:
    scores = {name: scored(name, values, groups) for name, values in rows.items()}
    count = max(map(len, rows.values()), default=0)
    return decide_verdict(scores, metric="f1", examples=examples(count), costs=costs, margin=margin, floor=floor, seed=0)


def right(share: float, count: int, *, first: int = 0) -> Array:
    """A row of `count` items of which the share from `first` on is right."""
    return ((np.arange(count) - first) % count < round(share * count)).astype(float)


# --- the four kinds -----------------------------------------------------------------------------------------------------


def test_superior_when_every_other_is_beaten() -> None:
    verdict = decide({"prompt": right(0.2, 100), "rag": right(0.5, 100), "tuned": right(0.7, 100)}).verdict
    assert (verdict.kind, verdict.winner, verdict.provisional) == ("superior", "tuned", None)
    assert verdict.reason == (
        "tuned beats every other candidate, +20.0 points of f1 against rag (simultaneous 95 % interval +12.2 to +31.1, "
        "adjusted p = 1.91e-06); 100 questions in 100 independent groups."
    )


def test_the_cheapest_of_those_that_hold_up_wins() -> None:
    base = right(0.6, 400)
    close = base.copy()
    close[[0, 399]] = 1 - close[[0, 399]]
    verdict = decide({"tuned": base, "rag": close, "prompt": right(0.2, 400)}).verdict
    assert (verdict.kind, verdict.winner) == ("cheapest non-inferior", "rag")
    assert (
        decide({"tuned": base, "rag": close, "prompt": right(0.2, 400)}, costs={"tuned": 1, "rag": 2}).verdict.winner == "tuned"
    )


def test_close_candidates_at_a_hundred_questions_are_inconclusive() -> None:
    verdict = decide({"rag": right(0.6, 100), "tuned": right(0.62, 100, first=20)}).verdict
    assert (verdict.kind, verdict.winner, verdict.provisional) == ("inconclusive", None, "tuned")
    assert verdict.further_questions is not None and 500 < verdict.further_questions < 5000
    assert f"about {verdict.further_questions} further questions would settle it" in verdict.reason


def test_none_is_good_enough_below_the_floor() -> None:
    verdict = decide({"prompt": right(0.1, 100), "rag": right(0.4, 100)}, floor=0.5).verdict
    assert (verdict.kind, verdict.winner, verdict.provisional) == ("none good enough", None, None)
    assert verdict.reason.startswith("The best, rag, scores 0.400 on f1, below the floor of 0.500")


def test_the_floor_defaults_to_the_best_constant_answer_plus_the_margin() -> None:
    items = [Example(f"q{n:03d}", "?", ("yes",) if n < 60 else ("no",)) for n in range(100)]
    rows = {"prompt": scored("prompt", right(0.62, 100)), "rag": scored("rag", right(0.2, 100))}
    found = decide_verdict(rows, metric="f1", examples=items, costs=COSTS, margin=0.05)
    assert found.floor == pytest.approx(0.65) and found.constant == "yes"
    assert found.verdict.kind == "none good enough"


def test_a_winner_below_the_floor_is_never_the_cheapest_non_inferior() -> None:
    base = right(0.6, 400)
    lower = base.copy()
    lower[:4] = 0
    rows = {"prompt": lower, "tuned": base}
    assert decide(rows, floor=0.0).verdict.winner == "prompt"
    assert decide(rows, floor=0.595).verdict.winner == "tuned"


def test_nobody_meets_the_constraints() -> None:
    found = decide({})
    assert found.verdict.kind == "none good enough" and found.comparisons == ()


def test_a_candidate_without_rival_must_beat_the_best_constant_answer() -> None:
    assert decide({"rag": right(0.9, 30)}, floor=0.55).verdict.winner == "rag"
    alone = decide({"rag": right(0.6, 30)}, floor=0.55).verdict
    assert (alone.kind, alone.provisional) == ("inconclusive", "rag") and alone.further_questions


# --- comparisons --------------------------------------------------------------------------------------------------------


def test_every_ordered_pair_is_compared_and_mirrors() -> None:
    found = decide({"prompt": right(0.2, 100), "rag": right(0.5, 100), "tuned": right(0.55, 100)})
    pairs = {(one.a, one.b): one for one in found.comparisons}
    assert len(pairs) == 6
    for (a, b), there in pairs.items():
        back = pairs[b, a]
        assert there.difference == -back.difference and there.interval.low == -back.interval.high
        assert there.p_adjusted == back.p_adjusted >= there.p_value
        assert (there.items, there.groups) == (100, 100)
    assert pairs["tuned", "prompt"].p_not_worse < 0.001 < 0.9 < pairs["prompt", "tuned"].p_not_worse
    assert "simultaneous over 3 pairs" in pairs["rag", "tuned"].interval.method


# --- rules against embarrassment ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 10, 25, 50])
@pytest.mark.parametrize("gap", [0.05, 0.15])
def test_a_weaker_but_noisy_candidate_is_not_called_as_good_because_there_are_few_items(count: int, gap: float) -> None:
    rng = np.random.default_rng(count)
    claims, not_significant = 0, 0
    for _ in range(60):
        strong = (rng.uniform(size=count) < 0.6).astype(float)
        weak = (rng.uniform(size=count) < 0.6 - gap).astype(float)
        found = decide({"prompt": weak, "tuned": strong})
        claims += found.verdict.kind == "cheapest non-inferior" and found.verdict.winner == "prompt"
        not_significant += found.comparisons[0].p_adjusted >= 0.05
    assert claims <= 1
    assert not_significant >= 30, "not significantly worse would have been taken for as good"


def test_few_items_without_any_difference_prove_nothing() -> None:
    base = right(0.6, 40)
    other = base.copy()
    other[0] = 0
    assert decide({"prompt": other, "tuned": base}).verdict.kind == "inconclusive"


def test_equal_scores_by_chance_do_not_make_few_items_a_proof() -> None:
    """Near the ceiling a candidate that is worse by the margin often scores the same on 25 items (7 % of such races)."""

    def verdict(count: int, *, answers: tuple[str, str]) -> Verdict:
        rows = {
            name: [replace(score, answer=answer) for score in scored(name, right(0.96, count))]
            for name, answer in zip(("prompt", "tuned"), answers, strict=True)
        }
        return decide_verdict(rows, metric="f1", examples=examples(count), costs=COSTS, margin=0.05, floor=0.0).verdict

    few = verdict(25, answers=("4", "four"))
    assert (few.kind, few.winner, few.provisional) == ("inconclusive", None, "prompt")
    assert "the same as tuned on every question, but with other answers" in few.reason
    assert few.further_questions is not None and 40 <= few.further_questions <= 60  # by the score test 73 in all
    assert verdict(25 + few.further_questions + 25, answers=("4", "four")).winner == "prompt"
    assert verdict(25, answers=("4", "4")).winner == "prompt", "the same answers are the same candidate"


def test_shuffled_labels_have_no_winner() -> None:
    rng = np.random.default_rng(1)
    labels = np.array(["a", "b", "c", "d"])[rng.integers(0, 4, 120)]
    said = {"prompt": labels, "rag": np.where(rng.uniform(size=120) < 0.9, labels, "a"), "tuned": rng.permutation(labels)}
    wins = 0
    for _ in range(30):
        truth = rng.permutation(labels)
        items = [Example(f"q{n:03d}", "?", (str(label),)) for n, label in enumerate(truth)]
        rows = {name: scored(name, (answers == truth).astype(float)) for name, answers in said.items()}
        wins += decide_verdict(rows, metric="f1", examples=items, costs=COSTS, margin=0.05).verdict.winner is not None
    assert wins == 0
    items = [Example(f"q{n:03d}", "?", (str(label),)) for n, label in enumerate(labels)]
    rows = {name: scored(name, (answers == labels).astype(float)) for name, answers in said.items()}
    true = decide_verdict(rows, metric="f1", examples=items, costs=COSTS, margin=0.05).verdict
    assert (true.kind, true.winner) == ("superior", "prompt"), "the true labels do have a winner"


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("superior", {"prompt": right(0.2, 100), "rag": right(0.5, 100)}),
        ("cheapest non-inferior", {"prompt": right(0.599, 400), "rag": right(0.6, 400)}),
        ("inconclusive", {"prompt": right(0.5, 60), "rag": right(0.55, 60, first=9)}),
        ("cheapest non-inferior", {"rag": right(0.5, 60)}),
    ],
    ids=["superior", "cheapest non-inferior", "inconclusive", "alone"],
)
def test_an_exact_duplicate_changes_nothing(kind: str, rows: dict[str, Array]) -> None:
    alone, doubled = decide(rows), decide({**rows, "copy": rows["rag"]})
    assert alone.verdict.kind == kind
    assert doubled.verdict == alone.verdict
    kept = [one for one in doubled.comparisons if "copy" not in (one.a, one.b)]
    assert kept == list(alone.comparisons)
    same = next(one for one in doubled.comparisons if (one.a, one.b) == ("rag", "copy"))
    assert (same.difference, same.p_value) == (0, 1) and same.interval.low < 0 < same.interval.high


def test_of_duplicates_the_cheapest_stands_for_all() -> None:
    rows = {"prompt": right(0.2, 100), "rag": right(0.5, 100), "copy": right(0.5, 100)}
    assert decide(rows).verdict.winner == "rag"
    assert decide(rows, costs={**COSTS, "copy": 1.5}).verdict.winner == "copy"


def test_names_of_candidates_and_groups_and_order_of_items_change_nothing() -> None:
    rng = np.random.default_rng(2)
    rows = {name: rng.uniform(size=60) * share for name, share in [("prompt", 0.4), ("rag", 0.9), ("tuned", 1.0)]}
    groups = [f"g{n // 2}" for n in range(60)]
    first = decide(rows, groups=groups)

    renamed = {"prompt": "zeta", "rag": "alpha", "tuned": "mid"}
    other = decide(
        {renamed[name]: row for name, row in rows.items()},
        groups=[f"other {59 - n // 2}" for n in range(60)],
        costs={renamed[name]: cost for name, cost in COSTS.items() if name in renamed},
    )
    back = {new: old for old, new in renamed.items()}
    assert [replace(one, a=back[one.a], b=back[one.b]) for one in other.comparisons] == list(first.comparisons)
    assert (other.verdict.kind, other.verdict.further_questions) == (first.verdict.kind, first.verdict.further_questions)
    assert back.get(other.verdict.provisional or "") == first.verdict.provisional

    shuffled = {name: list(rng.permutation(np.array(scored(name, row, groups), dtype=object))) for name, row in rows.items()}
    assert decide_verdict(shuffled, metric="f1", examples=examples(60), costs=COSTS, margin=0.05, floor=0.0) == first


def test_equal_candidates_are_seldom_called_superior() -> None:
    """Family-wise at most .05; 120 races of three equal candidates."""
    rng = np.random.default_rng(3)
    false = sum(
        decide({name: (rng.uniform(size=50) < 0.5).astype(float) for name in ("prompt", "rag", "tuned")}).verdict.kind
        == "superior"
        for _ in range(120)
    )
    assert false / 120 <= 0.05


def test_equal_candidates_in_groups_are_seldom_called_superior() -> None:
    rng = np.random.default_rng(4)
    groups = [f"g{n // 5}" for n in range(60)]
    false = 0
    for _ in range(100):
        rows = {name: np.repeat((rng.uniform(size=12) < 0.5).astype(float), 5) for name in ("prompt", "rag")}
        false += decide(rows, groups=groups).verdict.kind == "superior"
    assert false / 100 <= 0.11


def test_a_group_with_half_of_the_items_is_reported() -> None:
    groups = ["big"] * 50 + [f"g{n}" for n in range(50)]
    verdict = decide({"prompt": right(0.2, 100), "rag": right(0.9, 100)}, groups=groups).verdict
    assert "100 questions in 51 independent groups, one of which holds 50 % of them" in verdict.reason


def test_too_few_groups_decide_nothing_and_say_how_many_would() -> None:
    groups = [f"g{n // 10}" for n in range(40)]
    verdict = decide({"prompt": right(0.0, 40), "rag": right(1.0, 40)}, groups=groups).verdict
    assert verdict.kind == "inconclusive" and verdict.further_questions == 20  # six groups of ten: 2 / 2^6 < .05
