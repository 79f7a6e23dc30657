"""The frugal race replayed on stored scores: held against the product's cuts and tests, and against costs counted by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cells import Cell, Done
from benchmarks.deciding import cost, report, table
from benchmarks.deciding.cost import EVERYTHING, Named, Raced, Races, Work, looks_of, pace_of, quick_flip, races, seconds_of
from benchmarks.deciding.cost_figures import cost_figures, cost_goals
from benchmarks.deciding.situations import FOLDS, SITUATIONS
from benchmarks.deciding.tasks import TUNED, _own, applicable
from benchmarks.harness import save
from groundtune.decision import frugal
from groundtune.decision.evidence import Looks
from groundtune.decision.task import Fold, Task
from groundtune.evaluation.bounded import BoundedValues
from groundtune.evaluation.statistics import sign_flip
from groundtune.scoring.settings import NOTHING_SET
from groundtune.types import Example, Score, Usage

ITEMS = 200


def cell(task: str, candidate: str, values: np.ndarray, *, rung: float = 1.0, answering: float = 20.0) -> Done:
    scores = tuple(
        Score(candidate, f"item{place}", f"group{place}", "", 0, 0, "", {"exact_match": float(value)}, usage=Usage(100, 5))
        for place, value in enumerate(values)
    )
    tuned = candidate in TUNED
    return Done(
        Cell(task, candidate, rung=rung), scores, 9.0, round(400 * rung) if tuned else 0,
        {"seconds": 400.0 * rung} if tuned else {}, answering, ITEMS,
    )  # fmt: skip


def tables_of(
    path: Path, means: Mapping[str, Mapping[str, float]], *, part: float = 0.9, rungs: tuple[float, ...] = (1, 0.25, 0.0625)
) -> dict[str, table.TaskTable]:
    """Tasks whose candidates have these means; of tuned ones, times `part` with each quartering of the pairs."""
    rng = np.random.default_rng(4)
    cells = []
    for task, centres in means.items():
        for name in applicable(task):
            for rung in rungs if name in TUNED else (1.0,):
                wanted = centres.get(name, 0.3) * part ** (-np.log(rung) / np.log(4))
                cells.append(cell(task, name, rng.permutation(np.arange(ITEMS) < wanted * ITEMS), rung=rung))
    table.write(cells, dict.fromkeys(means, "exact_match"), path=path)
    return table.read(path)


# --- cuts, tests, seconds -----------------------------------------------------------------------------------------------


def product_looks(groups: np.ndarray, folds: int) -> Looks:
    ids = [f"q{place:03d}" for place in range(len(groups))]
    examples = [Example(item, "?", ("a",), group=f"g{group}") for item, group in zip(ids, groups, strict=True)]
    size = int(groups.max() + 1) / folds
    parts = [tuple(item for item, group in zip(ids, groups, strict=True) if group // size == fold) for fold in range(folds)]
    folded = tuple(Fold((), part) for part in parts)
    task = Task(tuple(examples), (), "f1", ("f1",), (), NOTHING_SET, (), "cross-fitted", folded, has_documents=False)
    return frugal.looks_of(task, seed=0)


@pytest.mark.parametrize(("count", "folds"), [(200, 1), (60, 1), (24, 1), (12, 1), (60, 2), (60, 3), (24, 3)])
def test_looks_are_cut_as_the_product_cuts_them(count: int, folds: int) -> None:
    groups = np.arange(count)
    looks, reached = looks_of(groups, folds=folds)
    assert looks.ends == product_looks(groups, folds).ends
    assert reached[-1] == folds and list(reached) == sorted(reached)


def test_no_look_cuts_a_group() -> None:
    groups = np.sort(np.random.default_rng(1).integers(0, 50, 150))
    groups = np.unique(groups, return_inverse=True)[1]
    looks, _ = looks_of(groups, folds=1)
    assert all(groups[end - 1] != groups[end] for end in looks.ends[:-1]) and looks.ends[-1] == 150


def test_quick_flips_are_the_products_but_for_the_draw() -> None:
    rng = np.random.default_rng(2)
    for items, groups in ((9, 9), (40, 40), (90, 30), (200, 200)):
        codes = np.unique(np.sort(rng.integers(0, groups, items)), return_inverse=True)[1]
        for shift in (0.0, 0.1, 0.25):
            sample = BoundedValues(np.clip(rng.normal(shift, 0.5, items), -1, 1), codes, -1.0, 1.0)
            assert quick_flip(sample, seed=0)[0] == pytest.approx(sign_flip(sample, seed=0)[0], abs=0.012)


def test_a_cell_that_was_cut_off_is_charged_what_its_tokens_take_elsewhere(tmp_path: Path) -> None:
    ones = np.ones(ITEMS)
    cells = [cell("viggo", name, ones) for name in ("prompt", "tuned")] + [cell("viggo", "few_shot", ones, answering=1.0)]
    table.write(cells, {"viggo": "exact_match"}, path=tmp_path / "t.parquet")
    tables = table.read(tmp_path / "t.parquet")
    found = {name: seconds_of(tables["viggo"], (name, 0, 1.0), pace_of(tables)) for name in ("prompt", "few_shot")}
    assert found == pytest.approx({"prompt": 0.1, "few_shot": 0.1})


def test_folds_are_those_of_the_tasks() -> None:
    small = {task.name: task.folds for task in _own() if task.test > 300}
    assert dict(FOLDS) == small


# --- races --------------------------------------------------------------------------------------------------------------


def test_a_clear_winner_is_the_same_and_costs_what_the_looks_took(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "t.parquet", {"viggo": {"prompt": 0.1, "few_shot": 0.1, "tuned": 0.95}})
    (raced,) = races(tables, orders=1, sizes=(EVERYTHING,)).raced["viggo", EVERYTHING]
    assert raced.frugal == raced.exhaustive == Named("superior", "tuned", None) and raced.agrees
    assert raced.whole == Work(seconds=3 * 200 * 0.1 + 400, answers=600, trainings=1, parts=0)
    # Everything is seen at an eighth of the items, of weights from a quarter of the pairs.
    assert raced.done.seconds == pytest.approx(3 * 25 * 0.1 + 100)
    assert (raced.done.answers, raced.done.trainings, raced.done.parts) == (75, 0, 1)
    assert raced.share == pytest.approx(107.5 / 460)


def test_nothing_is_trained_where_there_is_no_headroom(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "t.parquet", {"copy": {"prompt": 1.0, "few_shot": 0.5, "tuned": 1.0}})
    (raced,) = races(tables, orders=1, sizes=(EVERYTHING,)).raced["copy", EVERYTHING]
    assert raced.done.trainings == raced.done.parts == 0
    assert raced.frugal.winner == "prompt" == raced.exhaustive.winner and raced.done.answers < raced.whole.answers


def test_a_training_out_of_fold_costs_its_fold(tmp_path: Path) -> None:
    task = tables_of(tmp_path / "t.parquet", {"handbook_qa": {"tuned": 0.5, "rag_tuned": 0.98}})["handbook_qa"]
    (raced,) = races({"handbook_qa": task}, orders=1, sizes=(EVERYTHING,)).raced["handbook_qa", EVERYTHING]
    assert raced.whole.trainings == 4 and raced.whole.seconds == pytest.approx(5 * 200 * 0.1 + 2 * 400)
    # At the first look one of two folds of each tuned candidate is trained, on a quarter.
    assert raced.done.seconds == pytest.approx(5 * 100 * 0.1 + 2 * 100 / 2)
    assert (raced.done.answers, raced.done.trainings, raced.done.parts) == (500, 0, 2)


def test_outcomes_agree_when_winners_do_or_choices_are_close(tmp_path: Path) -> None:
    tables = tables_of(tmp_path / "t.parquet", {"viggo": {"prompt": 0.5, "few_shot": 0.51, "tuned": 0.6}})
    draws = races(tables, orders=1).draws["viggo"]
    agree = cost._Task(draws, 200, 1.0)._agree
    open_ = {name: Named("inconclusive", None, name) for name in draws.candidates}
    won = {name: Named("superior", name, None) for name in draws.candidates}
    assert agree(open_["prompt"], open_["few_shot"]) and not agree(open_["prompt"], open_["tuned"])
    assert agree(won["tuned"], Named("cheapest non-inferior", "tuned", None)) and not agree(won["tuned"], won["prompt"])
    assert not agree(won["tuned"], open_["tuned"]) and not agree(open_["tuned"], won["tuned"])
    none = Named("none good enough", None, None)
    assert agree(none, none) and not agree(none, open_["prompt"])


def test_a_task_without_the_cells_of_a_rung_is_left_out_and_named(tmp_path: Path) -> None:
    whole = tables_of(tmp_path / "a.parquet", {"viggo": {"tuned": 0.9}})
    part = tables_of(tmp_path / "b.parquet", {"intents": {"tuned": 0.9}}, rungs=(1,))
    found = races({**whole, **part}, orders=2)
    assert found.tasks(EVERYTHING) == found.tasks(100) == ["viggo"]
    assert found.missing["intents"] == ("tuned 1/4",) and len(found.missing) == len(SITUATIONS) - 1


# --- figures ------------------------------------------------------------------------------------------------------------


def test_figures_and_the_page(tmp_path: Path) -> None:
    means = {"viggo": {"prompt": 0.1, "few_shot": 0.1, "tuned": 0.95}, "copy": {"prompt": 0.97, "few_shot": 0.3, "tuned": 0.2}}
    found = races(tables_of(tmp_path / "t.parquet", means), orders=3)
    kept = cost_figures(found)
    assert kept["tasks_count_tuning_all"] == kept["tasks_count_no_tuning_100"] == 1 and kept["orders_count"] == 3
    assert kept["tuning_wins_viggo"] is True and kept["tuning_wins_copy"] is False
    assert kept["agreement_share_viggo_all"] == 1 and kept["core_minutes_exhaustive_viggo_all"] == pytest.approx(2 * 460 / 60)
    middle = np.mean([float(kept[f"work_share_{name}_all"] or 0) for name in means])
    assert kept["work_share_all"] == pytest.approx(middle)
    goals = {one.name: one.met for one in cost_goals(kept)}
    assert goals["tasks_used_count"] is False
    save("cost", kept, cost_goals(kept), folder=tmp_path)
    page = tmp_path / "deciding.md"
    page.write_text(f"{report.BEGIN}\n{report.END}\n\n{report.COST_BEGIN}\n{report.COST_END}\n\nThe rest.\n")
    report.write_costs(kept, page)
    report.write_costs(kept, page)
    text = page.read_text()
    assert text.count("| all | 2 all |") == 1 and text.endswith("The rest.\n") and "geo, " in text
    report.draw_costs(kept, tmp_path / "a.svg")
    assert "copy (" in (tmp_path / "a.svg").read_text()


def test_agreement_is_a_mean_over_tasks_and_work_a_median(tmp_path: Path) -> None:
    def raced(seconds: float, *, agrees: bool) -> Raced:
        one, other = Named("superior", "tuned", None), Named("superior", "prompt", None)
        return Raced(one, one if agrees else other, Work(seconds, 5, 0, 1), Work(100.0, 10, 1, 0), agrees)

    tables = tables_of(tmp_path / "t.parquet", {"viggo": {"tuned": 0.9}})
    draws = dict.fromkeys("abc", races(tables, orders=1).draws["viggo"])
    rows = {
        ("a", 100): (raced(20, agrees=True), raced(30, agrees=True), raced(90, agrees=True)),
        ("b", 100): (raced(50, agrees=True), raced(50, agrees=False)),
        ("c", 100): (raced(150, agrees=False),),
    }
    kept = cost_figures(Races(rows, draws, {}))
    assert kept["agreement_share_100"] == pytest.approx(0.5) and kept["agreement_least_task_share_100"] == 0
    assert kept["work_share_100"] == pytest.approx(0.5) and kept["work_share_worst_100"] == pytest.approx(1.5)
    assert kept["other_winner_share_100"] == pytest.approx(0.5) and kept["winner_lost_share_100"] == 0
    assert kept["trainings_avoided_share_100"] == 1 and kept["answers_avoided_share_100"] == pytest.approx(0.5)


def test_an_empty_table_has_figures_too(tmp_path: Path) -> None:
    kept = cost_figures(races({}, orders=2))
    assert kept["tasks_used_count"] == 0
    save("cost", kept, cost_goals(kept), folder=tmp_path)
    assert "tasks" in report.cost_table(kept)
    report.draw_costs(kept, tmp_path / "a.svg")
