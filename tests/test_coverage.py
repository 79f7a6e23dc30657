"""benchmarks.coverage and its simulations: true means as asked, p-values as the product's, cells kept and not run twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import coverage, simulate
from benchmarks.coverage import Cell, grid, main
from groundtune.evaluation import statistics
from groundtune.evaluation.statistics import contrast


@pytest.mark.parametrize("kind", ["binary", "continuous"])
@pytest.mark.parametrize("shape", ["single", "even", "uneven"])
def test_scores_have_the_means_that_were_asked_for(kind: str, shape: str) -> None:
    means, groups = np.array([0.05, 0.5, 0.93]), simulate.groups_of(shape, 60)
    scores = simulate.draw(np.random.default_rng(0), means, kind=kind, groups=groups, replicates=3000)
    assert scores.mean(axis=(0, 2)) == pytest.approx(means, abs=0.008)
    assert scores.min() >= 0 and scores.max() <= 1
    assert bool(np.isin(scores, (0, 1)).all()) == (kind == "binary")


def test_groups_have_the_sizes_that_were_asked_for() -> None:
    assert np.bincount(simulate.groups_of("uneven", 24)).tolist() == [1, 2, 3, 6, 1, 2, 3, 6]
    assert np.bincount(simulate.groups_of("even", 7)).tolist() == [3, 3, 1]
    assert simulate.groups_of("single", 3).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("kind", "shape", "items"), [("binary", "single", 40), ("binary", "even", 33), ("continuous", "single", 9)]
)
def test_p_values_of_many_races_are_those_of_the_product(kind: str, shape: str, items: int) -> None:
    """Cases in which the product's are exact."""
    rng, groups = np.random.default_rng(1), simulate.groups_of(shape, items)
    scores = simulate.draw(rng, np.array([0.4, 0.6, 0.5]), kind=kind, groups=groups, replicates=8)
    found = simulate.p_values(rng, scores, groups, binary=kind == "binary")
    expected = [[contrast(row[a], row[b], groups, margin=0.05).p_value for a, b in simulate.pairs(3)] for row in scores]
    assert found == pytest.approx(np.array(expected), abs=1e-9)
    adjusted = [statistics.holm(row) for row in found]
    assert simulate.holm(found) == pytest.approx(np.array(adjusted))


def test_p_values_from_random_flips_are_near_the_products() -> None:
    rng, groups = np.random.default_rng(2), simulate.groups_of("single", 40)
    scores = simulate.draw(rng, np.array([0.4, 0.5]), kind="continuous", groups=groups, replicates=4)
    found = simulate.p_values(rng, scores, groups, binary=False)[:, 0]
    expected = [contrast(row[0], row[1], groups, margin=0.05).p_value for row in scores]
    assert found == pytest.approx(np.array(expected), abs=0.025)


def test_cells_are_named_once_and_the_reduced_ones_are_few() -> None:
    full, reduced = list(grid(reduced=False)), list(grid(reduced=True))
    assert len({cell.name for cell in full}) == len(full) > 300 > 100 > len(reduced)
    assert {cell.items for cell in full} == {25, 50, 100, 200, 400}
    assert {cell.candidates for cell in full} == {2, 3, 4, 5}


def test_finished_cells_are_kept_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [
        Cell("intervals", "binary", "single", 30, 2, "middle", "margin"),
        Cell("best", "continuous", "even", 30, 3, "middle", "drawn"),
        Cell("power", "binary", "single", 30, 2, "middle", "20 points"),
        Cell("seeds", "binary", "single", 30, 2, "middle", "3 seeds"),
    ]
    monkeypatch.setattr(statistics, "RESAMPLES", statistics.RESAMPLES)
    monkeypatch.setattr(coverage, "grid", lambda *, reduced: iter(cells[: 3 if reduced else 4]))
    arguments = ["--replicates", "12", "--name", "some", "--folder", str(tmp_path)]
    main([*arguments, "--reduced"])
    first = (tmp_path / "some.cells.jsonl").read_text().splitlines()
    assert [json.loads(line)["cell"] for line in first] == [cell.name for cell in cells[:3]]
    assert json.loads(first[0])["figures"]["verdicts_same"] == 3
    main(arguments)
    again = (tmp_path / "some.cells.jsonl").read_text().splitlines()
    assert again[:3] == first and len(again) == 4
    record = json.loads((tmp_path / "some.json").read_text())
    assert (record["cells_finished"], record["cells_planned"], record["replicates_per_cell"]) == (4, 4, 12)
    missed = {one["name"]: one["met"] for one in record["goals"]}
    assert missed["cells_finished"] and not missed["replicates_per_cell"]
    assert "NOT MET" in capsys.readouterr().out
