"""Decisions replayed from stored scores: held against the product's own verdict, predictions and score test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.cells import Cell, Done
from benchmarks.deciding import figures, report, rules, standings, table
from benchmarks.deciding.probing import ANSWERABLE, CONSTANTS, CONTEXT, GOLD, HELD, NEAREST
from benchmarks.deciding.replay import decide, draws
from benchmarks.deciding.scoretests import design_effects, score_tests
from benchmarks.deciding.situations import SITUATIONS
from benchmarks.deciding.tasks import applicable
from benchmarks.deciding.trees import Tree, fit
from benchmarks.deciding.verdicts import KINDS, verdicts
from benchmarks.harness import save
from groundtune.candidates.standard import standard_candidate
from groundtune.config import Config
from groundtune.decision.predictions import Evidence, predict
from groundtune.decision.verdict import decide_verdict
from groundtune.evaluation.bounded import BoundedValues, design_effect, score_test
from groundtune.types import Example, Score, Usage

NAMES = ("prompt", "few_shot", "tuned")


def coded(names: Sequence[int]) -> np.ndarray:
    seen: dict[int, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names])


def samples(rng: np.random.Generator, *, count: int, items: int, binary: bool, grouped: bool) -> tuple[np.ndarray, np.ndarray]:
    """Scores [sample, candidate, item] at various distances from each other, and codes [sample, item]."""
    codes = np.array([coded(np.sort(rng.integers(items // 2 if grouped else 10**9, size=items))) for _ in range(count)])
    centre = rng.uniform(0.05, 0.95, (count, 1, 1)) + rng.normal(0, 0.25, (count, len(NAMES), 1))
    noise = rng.random((count, len(NAMES), items)) + 0.3 * rng.random((count, 1, items))
    scores = (noise < centre).astype(float) if binary else np.round(np.clip(centre + 0.4 * (noise - 0.6), 0, 1), 3)
    scores[::7, 1] = scores[::7, 0]
    return scores, codes


# --- the verdict over many samples --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("binary", "grouped"), [(True, False), (True, True), (False, False), (False, True)])
def test_score_tests_are_the_products(*, binary: bool, grouped: bool) -> None:
    scores, codes = samples(np.random.default_rng(1), count=12, items=30, binary=binary, grouped=grouped)
    differences = scores[:, 0] - scores[:, 2]
    found = score_tests(differences, codes, -0.05, low=-1.0, high=1.0)
    above = score_tests(scores[:, 0], codes, np.linspace(0.1, 0.9, 12), low=0.0, high=1.0)
    effects = design_effects(differences, codes)
    for row in range(12):
        sample = BoundedValues(differences[row], codes[row], -1.0, 1.0)
        assert effects[row] == pytest.approx(design_effect(sample), abs=1e-9)
        assert found[row] == pytest.approx(score_test(sample, -0.05), abs=1e-6)
        alone = BoundedValues(scores[row, 0], codes[row], 0.0, 1.0)
        assert above[row] == pytest.approx(score_test(alone, float(np.linspace(0.1, 0.9, 12)[row])), abs=1e-6)


@pytest.mark.parametrize(("binary", "grouped"), [(True, False), (False, True)])
def test_verdicts_are_the_products(*, binary: bool, grouped: bool) -> None:
    rng = np.random.default_rng(5)
    scores, codes = samples(rng, count=6, items=40, binary=binary, grouped=grouped)
    costs, floors = np.array([1.0, 3.0, 1.0]), rng.uniform(0.1, 0.6, 6)
    found = verdicts(scores, codes, costs=costs, floors=floors, margin=0.2)
    kinds, compared = set(), 0
    for row in range(6):
        rows = {
            name: [
                Score(name, f"i{item:02}", f"g{codes[row, item]}", "", 0, 0, f"{name} says", {"f1": float(value)})
                for item, value in enumerate(scores[row, place])
            ]
            for place, name in enumerate(NAMES)
        }
        finding = decide_verdict(
            rows, metric="f1", examples=[], costs=dict(zip(NAMES, costs, strict=True)), margin=0.2, floor=float(floors[row])
        )
        if any(0.04 < one.p_adjusted < 0.06 for one in finding.comparisons):
            continue  # sign flips are drawn, so either side of .05 may be found
        verdict, compared = finding.verdict, compared + 1
        kinds.add(verdict.kind)
        assert KINDS[found.kind[row]] == verdict.kind
        if verdict.kind != "none good enough":
            assert NAMES[found.choice[row]] == (verdict.winner or verdict.provisional)
    assert compared >= 5
    assert len(kinds) >= 2


# --- the table ----------------------------------------------------------------------------------------------------------


def cell(task: str, candidate: str, values: Sequence[float], *, groups: int = 10**6, metric: str = "f1", **more: float) -> Done:
    scores = tuple(
        Score(candidate, f"item{place}", f"group{place % groups}", "", 0, 0, "secret words", {metric: float(value), **more},
              usage=Usage(100, 5))
        for place, value in enumerate(values)
    )  # fmt: skip
    tuned = "tuned" in candidate
    return Done(Cell(task, candidate), scores, 9.0, 50 if tuned else 0, {"seconds": 60.0} if tuned else {}, 3.0, 200)


def whole_table(
    path: Path, *, tasks: Sequence[str] = ("viggo", "xquad", "copy"), items: int = 120
) -> dict[str, table.TaskTable]:
    """Tuned wins on viggo, rag_tuned on xquad, and all are alike on copy."""
    rng = np.random.default_rng(3)
    tasks, best = ("viggo", "xquad", "copy"), {"viggo": "tuned", "xquad": "rag_tuned"}
    cells = []
    for task in tasks:
        for name in applicable(task):
            centre = 0.7 if best.get(task) == name else 0.3
            cells.append(cell(task, name, np.clip(rng.normal(centre, 0.2, items), 0, 1), groups=items // 2))
        cells.append(cell(task, NEAREST, np.full(items, 0.4), groups=items // 2, **{ANSWERABLE: 1.0}))
        cells.append(cell(task, CONSTANTS, np.zeros(items), groups=items // 2, metric="constant_0"))
    table.write(cells, dict.fromkeys(tasks, "f1"), path=path)
    return table.read(path)


def test_the_table_holds_every_value_and_no_text(tmp_path: Path) -> None:
    path = tmp_path / "deciding.parquet"
    part = Done(Cell("viggo", "tuned", 1, 0.25), cell("viggo", "tuned", [0.5]).scores, 1.0, 12, {"seconds": 7.0}, 2.0, 1)
    table.write([cell("viggo", "prompt", [0.1, 0.2, 0.4], groups=2), part], {"viggo": "f1"}, path=path)
    raw = path.read_bytes()
    assert b"secret" not in raw and b"item0" not in raw and b"group0" not in raw
    found = table.read(path)["viggo"]
    assert found.metric == "f1" and len(found.items) == 3 and len(set(found.groups)) == 2
    assert sorted(found.values["prompt", 0, 1.0]) == pytest.approx([0.1, 0.2, 0.4])
    assert np.isfinite(found.values["tuned", 1, 0.25]).sum() == 1
    assert (found.pairs["tuned", 1, 0.25], found.training["tuned", 1, 0.25]) == (12, 7.0)
    assert found.tokens["prompt", 0, 1.0].tolist() == [[100, 5]] * 3
    assert table.read(tmp_path / "absent.parquet") == {}


# --- draws --------------------------------------------------------------------------------------------------------------


def test_halves_share_no_group_and_hold_every_item(tmp_path: Path) -> None:
    task = whole_table(tmp_path / "t.parquet")["xquad"]
    cut = draws(task, applicable("xquad"), count=40)
    groups = task.groups[cut.items]
    for order, half in zip(cut.order, cut.half, strict=True):
        assert sorted(order) == list(range(len(cut.items)))
        assert not set(groups[order[:half]]) & set(groups[order[half:]])
        assert len(order) / 2 <= half < len(order)
    assert cut.largest <= cut.half.min()
    codes = cut.codes(20)
    assert (codes[:, 0] == 0).all() and (np.diff(codes, axis=1) >= 0).all()
    assert all(codes[row].max() + 1 == len(set(groups[cut.drawn(20)[row]])) for row in range(40))
    truth = cut.truth
    own = cut.scores[:, cut.order[3, cut.half[3] :]].mean(axis=1)
    assert truth[3] == pytest.approx(own)
    assert (cut.regrets.min(axis=1) == 0).all()


def test_a_clear_winner_is_chosen_and_costs_nothing(tmp_path: Path) -> None:
    task = whole_table(tmp_path / "t.parquet")["viggo"]
    cut = draws(task, applicable("viggo"), count=30)
    found = decide(cut, 50)
    assert {cut.candidates[choice] for choice in found.choice} == {"tuned"}
    assert {KINDS[kind] for kind in found.kind} == {"superior"}


# --- rules --------------------------------------------------------------------------------------------------------------


def test_a_tree_is_the_best_of_all() -> None:
    features = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 1.0], [1.0, 2.0]])
    losses = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])  # exclusive or: no single question helps
    assert fit(features, losses, depth=1)(features[0]) in (0, 1)
    tree = fit(features, losses, depth=2)
    assert [tree(row) for row in features] == [0, 1, 1, 0]
    assert fit(features, np.array([[0.0, 1.0]] * 4)) == Tree(0)


def test_probes_expect_what_the_product_predicts(tmp_path: Path) -> None:
    rng, items = np.random.default_rng(8), 40
    values = {name: rng.random(items).round(2) for name in (GOLD, NEAREST, CONTEXT)}
    held, answerable = rng.random(items) < 0.6, np.arange(items) % 5 > 0
    values[CONTEXT] = np.where(answerable, 0.0, 1.0)
    contains = rng.random(items) < 0.5
    located = np.flatnonzero(answerable & (np.arange(items) % 3 > 0))
    cells = [
        Done(
            Cell("xquad", probe),
            tuple(
                Score(probe, f"i{item:02}", f"g{item:02}", "", 0, 0, "", {"f1": float(values[probe][item]), **extra(item)})
                for item in where
            ),
            1.0,
            0,
        )
        for probe, where, extra in (
            (GOLD, located, lambda item: {"contains": float(contains[item])}),
            (NEAREST, range(items), lambda item: {ANSWERABLE: float(answerable[item])}),
            (CONTEXT, range(items), lambda item: {HELD: float(held[item])} if answerable[item] else {}),
        )
    ]
    table.write(cells, {"xquad": "f1"}, path=tmp_path / "t.parquet")
    task = table.read(tmp_path / "t.parquet")["xquad"]
    names = applicable("xquad")
    found = rules.expected(task, np.arange(items)[np.newaxis], names, np.array([0.07]))[0]
    everything = {f"i{item:02}": item for item in range(items)}
    evidence = Evidence(
        examples={
            name: Example(name, "?", ("a",) if answerable[item] else (), group=name) for name, item in everything.items()
        },
        has_documents=True,
        constant=0.07,
        held={name: bool(held[item]) for name, item in everything.items() if answerable[item]},
        mechanical={name: float(values[CONTEXT][item]) for name, item in everything.items()},
        gold={f"i{item:02}": float(values[GOLD][item]) for item in located},
        gold_relaxed={f"i{item:02}": max(float(values[GOLD][item]), float(contains[item])) for item in located},
        nearest={name: float(values[NEAREST][item]) for name, item in everything.items()},
    )
    for place, name in enumerate(names):
        candidate = standard_candidate(name, config=Config())
        assert found[place] == pytest.approx(predict(candidate, evidence, clock=lambda: 0.0).expected, abs=1e-6), name


# --- figures ------------------------------------------------------------------------------------------------------------


def test_figures_say_what_is_missing_and_compute_with_the_rest(tmp_path: Path) -> None:
    tables = whole_table(tmp_path / "t.parquet", items=240)
    known = tables["xquad"].values
    tables["xquad"] = replace(tables["xquad"], values={key: known[key] for key in known if key != ("rag", 0, 1.0)})
    found = standings.replay(tables, count=5, sizes=(25, 100))
    assert sorted(found.draws) == ["copy", "viggo"]
    assert found.missing["xquad"] == ("rag",) and len(found.missing) == len(SITUATIONS) - 2
    kept = figures.figures_of(found, sizes=(25, 100, 200))
    assert kept["tasks_used"] == "viggo, copy" and "xquad: rag;" in str(kept["tasks_missing"])
    assert kept["best_viggo"] == "tuned" and kept["regret_mean_points_viggo_100"] == 0
    assert kept["regret_mean_points_always_prompt_100"] > 15
    assert kept["regret_mean_points_always_both_100"] == kept["regret_mean_points_always_tuned_100"]
    assert kept["tasks_count_200"] == 0
    assert kept["probes_name_viggo"] == "tuned" and kept["probes_tasks_count"] == 2
    goals = {one.name: one.met for one in figures.goals_of(kept)}
    assert goals["tasks_used_count"] is False and goals["regret_mean_points_groundtune_100"] is True
    save("deciding", kept, figures.goals_of(kept), folder=tmp_path)
    page = tmp_path / "deciding.md"
    page.write_text(f"# Deciding\n\n{report.BEGIN}\n{report.END}\n\nThe rest.\n")
    report.write_page(kept, page)
    report.write_page(kept, page)
    text = page.read_text()
    assert text.count("always prompt") == 1 and text.endswith("The rest.\n") and "left out: xquad" in text
    for drawing in (report.draw_regrets, report.draw_scores):
        drawing(kept, tmp_path / "a.svg")
        drawing(kept, tmp_path / "b.svg")
        assert (tmp_path / "a.svg").read_text() == (tmp_path / "b.svg").read_text()


def test_an_empty_table_has_figures_too(tmp_path: Path) -> None:
    kept = figures.figures_of(standings.replay({}, count=5))
    assert kept["tasks_used_count"] == 0
    save("deciding", kept, figures.goals_of(kept), folder=tmp_path)
    assert "rule" in report.table(kept)


def test_what_is_fitted_has_not_seen_its_task(tmp_path: Path) -> None:
    tables = whole_table(tmp_path / "t.parquet")
    ready = standings.usable(tables, count=3).draws
    assert rules.best_fixed({"viggo": ready["viggo"]}) == {} == rules.grown({"viggo": ready["viggo"]})
    fixed = rules.best_fixed({"viggo": ready["viggo"], "xquad": ready["xquad"]})
    assert ready["viggo"].candidates[fixed["viggo"][0]] == "tuned"  # rag_tuned won the other, and tuned stands for it here
