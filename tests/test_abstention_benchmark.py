"""Benchmark of abstention: figures against hand computations, and how turns of the data set become questions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.abstention import Item, figures_of, held_out, interval, kind_of, measured, row_of, stratified_auroc
from benchmarks.harness import write_rows
from groundtune.types import Example
from tests.firm import write_firm


def items(kind: str, *evidence: float) -> list[Item]:
    return [Item(f"{kind}{number}", kind, value) for number, value in enumerate(evidence)]


def test_figures_by_hand() -> None:
    # Pairs in which the answerable one lies above: 5 x 2 less the one of .3 below .4.
    some = [*items("answerable", 0.9, 0.8, 0.7, 0.6, 0.3), *items("unanswerable", 0.4, 0.1), *items("partial", 0.65, 0.2)]
    figures = figures_of("x", some)
    assert figures["x_auroc"] == pytest.approx(9 / 10)
    assert figures["x_coverage_at_90_precision"] == pytest.approx(4 / 7), "all above .4"
    assert figures["x_abstained_of_unanswerable"] == 1.0
    assert (figures["x_partial"], figures["x_answered_of_partial"]) == (2, 0.5), "the threshold is .6"
    assert figures["x_auroc_of_answerable_over_partial"] == pytest.approx((4 + 4 - 1 + 1) / 10)
    assert "x_underspecified" not in figures
    assert not [name for name in figures if "held_out" in name], "too few to be split"
    low, high = figures["x_auroc_low"], figures["x_auroc_high"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert low <= 0.9 <= high


def test_intervals_keep_conversations_together() -> None:
    apart = [*items("answerable", *[0.6, 0.4] * 20), *items("unanswerable", *[0.5, 0.3] * 20)]
    together = [Item(f"{one.kind}{number // 20}", one.kind, one.evidence) for number, one in enumerate(apart)]
    narrow, wide = interval(apart, seed=0), interval(together, seed=0)
    assert narrow[0] < 0.75 < narrow[1]
    assert narrow == interval(apart, seed=0)
    assert wide != narrow


def test_held_out_thresholds_never_saw_their_conversation() -> None:
    clear = [*items("answerable", *[0.9] * 20), *items("unanswerable", *[0.1] * 10)]
    found = held_out(clear, seed=0)
    assert (found["coverage"], found["precision"], found["auroc"]) == (pytest.approx(20 / 30), 1.0, 1.0)
    assert found["formulas_chosen"] == "product 5"
    noise = [*items("answerable", *[0.5] * 10), *items("unanswerable", *[0.5] * 20)]
    assert (held_out(noise, seed=0)["coverage"], held_out(noise, seed=0)["precision"]) == (0.0, None)


def test_held_out_formulas_never_saw_their_conversation() -> None:
    """The cosine is right everywhere but in one conversation: the fold of that one is judged by the cosine all the same."""
    good = [Item(f"c{n}", "answerable" if n % 2 else "unanswerable", 0.5, cosine=n % 2) for n in range(20)]
    odd = [Item("odd", "answerable", 0.5, cosine=0.0), Item("odd", "unanswerable", 0.5, cosine=1.0)]
    found = held_out([*good, *odd], seed=0)
    assert found["formulas_chosen"] == "cosine 5"
    assert isinstance(found["auroc"], float)
    assert 0.5 < found["auroc"] < 1.0


def test_pairs_are_counted_within_strata() -> None:
    numbers, known = np.array([0.9, 0.1, 0.2, 0.8]), np.array([True, False, True, False])
    assert stratified_auroc(numbers, known, np.array([0, 0, 1, 1])) == 0.5
    assert stratified_auroc(numbers, known, np.zeros(4)) == 0.75
    assert math.isnan(stratified_auroc(numbers, known, np.arange(4)))


def test_a_turn_becomes_a_question_with_its_history() -> None:
    turn = {
        "task_id": "c<::>2",
        "conversation_id": "c",
        "answerability": ["UNANSWERABLE"],
        "input": [{"speaker": who, "text": text} for who, text in (("user", "A?"), ("agent", "B."), ("user", "C?"))],
        "targets": [{"text": "I do not know."}],
    }
    row = row_of(turn)
    assert (row["question"], row["answers"], row["group"], row["kind"]) == ("C?", [], "c", "unanswerable")
    assert row["history"] == [{"role": "user", "content": "A?"}, {"role": "assistant", "content": "B."}]
    assert row_of(turn | {"answerability": ["ANSWERABLE"]})["answers"] == ["I do not know."]
    assert kind_of(Example("q", "?", ("x",), kind="partial")) == "partial"
    assert kind_of(Example("q", "?", (), kind="time")) == "unanswerable"


def test_a_firm_from_questions_to_evidence(tmp_path: Path) -> None:
    root = write_firm(tmp_path)
    rows = [
        {"id": "a", "question": "Where is the kettle kept?", "answers": ["in the attic"], "principals": ["staff"]},
        {"id": "b", "question": "Which anthem do dolphins hum?", "answers": [], "principals": ["staff"]},
        {"id": "c", "question": "What does plan 3 cost?", "answers": [], "principals": ["nobody known"]},
    ]
    write_rows(root / "questions.jsonl", rows)
    answerable, unanswerable, unreadable = measured(root)
    assert answerable.evidence > unanswerable.evidence
    assert unreadable.evidence == 0.0
    assert [one.kind for one in (answerable, unanswerable, unreadable)] == ["answerable", "unanswerable", "unanswerable"]
