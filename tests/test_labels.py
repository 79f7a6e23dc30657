"""Labels: accuracy an item, macro F1 over a set."""

from __future__ import annotations

import math

import numpy as np
import pytest

from groundtune.scoring.labels import label_accuracy, macro_f1
from groundtune.types import Answer, Example


def item(label: str, number: int = 0) -> Example:
    return Example(f"q{number}", "Which?", (label,) if label else ())


@pytest.mark.parametrize(
    ("said", "value"),
    [("cancel_order", 1), (' "Cancel_Order".\n', 1), ("cancel_order please", 0), ("cancel order", 0), ("", 0)],
)
def test_a_label_and_nothing_else(said: str, value: float) -> None:
    assert label_accuracy(item("cancel_order"), Answer(said)) == value


def test_marks_that_are_the_label_count() -> None:
    assert label_accuracy(item("+"), Answer("+")) == 1
    assert label_accuracy(item("+"), Answer("-")) == 0
    assert label_accuracy(item("..."), Answer("")) == 0


def test_macro_f1_equals_the_confusion_matrix() -> None:
    rng = np.random.default_rng(0)
    labels = ["a", "b", "c"]
    truth, said = rng.integers(0, 3, 200), rng.integers(0, 4, 200)  # 3: a label that does not exist
    confusion = np.zeros((4, 4))
    np.add.at(confusion, (truth, said), 1)
    precision = np.diag(confusion)[:3] / confusion.sum(axis=0)[:3]
    recall = np.diag(confusion)[:3] / confusion.sum(axis=1)[:3]
    expected = float(np.mean(2 * precision * recall / (precision + recall)))
    examples = [item(labels[label], number) for number, label in enumerate(truth)]
    answers = [Answer([*labels, "zzz"][label]) for label in said]
    assert macro_f1(examples, answers) == pytest.approx(expected)


def test_macro_f1_counts_a_rare_class_as_much_as_a_common_one() -> None:
    examples = [item("a", number) for number in range(9)] + [item("b", 9)]
    assert macro_f1(examples, [Answer("a")] * 10) == pytest.approx((2 * 9 / 19 + 0) / 2)


def test_abstaining_is_a_class() -> None:
    assert macro_f1([item("a"), item("", 1)], [Answer("a"), Answer("none", abstained=True)]) == 1
    assert math.isnan(macro_f1([], []))
