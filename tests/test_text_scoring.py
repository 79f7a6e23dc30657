"""Short answers against references: the published SQuAD behaviour, written here a second time as the official script has it."""

from __future__ import annotations

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.errors import UsageError
from groundtune.scoring import METRICS, metric
from groundtune.scoring.text import contains, exact_match, f1, normalise
from groundtune.types import Answer, Example


def official_normalise(text: str) -> str:
    """`normalize_answer` of the official SQuAD 2.0 evaluation script, step by step."""
    text = text.lower()
    exclude = set(string.punctuation)
    text = "".join(ch for ch in text if ch not in exclude)
    text = re.compile(r"\b(a|an|the)\b", re.UNICODE).sub(" ", text)
    return " ".join(text.split())


def official_f1(gold: str, said: str) -> float:
    """`compute_f1` of the same script."""
    gold_tokens, said_tokens = official_normalise(gold).split(), official_normalise(said).split()
    common = collections.Counter(gold_tokens) & collections.Counter(said_tokens)
    same = sum(common.values())
    if len(gold_tokens) == 0 or len(said_tokens) == 0:
        return float(gold_tokens == said_tokens)
    if same == 0:
        return 0.0
    precision, recall = same / len(said_tokens), same / len(gold_tokens)
    return 2 * precision * recall / (precision + recall)


def item(*answers: str) -> Example:
    return Example("q1", "Who?", answers)


words = st.lists(st.sampled_from(["the", "A", "cat", "sat", "Cat!", "14 days", "état", "--", "x-y"]), max_size=6).map(" ".join)


@given(words, words)
def test_equals_the_official_script(reference: str, said: str) -> None:
    if official_normalise(reference) and official_normalise(said):
        example, answer = item(reference), Answer(said)
        assert exact_match(example, answer) == float(official_normalise(reference) == official_normalise(said))
        assert f1(example, answer) == pytest.approx(official_f1(reference, said))


def test_the_best_reference_counts() -> None:
    example = item("VP-Directs Group", "the VP Directs")
    assert exact_match(example, Answer("The VPDirects group.")) == 1
    assert f1(example, Answer("VP Directs")) == 1
    assert f1(example, Answer("group of VPDirects")) == pytest.approx(0.8)


def test_contains_wants_whole_words_in_order() -> None:
    assert contains(item("14 days"), Answer("At least 14 days in advance.")) == 1
    assert contains(item("14 days"), Answer("days: 14")) == 0
    assert contains(item("art"), Answer("A party")) == 0


@pytest.mark.parametrize("score", [exact_match, f1, contains])
def test_unanswerable_items_are_right_exactly_when_the_assistant_abstains(score: object) -> None:
    assert callable(score)
    assert score(item(), Answer("Not in the documents.", abstained=True)) == 1
    assert score(item(), Answer("Berlin")) == 0
    assert score(item(), Answer("")) == 0
    assert score(item("Berlin"), Answer("Berlin", abstained=True)) == 0


def test_an_answer_of_which_normalisation_leaves_nothing_is_not_the_empty_answer() -> None:
    assert normalise("A") == "a"
    assert exact_match(item("A"), Answer("")) == 0
    assert exact_match(item("A"), Answer("a")) == 1
    assert exact_match(item("+"), Answer("-")) == 0


@pytest.mark.parametrize("name", sorted(METRICS))
@pytest.mark.parametrize("text", ["", " ", "\x00", "[" * 100_000, "1" * 5_000, "a" * 10_000, "é", "the"])
@pytest.mark.parametrize("answers", [(), ("x",), ("the",), ('{"a": 1}',)])
def test_every_metric_stays_in_its_range_for_any_text(name: str, text: str, answers: tuple[str, ...]) -> None:
    value = metric(name)(item(*answers), Answer(text))
    assert value is None or 0 <= value <= 1


def test_a_misspelt_metric_is_told_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="exact_match"):
        metric("exactmatch")
