"""Judges: replies read strictly, agreement against other implementations, planted biases found, small ones kept from gates."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import spearmanr

from groundtune.errors import DataError, NotFound, UsageError
from groundtune.evaluation.calibration import Calibration, RatedAnswer, RatedPair, calibrate
from groundtune.evaluation.judge import compare, judge_answers, load_judge, require_gate, size_in_name, why_no_gate
from groundtune.scoring.judgement import BothOrders, both_orders, read_preference, read_rating
from groundtune.types import Judged, Preference

QUESTIONS = 60
ORDER: tuple[Preference, ...] = ("first", "tie", "second")


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        ("Rating: 4", 4),
        (" rating:5.\n", 5),
        ("3", 3),
        ("Rating: 0", None),
        ("Rating: 6", None),
        ("Rating: 4/5", None),
        ("Rating: 4 because", None),
        ("I rate it 4", None),
        ("4.5", None),
        ("", None),
    ],
)
def test_ratings_are_read_strictly(text: str, rating: int | None) -> None:
    assert read_rating(text, scale=5) == rating


@pytest.mark.parametrize(
    ("text", "side"),
    [
        ("Better: A", "first"),
        ("better: b.", "second"),
        ("Answer B", "second"),
        ("Better: tie", "tie"),
        ("A and B", None),
        ("Better: C", None),
        ("Better: A or B", None),
        ("", None),
    ],
)
def test_preferences_are_read_strictly(text: str, side: Preference | None) -> None:
    assert read_preference(text) == side


def test_two_orders_are_one_judgement_only_when_they_agree() -> None:
    found = both_orders(["first", "first", "tie", None], ["second", "first", "tie", "first"])
    assert [one.preference for one in found] == ["first", "tie", "tie", None]
    assert [one.consistent for one in found] == [True, False, True, False]


# --- agreement ----------------------------------------------------------------------------------------------------------


def rated(seed: int = 0, *, scale: int = 5) -> list[RatedAnswer]:
    """Three answers a question; the judge is near the people two times in three."""
    draw = random.Random(seed)
    found = []
    for number in range(QUESTIONS):
        for _ in range(3):
            people = [draw.randint(1, scale)] * 3
            judge = people[0] if draw.random() < 2 / 3 else draw.randint(1, scale)
            found.append(RatedAnswer(f"q{number}", tuple(people), judge, draw.randint(5, 90)))
    return found


def cohen(first: list[int], second: list[int], classes: int, *, quadratic: bool) -> float:
    """By its definition: 1 - observed / expected disagreement."""
    seen = expected = 0.0
    for a in range(classes):
        for b in range(classes):
            weight = float((a - b) ** 2) if quadratic else float(a != b)
            seen += weight * sum(pair == (a, b) for pair in zip(first, second, strict=True)) / len(first)
            expected += weight * first.count(a) * second.count(b) / len(first) ** 2
    return 1 - seen / expected


def test_agreement_equals_other_implementations() -> None:
    answers = rated()
    judge, people = [one.judge or 0 for one in answers], [int(one.people[0]) for one in answers]
    found = calibrate("j", fingerprint="f", scale=5, answers=answers)
    assert found.agreement.value == pytest.approx(np.mean(np.array(judge) == people))
    wanted = cohen([one - 1 for one in judge], [one - 1 for one in people], 5, quadratic=True)
    assert found.kappa.value == pytest.approx(wanted)
    assert found.spearman.value == pytest.approx(spearmanr(judge, people).statistic)
    for figure in (found.agreement, found.kappa, found.spearman):
        assert figure.value is not None
        assert figure.interval is not None
        assert figure.interval.low < figure.value < figure.interval.high
    assert found.above_chance
    assert found.biases == ()


def test_the_kappa_of_a_published_table() -> None:
    """Cohen's kappa of the 2 x 2 table 20, 5, 10, 15 is 0.4 (agreement .7, by chance .5)."""
    cells = [("first", "first")] * 20 + [("first", "second")] * 5 + [("second", "first")] * 10 + [("second", "second")] * 15
    pairs = [RatedPair(f"q{number}", people, BothOrders(judge, judge), (5, 5)) for number, (judge, people) in enumerate(cells)]
    found = calibrate("j", fingerprint="f", scale=5, pairs=pairs)
    assert found.pair_kappa.value == pytest.approx(0.4)
    assert found.pair_agreement.value == pytest.approx(0.7)
    assert found.kappa.value is None


def test_what_cannot_be_read_is_counted_and_left_out() -> None:
    answers = [RatedAnswer(one.item, one.people, None if place % 3 == 0 else one.judge, 5) for place, one in enumerate(rated())]
    found = calibrate("j", fingerprint="f", scale=5, answers=answers)
    assert (found.answers, found.unread) == (2 * QUESTIONS, QUESTIONS)


def test_few_questions_calibrate_nothing() -> None:
    with pytest.raises(DataError, match="9 questions"):
        calibrate("j", fingerprint="f", scale=5, answers=rated()[:27])


# --- planted biases -----------------------------------------------------------------------------------------------------


def people_say() -> tuple[list[Judged], list[tuple[float, ...]]]:
    """Two answers a question, a right and a wrong one; which is longer and which comes first is drawn."""
    draw = random.Random(1)
    answers, ratings = [], []
    for number in range(QUESTIONS):
        right = " ".join(draw.choices(["amber", "basalt", "cedar", "delta", "ember", "fjord"], k=8)) + f" {number}"
        wrong = " ".join(draw.choices(["no", "idea", "perhaps", "maybe"], k=draw.choice([3, 60])))
        pair = [(f"{right}.", 5.0), (f"{wrong}.", 1.0)]
        draw.shuffle(pair)
        for text, rating in pair:
            answers.append(Judged(f"q{number}", "Which ones?", text, reference=right))
            ratings.append((rating,) * 3)
    return answers, ratings


def calibrated(kind: str) -> Calibration:
    judge = load_judge(f"fake-judge:{kind}")
    answers, people = people_say()
    lengths = [len(one.answer.split()) for one in answers]
    rows = [
        RatedAnswer(one.item, given, rating, words)
        for one, given, rating, words in zip(answers, people, judge.rate(answers), lengths, strict=True)
    ]
    pairs = [
        RatedPair(
            answers[2 * place].item,
            "first" if people[2 * place] > people[2 * place + 1] else "second",
            judged,
            (lengths[2 * place], lengths[2 * place + 1]),
        )
        for place, judged in enumerate(compare(judge, answers[::2], answers[1::2]))
    ]
    return calibrate(judge.name, fingerprint=judge.fingerprint, scale=judge.scale, answers=rows, pairs=pairs)


@pytest.mark.parametrize(("kind", "bias"), [("position", "position"), ("length", "length"), ("yes", "always-yes")])
def test_a_planted_bias_is_found_and_no_other(kind: str, bias: str) -> None:
    found = calibrated(kind)
    assert [one.name for one in found.biases] == [bias]
    assert found.biases[0].words
    assert found.biases[0].figure.interval is not None


def test_a_fair_judge_has_no_bias_and_agrees() -> None:
    found = calibrated("fair")
    assert found.biases == ()
    assert found.above_chance
    assert found.pair_agreement.value == 1
    assert found.consistent.value == 1
    assert found.first_shown.value == 0.5


def test_a_judge_that_contradicts_itself_in_the_other_order_is_inconsistent() -> None:
    found = calibrated("position")
    assert found.consistent.value == 0
    assert found.first_shown.value == 1
    assert found.pair_kappa.value == 0


# --- results and gates --------------------------------------------------------------------------------------------------


def test_a_result_carries_its_calibration_and_no_other_judges() -> None:
    answers, _ = people_say()
    calibration = calibrated("fair")
    judge = load_judge("fake-judge:fair")
    found = judge_answers(judge, answers, calibration=calibration)
    assert found.calibration is calibration
    assert found.unread == 0
    assert found.mean == pytest.approx(sum(rating - 1 for rating in judge.rate(answers) if rating) / 4 / len(answers))
    with pytest.raises(UsageError, match="another judge"):
        judge_answers(load_judge("fake-judge:yes"), answers, calibration=calibration)
    with pytest.raises(UsageError, match="another judge"):
        judge_answers(load_judge("fake-judge:fair", scale=4), answers, calibration=calibration)


def test_a_judge_that_does_not_follow_the_format_judges_nothing() -> None:
    found = calibrated("chatty")
    assert (found.answers, found.pairs, found.unread) == (0, 0, 3 * QUESTIONS)
    assert not found.above_chance
    with pytest.raises(DataError, match="no reply"):
        judge_answers(load_judge("fake-judge:chatty"), people_say()[0], calibration=found)


def test_only_a_large_calibrated_judge_without_bias_may_gate() -> None:
    fair = calibrated("fair")
    assert why_no_gate(load_judge("fake-judge:fair", parameters=8_000_000_000), fair) == ""
    for size, why in ((None, "not known"), (1_000_000_000, "more than 1B"), (135_000_000, "more than 1B")):
        with pytest.raises(UsageError, match=why):
            require_gate(load_judge("fake-judge:fair", parameters=size), fair)
    assert "not measured" in why_no_gate(load_judge("fake-judge:fair", parameters=8_000_000_000), None)
    biased = why_no_gate(load_judge("fake-judge:length", parameters=8_000_000_000), calibrated("length"))
    assert "chance" in biased or "length" in biased


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("openai:Qwen2.5-7B-Instruct", 7_000_000_000),
        ("openai:llama-3.1-405b-instruct", 405_000_000_000),
        ("hf:HuggingFaceTB/SmolLM2-135M-Instruct", 135_000_000),
        ("embedded:smollm2", 135_000_000),
        ("openai:qwen-0.5B-from-70B", 500_000_000),
        ("openai:gpt-4o", None),
        ("openai:mixtral-8x7b", None),
    ],
)
def test_sizes_are_read_from_names_and_never_guessed(name: str, size: int | None) -> None:
    assert size_in_name(name) == size


def test_answers_to_different_questions_are_not_compared() -> None:
    judge = load_judge("fake-judge:fair")
    with pytest.raises(DataError, match="same question"):
        judge.prefer([Judged("a", "One?", "x")], [Judged("b", "Two?", "y")])
    with pytest.raises(NotFound):
        load_judge("fake-judge:just")
