"""Cells of the benchmarks on the generated company: kept one by one, continued, and summed up without invention."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import demo_truth, dose_response
from benchmarks.cells import Cell, Done, kept, run_cells, workspace_of
from benchmarks.harness import Figure
from groundtune.company import Knobs, generate
from groundtune.config import load_config
from groundtune.errors import DataError
from groundtune.types import Score

ITEMS = 12


def done(cell: Cell, value: float) -> Done:
    scores = tuple(
        Score(cell.candidate, f"q{item}", f"g{item // 2}", "fact", 0, cell.seed, "", {"f1": value + 0.01 * (item % 3)})
        for item in range(ITEMS)
    )
    return Done(cell, scores, 90.0, 7 if "tuned" in cell.candidate else 0)


def test_finished_cells_are_kept_and_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    cells = [Cell("base", name) for name in ("few_shot", "rag", "tuned")]
    ran: list[Cell] = []

    def run(cell: Cell) -> Done:
        if cell.candidate == "rag" and len(ran) == 1:
            ran.append(cell)
            raise KeyboardInterrupt
        ran.append(cell)
        return done(cell, 0.5)

    written: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        run_cells(cells, folder=tmp_path, run=run, minutes=None, after=lambda: written.append(1))
    assert list(kept(cells, tmp_path)) == cells[:1]
    assert run_cells(cells, folder=tmp_path, run=run, minutes=None, after=lambda: written.append(1)) == 0
    assert [cell.candidate for cell in ran] == ["few_shot", "rag", "rag", "tuned"]
    assert kept(cells, tmp_path) == {cell: done(cell, 0.5) for cell in cells}
    assert len(written) == 3


def test_a_cell_that_cannot_be_measured_is_named_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [Cell("base", "rag"), Cell("base", "prompt")]

    def run(cell: Cell) -> Done:
        if cell.candidate == "rag":
            raise DataError("there are no documents.", subject="base-rag")
        return done(cell, 0.5)

    assert run_cells(cells, folder=tmp_path, run=run, minutes=None, after=lambda: None) == 1
    assert list(kept(cells, tmp_path)) == cells[1:]
    assert re.search("NOT DONE base-rag-0: .*no documents", capsys.readouterr().out)


def test_nothing_begins_after_the_minutes(tmp_path: Path) -> None:
    cells = [Cell("base", "rag")]
    assert run_cells(cells, folder=tmp_path, run=lambda cell: done(cell, 0.5), minutes=0, after=lambda: None) == 1
    assert kept(cells, tmp_path) == {}


def test_a_workspace_is_made_once_with_lines_changed(tmp_path: Path) -> None:
    company = generate(knobs=Knobs(labelled=16, questions=60))
    settings = {"test_questions": "", "epochs": "1"}
    root = workspace_of(company, tmp_path / "team", settings=settings, model="fake:extract", embedder="fake:hash")
    config = load_config(root / "groundtune.toml")
    assert (config.decision.test_questions, config.decision.train_questions) == (None, 16)
    assert (config.training.epochs, config.embedder) == (1, "fake:hash")
    assert workspace_of(company, root, settings={}, model="fake:echo", embedder="fake:hash") == root
    assert load_config(root / "groundtune.toml") == config
    with pytest.raises(DataError, match="speed"):
        workspace_of(company, tmp_path / "other", settings={"speed": "9"}, model="fake:extract", embedder="fake:hash")


# --- the truth behind the demo ------------------------------------------------------------------------------------------

MEANS = {"prompt": 0.05, "few_shot": 0.1, "rag": 0.2, "tuned": 0.25, "rag_tuned": 0.4}


def truth(demo: Mapping[str, object]) -> dict[str, Figure]:
    found = {cell: done(cell, MEANS[cell.candidate] + 0.03 * cell.seed) for cell in demo_truth.CELLS}
    return demo_truth.figures_of(found, demo)


def test_the_truth_is_the_mean_over_items_and_seeds() -> None:
    figures = truth({"scheme": "sealed test", "verdict": "inconclusive", "winner": None, "provisional": "tuned"})
    assert figures["cells_count"] == 9
    assert figures["f1_rag"] == pytest.approx(0.21)
    assert figures["f1_rag_tuned"] == pytest.approx(0.4 + 0.03 + 0.01)
    assert figures["f1_rag_tuned_seed_2"] == pytest.approx(0.4 + 0.06 + 0.01)
    assert (figures["best"], figures["second"]) == ("rag_tuned", "tuned")
    assert figures["best_minus_demo_named"] == pytest.approx(0.15)
    assert [goal.met for goal in demo_truth.goals_of(figures)] == [True, False]


def test_a_verdict_that_names_the_best_fits_and_that_of_another_demo_says_nothing() -> None:
    named = truth({"scheme": "sealed test", "verdict": "superior", "winner": "rag_tuned"})
    assert named["best_minus_demo_named"] == 0
    assert all(goal.met for goal in demo_truth.goals_of(named))
    other = truth({"scheme": "cross-fitted", "verdict": "superior", "winner": "rag_tuned"})
    assert other["best_minus_demo_named"] is None and other["demo_named"] is None
    assert not demo_truth.goals_of(other)[1].met


def test_figures_of_the_whole_race_wait_for_every_cell() -> None:
    cell = demo_truth.CELLS[0]
    figures = demo_truth.figures_of({cell: done(cell, 0.1)}, {})
    assert figures["cells_done_count"] == 1
    assert "best" not in figures


# --- doses --------------------------------------------------------------------------------------------------------------


def test_every_knob_has_three_levels_and_the_default_is_run_once() -> None:
    cells = dose_response.ordered()
    assert len(set(cells)) == len(cells) == 4 * (1 + 2 * len(dose_response.DOSES))
    assert [cell.setting for cell in cells[:4]] == ["base"] * 4
    assert all(len(dose.levels) >= 3 and list(dose.levels) == sorted(dose.levels) for dose in dose_response.DOSES)
    assert all(getattr(dose_response.BASE, dose.knob) in dose.levels for dose in dose_response.DOSES)


def test_a_flip_is_said_as_it_was_measured(tmp_path: Path) -> None:
    def value(cell: Cell) -> float:
        low = {"few_shot": 0.1, "rag": 0.5, "tuned": 0.2, "rag_tuned": 0.3}
        return 0.7 if (cell.setting, cell.candidate) == ("style_1", "tuned") else low[cell.candidate]

    figures = dose_response.figures_of({cell: done(cell, value(cell)) for cell in dose_response.ordered()})
    assert figures["best_style_1"] == "tuned" and figures["best_style_0"] == "rag"
    assert figures["best_minus_second_style_1"] == pytest.approx(0.2)
    assert figures["flip_style"] == "the leader changes: rag at 0, tuned at 1; as theory expects at both ends"
    assert figures["flip_labelled"] == "the leader stays: rag at 16, rag at 160; theory fails at the high end"
    dose_response.draw(figures, tmp_path / "figure.svg")
    drawn = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert len(re.findall(r'id="axes_\d"', drawn)) == len(dose_response.DOSES)
    dose_response.draw(figures, tmp_path / "again.svg")
    assert (tmp_path / "again.svg").read_text(encoding="utf-8") == drawn


def test_levels_that_are_not_done_are_left_out(tmp_path: Path) -> None:
    cells = dose_response.ordered()[:4]
    figures = dose_response.figures_of({cell: done(cell, 0.3) for cell in cells})
    assert "best_style_1" not in figures and "flip_style" not in figures
    assert figures["best_churn_0.4"] == "few_shot"
    dose_response.draw(figures, tmp_path / "figure.svg")
