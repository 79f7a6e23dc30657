"""The retrieval benchmark: measures against hand computations, and the parts that need no data set."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.frameworks_child import FRAMEWORKS as CHILDREN
from benchmarks.retrieval_cells import FRAMEWORKS
from benchmarks.retrieval_choose import Setting, choose
from benchmarks.retrieval_data import Collection, Question, read_smart
from benchmarks.retrieval_embedder import KeptEmbedder
from benchmarks.retrieval_scores import (
    Sample,
    documents_of,
    evidence_recall,
    mean_over,
    ndcg,
    recall,
    span_scores,
    within,
)
from benchmarks.retrieval_systems import first_rrf
from benchmarks.retrieval_table import gold_of, scores_of
from groundtune.models.fake import FakeEmbedder
from groundtune.types import Document


def test_documents_are_ranked_by_their_best_chunk() -> None:
    assert documents_of([("b", 0, 9), ("a", 5, 7), ("b", 10, 20), ("c", 0, 1)]) == ["b", "a", "c"]


def test_ndcg_is_the_hand_computed_one() -> None:
    grades = {"a": 3, "b": 2, "c": 1}
    found = (2 + 3 / math.log2(3) + 1 / math.log2(5)) / (3 + 2 / math.log2(3) + 1 / math.log2(4))
    assert ndcg(["b", "a", "x", "c"], grades, k=10) == pytest.approx(found)
    assert ndcg(["b", "a", "x", "c"], grades, k=1) == pytest.approx(2 / 3)
    assert ndcg(["a", "b", "c"], grades, k=10) == 1.0
    assert ndcg([], grades, k=10) == 0.0


def test_ideal_of_ndcg_is_cut_at_k_too() -> None:
    assert ndcg(["a", "b"], {"a": 1, "b": 1, "c": 1}, k=2) == 1.0


def test_recall_counts_relevant_documents_only() -> None:
    assert recall(["a", "x", "b"], {"a": 1, "b": 4, "c": 2, "x": 0}, k=2) == pytest.approx(1 / 3)
    assert recall(["a", "x", "b"], {"a": 1, "b": 4, "c": 2, "x": 0}, k=3) == pytest.approx(2 / 3)


def test_evidence_recall_joins_the_hits_and_averages_the_passages() -> None:
    passages = [[("a", 10, 20)], [("b", 0, 4), ("b", 6, 8)]]
    hits = [("a", 0, 15), ("a", 15, 18), ("b", 2, 7), ("a", 0, 100)]
    assert evidence_recall(hits, passages, k=1) == pytest.approx((0.5 + 0) / 2)
    assert evidence_recall(hits, passages, k=3) == pytest.approx((0.8 + 3 / 6) / 2)
    assert evidence_recall([("c", 0, 100)], passages, k=5) == 0.0


def test_hits_are_cut_at_a_number_of_characters() -> None:
    assert within([("a", 0, 30), ("b", 5, 100), ("c", 0, 9)], 50) == [("a", 0, 30), ("b", 5, 25)]


def test_span_scores_count_every_character_once() -> None:
    scores = span_scores([("a", 0, 10), ("a", 5, 15)], [("a", 12, 22)], k=5)
    assert (scores.recall, scores.precision, scores.iou) == (pytest.approx(0.3), pytest.approx(3 / 15), pytest.approx(3 / 22))
    assert span_scores([], [("a", 0, 1)], k=5).precision == 0.0


def test_every_collection_counts_alike() -> None:
    small = Sample([1.0, 0.0], ["x", "y"])
    large = Sample([0.5] * 98 + [0.0, 1.0], [str(number) for number in range(100)])
    mean, low, high = mean_over([small, large])
    assert mean == pytest.approx((0.5 + 0.5) / 2)
    assert low < mean < high


def test_interval_of_one_collection_is_that_of_the_bootstrap_over_groups() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(0.1, 0.3, 400)
    mean, low, high = mean_over([Sample(values.tolist(), [str(number) for number in range(400)])])
    half = 1.96 * values.std(ddof=1) / 20
    assert (low, high) == (pytest.approx(mean - half, abs=0.004), pytest.approx(mean + half, abs=0.004))


def test_groups_are_drawn_whole() -> None:
    values = [1.0] * 10 + [0.0] * 10 + [0.5] * 10
    alone = mean_over([Sample(values, [str(number) for number in range(30)])])
    grouped = mean_over([Sample(values, [str(number // 10) for number in range(30)])])
    assert grouped[2] - grouped[1] > 2 * (alone[2] - alone[1])


def test_equal_differences_have_no_width() -> None:
    assert mean_over([Sample([0.25, 0.25], ["a", "b"])]) == (0.25, 0.25, 0.25)


def test_smart_files_are_cut_into_items_and_fields(tmp_path: Path) -> None:
    path = tmp_path / "some.all"
    path.write_text(".I 7\n.T\na title\nof two lines .\n.A\n.W\nbody\n.I 009\n.W\nalone\n", encoding="latin-1")
    items = read_smart(path)
    assert list(items) == ["7", "009"]
    assert items["7"] == {"T": "a title\nof two lines .\n", "A": "", "W": "body\n"}
    assert items["009"] == {"W": "alone\n"}


def test_first_fusion_is_the_sum_of_reciprocal_ranks() -> None:
    joined = first_rrf([{"q": ["a", "b", "c"]}, {"q": ["c", "d"]}])
    # c: 1/63 + 1/61, a: 1/61, then b and d with 1/62 each in the order of ids
    assert joined == {"q": ["c", "a", "b", "d"]}


def test_every_framework_has_its_child() -> None:
    assert set(CHILDREN) == {*FRAMEWORKS, "bm25s"}


def test_evidence_is_located_and_what_is_not_is_left_out() -> None:
    questions = (
        Question("1", "first?", evidence=(("a.md", "the second thing"), ("a.md", "nowhere at all"))),
        Question("2", "second?", evidence=(("a.md", "nowhere at all"),)),
        Question("3", "third?", evidence=(("b.md", "other words"),)),
    )
    collection = Collection("some", Path("documents"), questions, "evidence")
    texts = [
        Document("a.md", "A", "# A\n\nthe first. the second thing.\n", ""),
        Document("b.md", "B", "# B\n\nother words here\n", ""),
    ]
    gold = gold_of(collection, texts)
    assert [(one.question.id, one.passages) for one in gold] == [
        ("1", ((("a.md", 16, 32),),)),
        ("3", ((("b.md", 5, 16),),)),
    ]
    scores = scores_of(collection, gold, {"1": [("b.md", 0, 20), ("a.md", 20, 40)], "3": [("a.md", 0, 9)]})
    assert scores["recall5"] == [pytest.approx(12 / 16), 0.0]
    assert scores["pages_in_5"] == [1.0, 0.0]


def test_vectors_are_kept_by_text(tmp_path: Path) -> None:
    class Counting(FakeEmbedder):
        asked = 0

        def embed(self, texts: Sequence[str]) -> np.ndarray:
            self.asked += len(texts)
            return super().embed(texts)

    inner = Counting("hash")
    texts = ["one text", "another", "one  text\n"]
    first = KeptEmbedder(inner, tmp_path / "vectors.db").embed(texts)
    again = KeptEmbedder(inner, tmp_path / "vectors.db").embed(texts)
    assert inner.asked == 2
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first[:2], FakeEmbedder("hash").embed(texts[:2]))


def _samples(setting: Setting) -> list[Sample]:
    """Twenty questions that only the second option of `b` helps, and `a` a little less than its error."""
    gain = 0.3 * (setting["b"] == "y")
    noise = [0.01 if number % 2 else -0.009 for number in range(20)] if setting["a"] == 2 else [0.0] * 20
    return [Sample([0.2 + gain + one for one in noise], [str(number) for number in range(20)])]


def test_only_what_is_better_by_more_than_its_error_is_taken() -> None:
    setting, made = choose(_samples, {"a": (1, 2), "b": ("x", "y", "z")})
    assert setting == {"a": 1, "b": "y"}
    assert [(one.setting["a"], one.setting["b"], one.taken) for one in made[:4]] == [
        (1, "x", True),
        (2, "x", False),
        (1, "y", True),
        (1, "z", False),
    ]
    assert made[2].lead == pytest.approx(0.3)
