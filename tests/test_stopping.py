"""Alpha spending and the frugal race without models: published values, computation by hand, rates of false claims."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from groundtune.decision.evidence import Entrant, Evidence, Looks
from groundtune.decision.stopping import Course, race, rungs_of
from groundtune.evaluation.spending import Family, look_weights, predictive_power, weighted_holm
from groundtune.evaluation.statistics import contrast, holm

Array = NDArray[np.float64]
ENDS = (25, 50, 100)


def looks(ends: tuple[int, ...] = ENDS, groups: NDArray[np.int64] | None = None) -> Looks:
    items = tuple(f"q{number:03d}" for number in range(ends[-1]))
    return Looks(items, ends, np.arange(ends[-1]) if groups is None else groups)


def run(rows: Mapping[tuple[str, float], Array], entrants: list[Entrant], *, floor: float = 0.1) -> tuple[Course, list[str]]:
    """The course of a race on these rows, and what was measured, in order."""
    asked: list[str] = []

    def measure(name: str, look: int, share: float) -> Array:
        asked.append(f"{name} {share:g} {look}")
        return rows[name, share][: ENDS[look]]

    return race(entrants, looks(), measure=measure, margin=0.05, floor=floor), asked


def right(count: int, *, of: int = 100) -> Array:
    """So many of 100 right, spread evenly."""
    return ((np.arange(of) * 37 % of) < count).astype(float)


def test_each_look_may_use_what_it_adds_to_the_information() -> None:
    assert look_weights((0.25, 0.5, 1.0)) == (0.25, 0.25, 0.5)
    assert look_weights((1.0,)) == (1.0,)


def test_predictive_power_is_how_often_a_race_goes_on_to_reject() -> None:
    """Two million effects, all equally likely beforehand, each with what 30 % and all of its items would show."""
    rng = np.random.default_rng(4)
    share, level = 0.3, 0.0125
    effects = rng.uniform(-8, 8, size=2_000_000)
    part = share * effects + share**0.5 * rng.standard_normal(len(effects))
    whole = part + (1 - share) * effects + (1 - share) ** 0.5 * rng.standard_normal(len(effects))
    for p_value in (0.001, 0.05, 0.5, 0.8):
        alike = np.abs(part / share**0.5 - norm.isf(p_value)) < 0.05
        seen = float((whole[alike] > norm.isf(level)).mean())
        assert predictive_power(p_value, share, level=level) == pytest.approx(seen, abs=0.02)
    assert predictive_power(0.0, share, level=level) == pytest.approx(1.0) and predictive_power(1.0, share, level=level) < 1e-6


def test_weighted_holm_with_equal_weights_is_holm_and_by_hand_with_others() -> None:
    raw = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}
    expected = multipletests(list(raw.values()), method="holm")[1]
    assert list(map(weighted_holm(raw, dict.fromkeys(raw, 1.0)).__getitem__, raw)) == pytest.approx(expected)
    by_hand = weighted_holm({"a": 0.01, "b": 0.02, "c": 0.9}, {"a": 0.5, "b": 1.0, "c": 1.0})
    assert by_hand == pytest.approx({"a": 0.025, "b": 0.04, "c": 0.9})


def test_a_family_takes_the_smallest_p_by_weight_and_leaves_what_is_untested_at_one() -> None:
    family: Family[str] = Family()
    family.enter("seen", (0.1, 0.9))
    family.enter("unseen", (0.1, 0.9))
    family.see("seen", 0, 0.001)
    family.see("seen", 1, 0.02)
    assert family.adjusted() == pytest.approx({"seen": 2 * 0.001 / 0.1, "unseen": 1.0})


def test_with_one_look_the_evidence_is_that_of_the_exhaustive_race() -> None:
    rng = np.random.default_rng(3)
    groups = np.arange(60) // 2
    one, other = rng.uniform(size=60), rng.uniform(size=60)
    evidence = Evidence((Entrant("a", 1.0), Entrant("b", 2.0)), looks((60,), groups), 0.05)
    evidence.rows |= {("a", 1.0, 0): one, ("b", 1.0, 0): other}
    evidence.see(0, [("b", "a")], learned={"a": 1.0, "b": 1.0}, growth={})
    found = contrast(one, other, groups, margin=0.05)
    learned = {"a": 1.0, "b": 1.0}
    assert evidence.better(learned)[frozenset("ab")] == pytest.approx(found.p_value, rel=0.02)  # flips are drawn
    first, second = holm([found.p_not_worse, found.p_not_worse_reverse])
    scale = 0.025 / 0.015  # a part of the error rate is kept for what spares work
    assert evidence.not_worse(learned, 0.05) == pytest.approx({("a", "b"): scale * first, ("b", "a"): scale * second}, rel=1e-6)


def test_rungs_need_sixteen_pairs() -> None:
    assert rungs_of(1024) == (1 / 16, 1 / 4, 1.0)
    assert rungs_of(1023) == rungs_of(64) == (1 / 4, 1.0)
    assert rungs_of(63) == (1.0,)


def test_a_hopeless_candidate_is_dropped_and_answers_no_more() -> None:
    rows = {("good", 1.0): right(90), ("fair", 1.0): right(85), ("bad", 1.0): right(0)}
    course, asked = run(rows, [Entrant("bad", 1.0), Entrant("fair", 2.0), Entrant("good", 3.0)])
    assert "bad 1 2" not in asked and "fair 1 2" in asked
    assert course.left == ("fair", "good")
    assert course.stops["bad"].why.startswith("worse than good by 5 points or more: 0.0 against")
    assert course.seen.unmatched("good", 0.05) == ()


def test_no_training_begins_where_nothing_can_be_better_by_the_margin() -> None:
    ends = (100, 200, 400)
    perfect, poor = np.ones(400), np.zeros(400)
    asked: list[str] = []

    def measure(name: str, look: int, share: float) -> Array:
        asked.append(name)
        return {"prompt": perfect, "few_shot": poor}[name][: ends[look]]

    entrants = [Entrant("prompt", 1.0), Entrant("few_shot", 2.0), Entrant("tuned", 1.0, (0.25, 1.0))]
    course = race(entrants, looks(ends), measure=measure, margin=0.05, floor=0.1)
    assert "tuned" not in asked and course.evidence.untried == ("tuned",)
    assert course.stops["tuned"].why == "not trained: prompt scores 100.0 points, and nothing can be better by 5 or more"
    assert course.seen.unmatched("prompt", 0.05) == () and course.seen.unmatched("prompt", 0.001) == ("tuned",)


def test_a_tuned_candidate_is_dropped_by_what_its_learning_curve_promises() -> None:
    rows = {
        ("rag", 1.0): right(90),
        ("flat", 1 / 16): right(10),
        ("flat", 1 / 4): right(12),
        ("steep", 1 / 16): right(0),
        ("steep", 1 / 4): right(40),
        ("steep", 1.0): right(80),
    }
    rungs = rungs_of(1600)
    course, asked = run(rows, [Entrant("rag", 1.0), Entrant("flat", 2.0, rungs), Entrant("steep", 2.0, rungs)])
    assert not any(what.startswith("flat 1 ") for what in asked), "it was trained in full"
    assert "steep 1 2" in asked, "it starts late and was given up"
    assert course.stops["flat"].learned == 0.25 and "all its data may bring" in course.stops["flat"].why


def test_a_candidate_without_a_smaller_rung_is_never_dropped_before_all_its_data() -> None:
    rows = {("rag", 1.0): right(95), ("tuned", 1 / 4): right(0), ("tuned", 1.0): right(1)}
    course, asked = run(rows, [Entrant("rag", 1.0), Entrant("tuned", 2.0, (1 / 4, 1.0))])
    assert any(what.startswith("tuned 1 ") for what in asked)
    assert course.stops["tuned"].learned == 1 and course.left == ("rag",)
    assert course.seen.others == ("tuned",) and len(course.items) == 100, "rag answered everything before the training began"


def test_a_clear_winner_with_a_quarter_of_its_data_ends_the_race() -> None:
    rows = {("prompt", 1.0): right(5), ("tuned", 1 / 4): right(95)}
    course, asked = run(rows, [Entrant("prompt", 1.0), Entrant("tuned", 2.0, (1 / 4, 1.0))])
    assert course.ended == "Decided after 25 of 100 questions, with weights from 1/4 of its training pairs: " + (
        "tuned is better than every other candidate."
    )
    assert asked == ["prompt 1 0", "tuned 0.25 0"] and course.items == looks().items[:25]
    assert course.stops["tuned"].learned == 0.25


def test_a_race_of_equals_ends_when_nobody_is_likely_to_win() -> None:
    rows = {("a", 1.0): right(50), ("b", 1.0): np.roll(right(50), 7), ("tuned", 1 / 4): right(45), ("tuned", 1.0): right(52)}
    course, _ = run(rows, [Entrant("a", 1.0), Entrant("b", 2.0), Entrant("tuned", 2.0, (1 / 4, 1.0))])
    assert course.left == ("a", "b", "tuned")
    assert course.ended == "Ended after 50 of 100 questions: nobody has a chance of 10 % to win with all of them."
    assert course.seen.learned["tuned"] == 1 and all(stop.why == "the race was over" for stop in course.stops.values())


def test_no_race_ends_for_want_of_a_chance_while_somebody_can_still_learn() -> None:
    rows = {("a", 1.0): right(50), ("tuned", 1 / 4): right(50), ("tuned", 1.0): right(95)}
    course, asked = run(rows, [Entrant("a", 1.0), Entrant("tuned", 2.0, (1 / 4, 1.0))])
    assert asked == ["a 1 0", "tuned 0.25 0", "tuned 1 0"], "a quarter that is not ahead answers no more"
    assert course.ended == "Decided after 25 of 100 questions: tuned is better than every other candidate."


@pytest.mark.parametrize(("training", "continued"), [(0.0, False), (100.0, True)])
def test_a_quarter_that_leads_goes_on_where_training_is_dearer_than_answers(training: float, continued: bool) -> None:
    rows = {("a", 1.0): right(40), ("tuned", 1 / 4): right(70), ("tuned", 1.0): right(90)}
    _, asked = run(rows, [Entrant("a", 1.0), Entrant("tuned", 2.0, (1 / 4, 1.0), training)])
    assert ("tuned 0.25 1" in asked) == continued


def test_where_nobody_is_good_enough_the_race_ends_early() -> None:
    course, _ = run({("a", 1.0): right(0), ("b", 1.0): right(1)}, [Entrant("a", 1.0), Entrant("b", 2.0)], floor=0.2)
    assert course.ended.startswith("Ended after 25 of 100 questions") and course.left == ("a", "b")


def test_items_without_the_metric_are_left_out_of_a_pair() -> None:
    gaps = right(5)
    gaps[::10] = np.nan
    course, _ = run({("a", 1.0): gaps, ("b", 1.0): right(95)}, [Entrant("a", 1.0), Entrant("b", 2.0)])
    assert course.ended == "Decided after 25 of 100 questions: b is better than every other candidate."


@pytest.mark.parametrize(("mean", "tuned"), [(0.9, 0), (0.5, 2)])
def test_with_looks_and_rungs_a_winner_among_equals_stays_rarer_than_promised(mean: float, tuned: int) -> None:
    """A reduced `benchmarks/stopping.py`: claims of superiority in any state of the race, and drops, among equals."""
    rng = np.random.default_rng(11)
    names, replicates = ["a", "b", "c", "d"], 120
    entrants = [Entrant(name, 1.0, rungs_of(1024) if number >= len(names) - tuned else ()) for number, name in enumerate(names)]
    claimed = dropped = 0
    for _ in range(replicates):
        hard = rng.standard_normal(100)
        limit = norm.ppf(mean)
        rows = {
            (one.name, share): ((0.6**0.5 * hard + 0.4**0.5 * rng.standard_normal(100)) < limit).astype(float)
            for one in entrants
            for share in (one.rungs or (1.0,))
        }
        course, _ = run(rows, entrants)
        better = course.seen.better()
        claimed += any(min(better[frozenset((one, other))] for other in names if other != one) < 0.05 for one in names)
        dropped += len(course.left) < len(names)
    assert claimed <= 0.05 * replicates + 2 * (0.05 * replicates) ** 0.5
    assert dropped <= 0.025 * replicates + 2 * (0.025 * replicates) ** 0.5
