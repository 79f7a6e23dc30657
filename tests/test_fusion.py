"""Reciprocal rank fusion against the sum written out by hand."""

from __future__ import annotations

import pytest

from groundtune.index.fusion import reciprocal_rank_fusion, score_fusion


def test_scores_are_sums_of_reciprocal_ranks() -> None:
    fused = dict(reciprocal_rank_fusion({"a": {"text": 1, "vector": 3}, "b": {"vector": 1}, "c": {"text": 2}}))
    assert fused == pytest.approx({"a": 1 / 61 + 1 / 63, "b": 1 / 61, "c": 1 / 62})


def test_best_first_and_equal_scores_by_id() -> None:
    ranks = {"z": {"text": 1}, "a": {"vector": 1}, "m": {"text": 2, "vector": 2}}
    assert [id for id, _ in reciprocal_rank_fusion(ranks)] == ["m", "a", "z"]


def test_the_constant_matters() -> None:
    ranks = {"once": {"text": 1}, "twice": {"text": 5, "vector": 5}}
    assert reciprocal_rank_fusion(ranks, k=60)[0][0] == "twice"
    assert reciprocal_rank_fusion(ranks, k=1)[0][0] == "once"


def test_nothing_gives_nothing() -> None:
    assert reciprocal_rank_fusion({}) == []


def test_scores_are_stretched_over_what_was_found_and_averaged() -> None:
    scores = {"a": {"text": 8.0, "vector": 0.2}, "b": {"text": 4.0}, "c": {"text": 2.0, "vector": 0.6}, "d": {"vector": 0.5}}
    fused = score_fusion(scores)
    assert dict(fused) == pytest.approx({"a": (1 + 0) / 2, "c": (0 + 1) / 2, "d": 0.75 / 2, "b": (1 / 3) / 2})
    assert [id for id, _ in fused] == ["a", "c", "d", "b"]  # a and c are equal: by id
    weighted = score_fusion(scores, weights={"text": 3.0, "vector": 1.0})
    assert dict(weighted) == pytest.approx({"a": 3 / 4, "c": 1 / 4, "d": 0.75 / 4, "b": 1 / 4})
    assert [id for id, _ in score_fusion(scores, weights={"vector": 0.0})] == ["a", "b", "c"]


def test_one_finding_or_equal_ones_count_fully() -> None:
    assert dict(score_fusion({"a": {"text": 5.0}, "b": {"vector": 0.1}, "c": {"vector": 0.1}})) == {
        "a": 0.5,
        "b": 0.5,
        "c": 0.5,
    }
    assert score_fusion({}) == []
