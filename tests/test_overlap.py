"""ROUGE-L against brute force and published examples, chrF against sacrebleu, support against cases by hand."""

from __future__ import annotations

import random
from itertools import combinations

import pytest
import sacrebleu

from groundtune.scoring.overlap import chrf, lcs_length, lcs_positions, rouge_l, rouge_lsum, union_f1
from groundtune.types import Answer, Example


def item(*answers: str) -> Example:
    return Example("q", "?", answers)


def brute_force(first: str, second: str) -> int:
    """Longest subsequence of the shorter that is one of the longer, by trying them all."""
    short, long = sorted((first, second), key=len)
    for size in range(len(short), 0, -1):
        for places in combinations(range(len(short)), size):
            rest = iter(long)
            if all(short[place] in rest for place in places):
                return size
    return 0


def test_common_subsequences_equal_brute_force() -> None:
    draw = random.Random(3)
    for _ in range(300):
        first, second = ("".join(draw.choices("abcd", k=draw.randint(0, 9))) for _ in range(2))
        wanted = brute_force(first, second)
        assert lcs_length(first, second) == wanted
        places = lcs_positions(first, second)
        assert len(places) == wanted
        rest = iter(second)
        assert all(first[place] in rest for place in places)
        assert places == sorted(set(places))


@pytest.mark.parametrize(
    ("candidate", "score"),
    [("police kill the gunman", 3 / 4), ("the gunman kill police", 2 / 4), ("the gunman police killed", 2 / 4)],
)
def test_the_sentences_of_lin_2004(candidate: str, score: float) -> None:
    """Section 3.1: S2 has an ROUGE-L of 3/4, S3 and S4 of 2/4, against "police killed the gunman"."""
    assert rouge_l(item("police killed the gunman"), Answer(candidate)) == score


def test_the_union_of_lin_2004() -> None:
    """Section 3.2: r = w1..w5, c1 = w1 w2 w6 w7 w8, c2 = w1 w3 w8 w9 w5: the union is w1 w2 w3 w5, a recall of 4/5."""
    reference, given = "w1 w2 w3 w4 w5", ("w1 w2 w6 w7 w8", "w1 w3 w8 w9 w5")
    recall, precision = 4 / 5, 4 / 10
    wanted = 2 * recall * precision / (recall + precision)
    assert union_f1([reference.split()], [one.split() for one in given]) == pytest.approx(wanted)
    assert rouge_lsum(item(reference), Answer("\n".join(given))) == pytest.approx(wanted)


def test_sentences_may_stand_in_another_order() -> None:
    example = item("The warranty lasts two years. Returns take ten days.")
    turned = Answer("Returns take ten days. The warranty lasts two years.")
    assert rouge_lsum(example, turned) == 1
    assert rouge_l(example, turned) == pytest.approx(5 / 9)


def test_case_and_punctuation_do_not_matter_and_letters_of_all_scripts_do() -> None:
    assert rouge_l(item("Naïve, Café!"), Answer("naïve café")) == 1
    assert rouge_l(item("да нет"), Answer("нет")) == pytest.approx(2 / 3)
    assert rouge_l(item("!!"), Answer("??")) == 0


@pytest.mark.parametrize("text", ["The cat sat on the mat.", "the mat", "x", "", "完全に違う"])
def test_chrf_is_that_of_sacrebleu(text: str) -> None:
    references = ["A cat sat on the mat.", "There is a cat on the mat."]
    assert chrf(item(*references), Answer(text)) == pytest.approx(sacrebleu.sentence_chrf(text, references).score / 100)


def test_chrf_by_hand() -> None:
    """ "abc" against "abd": 2 of 3 characters, 1 of 2 pairs, 0 of 1 triples; precision equals recall in every order."""
    assert chrf(item("abd"), Answer("abc")) == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


@pytest.mark.parametrize("score", [rouge_l, rouge_lsum, chrf])
def test_abstaining_is_right_exactly_where_nothing_can_be_answered(score: object) -> None:
    assert callable(score)
    assert score(item(), Answer("Not in the documents.", abstained=True)) == 1
    assert score(item(), Answer("Not in the documents.")) == 0
    assert score(item("Not in the documents."), Answer("Not in the documents.", abstained=True)) == 0
