"""The forgetting probe: its questions, its checks, and what it says of a model that did and of one that did not forget."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from groundtune.models import load_model
from groundtune.models.weights import torch_model
from groundtune.training.forgetting import Recall, compare, general_paragraphs, general_questions, is_right, recall
from tests import tiny


def test_forty_questions_of_four_kinds_each_with_one_check() -> None:
    questions = general_questions()
    assert len({one["id"] for one in questions}) == len(questions) == 40
    assert {one["kind"] for one in questions} == {"arithmetic", "copying", "facts", "instructions"}
    assert all(len(one.keys() & {"is", "holds", "pattern"}) == 1 for one in questions)
    assert len(general_paragraphs()) == 5


@pytest.mark.parametrize("question", [one for one in general_questions() if "holds" in one], ids=lambda one: one["id"])
def test_a_question_said_back_is_no_answer(question: dict[str, str]) -> None:
    assert not is_right(question, question["prompt"])
    assert is_right(question, f"It is {question['holds'][0]}.")


@pytest.mark.parametrize(
    ("check", "answer", "right"),
    [
        ({"is": ["cold"]}, ' "Cold." ', True),
        ({"is": ["cold"]}, "It is cold", False),
        ({"holds": ["7", "seven"]}, "3 + 4 = 7.", True),
        ({"holds": ["7", "seven"]}, "17", False),
        ({"pattern": r"HOUSE\.?"}, "HOUSE", True),
        ({"pattern": r"HOUSE\.?"}, "The HOUSE", False),
    ],
)
def test_checks(check: dict[str, object], answer: str, right: bool) -> None:
    assert is_right(check, answer) is right


def test_lost_and_gained_are_counted_question_by_question() -> None:
    ids = [one["id"] for one in general_questions()]
    before = Recall({id: number < 20 for number, id in enumerate(ids)}, 20.0)
    after = Recall({id: 8 <= number < 22 for number, id in enumerate(ids)}, 30.0)
    found = compare(before, after)
    assert (found.before, found.after, found.lost, found.gained) == (0.5, 0.35, 8, 2)
    assert found.p_value == pytest.approx(2 * sum(math.comb(10, k) for k in range(3)) / 2**10)  # exact sign test, 2 of 10
    assert found.ratio == 1.5
    assert found.kinds["arithmetic"] == (10, 10, 2)
    assert "1.50 times as surprising" in found.words
    assert compare(before, before).p_value == 1.0


def test_a_model_without_weights_here_is_only_asked() -> None:
    found = recall(load_model("fake:constant=Paris"), name="fake:constant=Paris")
    assert found.perplexity is None
    assert [id for id, right in found.right.items() if right] == ["facts-1", "instructions-8"]


def test_perplexity_is_that_of_transformers_own_loss(tmp_path: Path) -> None:
    """The mean over paragraphs' tokens, weighted by their number, of the loss that transformers computes itself."""
    name = f"hf:{tiny.folder(tmp_path / 'base')}"
    adapter = tiny.adapter(tmp_path / "adapter")
    total, count = 0.0, 0
    network, tokens = torch_model(name)
    for paragraph in general_paragraphs():
        ids = torch.tensor([tokens.encode(paragraph)[:256]])
        total += network(input_ids=ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    plain, tuned = recall(load_model(name), name=name), recall(load_model(name, adapter=adapter), name=name, weights=adapter)
    assert plain.perplexity == pytest.approx(math.exp(total / count), rel=1e-5)
    assert tuned.perplexity != pytest.approx(plain.perplexity, rel=1e-3)
