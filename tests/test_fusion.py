"""Reciprocal rank fusion against the sum written out by hand."""

from __future__ import annotations

import pytest

from groundtune.index.fusion import reciprocal_rank_fusion


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
