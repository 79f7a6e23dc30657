"""Benchmark of scale: exact answers, recall and shares against hand computations; a tiny run from rows to figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale import FRAMEWORKS, short, summary
from benchmarks.scale_child import chunk_number, entries, latencies, main
from benchmarks.scale_rows import DEPTH, PER_DOCUMENT, PERCENT, Rows, exact, level_of, made, peak_mb, recall


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return made(tmp_path_factory.mktemp("rows") / "made", chunks=2_000, questions=6)


def test_exact_answers_by_hand() -> None:
    vectors = np.eye(4, dtype=np.float32)
    asked = np.array([[0.9, 0.5, 0.1, 0.2], [0, 0, 0.1, 0.9]], dtype=np.float32)
    everything = np.ones(4, dtype=bool)
    assert exact(vectors, asked, everything, k=2).tolist() == [[0, 1], [3, 2]]
    assert exact(vectors, asked, np.array([False, True, True, False]), k=3).tolist() == [[1, 2, -1], [2, 1, -1]]


def test_recall_by_hand() -> None:
    wanted = np.array([[5, 3], [7, -1]])
    assert recall([[3, 9], [7, 8]], wanted) == pytest.approx((1 / 2 + 1) / 2)
    assert recall([[5, 3], [7]], wanted) == 1.0


def test_percentiles_by_hand() -> None:
    assert latencies([0.001 * number for number in range(1, 102)], "x") == pytest.approx({"p50_ms_x": 51, "p99_ms_x": 100})


def test_rows_are_unit_vectors_whose_nearest_are_exact(rows: Rows) -> None:
    vectors = np.asarray(rows.vectors)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    levels = np.repeat(rows.levels, PER_DOCUMENT)
    for percent in PERCENT:
        allowed = np.flatnonzero(levels <= level_of(percent))
        scores = vectors[allowed] @ rows.question_vectors.T
        best = allowed[np.argsort(-scores[:, 0])][:DEPTH]
        found = rows.nearest(percent)[0]
        assert found[found >= 0].tolist() == best.tolist()
    documents = len(rows.levels)
    assert [int((rows.levels <= level_of(percent)).sum()) for percent in PERCENT] == [documents, 20, 2, 1]


def test_rows_are_in_clusters(rows: Rows) -> None:
    """Otherwise an approximate index would have no structure to use, and recall would say nothing."""
    nearest = np.asarray(rows.vectors)[rows.nearest("100")[:, 0]]
    cosines = (nearest * rows.question_vectors).sum(axis=1)
    assert cosines.min() > 0.4
    drawn = np.asarray(rows.vectors)[::50] @ rows.question_vectors.T
    assert abs(np.median(drawn)) < 0.1


def test_chunks_name_their_row(rows: Rows) -> None:
    held = [entry for _, some in entries(rows, [1] * len(rows.levels)) for entry in some]
    assert [chunk_number(entry.chunk.id) for entry in held] == list(range(2_000))
    assert np.array_equal(held[77].vector, rows.vectors[77])


def test_a_run_from_rows_to_figures(rows: Rows, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for step in ("build", "search"):
        main([step, "sqlite", str(rows.folder), str(tmp_path / "place")])
    built, searched = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert built["disk_mb"] > 2_000 * 384 * 4 / 2**20
    assert {f"recall_at_{percent}_percent" for percent in PERCENT} <= searched.keys()
    assert all(value == 1.0 for name, value in searched.items() if name.startswith("recall")), "SQLite is exact"
    assert 0 < searched["p50_ms_at_1_percent"] <= searched["p99_ms_at_1_percent"]
    assert searched["distinct_audiences"] == 195


def test_goals_ratios_and_what_is_missing() -> None:
    ours = {f"recall_at_{percent}_percent": 0.99 for percent in PERCENT} | {"p50_ms_at_1_percent": 20.0}
    kept = {"indexing": {"indexing_ratio": 1.3}, "lance_100k": ours, "txtai_100k": {"p50_ms_at_1_percent": 50.0}}
    figures, goals = summary(kept, sizes=[100_000], missing={"llamaindex_100k": "absent"})
    assert figures["txtai_100k_p50_in_times_of_lance_at_1_percent"] == 2.5
    assert figures["missing"] == "llamaindex_100k: absent"
    assert {one.name: one.met for one in goals} == {
        "indexing_ratio": False,
        "indexing_processor_ratio": False,
        **{f"lance_100k_recall_at_{percent}_percent": True for percent in PERCENT},
    }
    assert (short(100_000), short(1_000_000), set(FRAMEWORKS)) == ("100k", "1m", {"llamaindex", "txtai"})


def test_peak_memory_is_this_process_own() -> None:
    before = peak_mb()
    held = np.ones(60 << 17)
    assert peak_mb() >= min(before + 1, held.nbytes / 2**20)
