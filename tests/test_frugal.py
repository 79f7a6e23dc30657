"""The frugal race from documents and questions to a report, with the fake model, beside the exhaustive one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import groundtune
from groundtune.decision.frugal import looks_of, part_of
from groundtune.decision.report import SCHEMA
from groundtune.decision.setup import set_up
from groundtune.store.workspace import Workspace

# Free: what is cheaper must not hang on how fast the machine was in one of the two races.
CONFIG = """\
model = "fake:{model}"
embedder = "fake:hash"
documents = ""
metric = "exact_match"
[access]
single = true
[training]
epochs = 1
[prices]
core_hour = 0.0
[decision]
race = "{race}"
candidates = ["prompt", "tuned"]
latency_requests = 2
"""
Rows = list[dict[str, Any]]


def workspace(root: Path, questions: Rows, *, race: str = "frugal", model: str = "extract", more: str = "") -> Path:
    root.mkdir(parents=True)
    (root / "groundtune.toml").write_text(CONFIG.format(race=race, model=model) + more, encoding="utf-8")
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    return root


def learnable(count: int = 120) -> Rows:
    """The closest training question has the right answer; nothing else tells it."""
    kinds = ("abcdef" * count)[:count]
    return [{"question": f"signal {kind} at noon number {n}", "answers": [f"flag {kind}"]} for n, kind in enumerate(kinds)]


def constant(count: int) -> Rows:
    """One answer fits nearly everything."""
    return [{"question": f"question number {n}?", "answers": ["yes"]} for n in range(count)]


def decide(root: Path) -> dict[str, Any]:
    report = groundtune.decide(root).report
    assert report is not None
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return report


def both(tmp_path: Path, questions: Rows, *, model: str = "extract", more: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The reports of the exhaustive and of the frugal race."""
    first, second = (
        decide(workspace(tmp_path / race, questions, race=race, model=model, more=more)) for race in ("exhaustive", "frugal")
    )
    assert first["race"] == {"kind": "exhaustive", "why": "", "looks": [], "ended": "", "work": None, "candidates": []}
    assert second["race"]["kind"] == "frugal"
    assert second["decision"]["winner"] == first["decision"]["winner"]
    return first, second


def test_where_tuning_wins_it_wins_with_a_part_of_the_work(tmp_path: Path) -> None:
    exhaustive, frugal = both(tmp_path, learnable())
    assert frugal["decision"]["winner"] == "tuned"
    assert frugal["decision"]["verdict"] == exhaustive["decision"]["verdict"] == "superior"
    assert frugal["decision"]["headline"].endswith("it beats every other candidate, with 1/4 of its training pairs")
    done, whole = frugal["race"]["work"]["done"], frugal["race"]["work"]["exhaustive"]
    assert whole["trainings"] == 3 and whole["answers"] == 240
    assert done["trainings"] == 0.25 and done["answers"] == 80
    assert done["core_minutes"] < whole["core_minutes"] / 3
    page = (tmp_path / "frugal" / "report.md").read_text(encoding="utf-8")
    assert "0.25 of 3 trainings, 80 of 240 answers" in page and "groundtune train tuned" in page


def test_a_perfect_prompt_leaves_nothing_to_train_for(tmp_path: Path) -> None:
    _, frugal = both(tmp_path, constant(600), model="constant=yes", more="floor = 0.5\n")
    assert frugal["decision"]["winner"] == "prompt"
    assert not list((tmp_path / "frugal" / ".groundtune").glob("weights/*")), "it was trained"
    absent = frugal["candidates"][1]
    assert absent["not_applicable"].startswith("not trained: prompt scores 100.0 points")
    assert frugal["race"]["work"]["done"]["trainings"] == 0


def test_equal_candidates_are_measured_to_the_end(tmp_path: Path) -> None:
    """Half of the answers are right whoever answers."""
    questions = [{"question": f"question {n}?", "answers": ["yes" if n % 2 else "no"]} for n in range(90)]
    exhaustive, frugal = both(tmp_path, questions, model="constant=yes", more="floor = 0.2\n")
    assert frugal["decision"]["verdict"] == exhaustive["decision"]["verdict"]
    assert frugal["race"]["ended"] == "" and all(one["left"] for one in frugal["race"]["candidates"])
    assert [one["items"] for one in frugal["candidates"]] == [90, 90]


def test_a_run_that_was_cut_off_ends_with_the_same_verdict(tmp_path: Path) -> None:
    whole = decide(workspace(tmp_path / "whole", learnable()))
    for part in ("train tuned", "answer tuned"):
        root = workspace(tmp_path / part.replace(" ", "-"), learnable())

        class Cut(Exception):
            pass

        def cut(stage: str, done: int, total: int, *, part: str = part) -> None:
            if stage.startswith(part) and done == total:
                raise Cut

        with pytest.raises(Cut):
            groundtune.decide(root, progress=cut)
        again = decide(root)
        assert again["decision"] == whole["decision"] and again["comparisons"] == whole["comparisons"]
        work = [{name: one["race"]["work"]["done"][name] for name in ("trainings", "answers")} for one in (again, whole)]
        assert work[0] == work[1]


def test_a_race_that_cannot_be_frugal_is_exhaustive_and_says_why(tmp_path: Path) -> None:
    few = decide(workspace(tmp_path / "few", learnable(12)))
    assert few["race"]["kind"] == "exhaustive" and "too few independent groups" in few["race"]["why"]
    limited = decide(workspace(tmp_path / "limited", learnable(), more="max_p95_seconds = 9.0\n"))
    assert limited["race"]["why"] == "max_p95_seconds may exclude a candidate that others were dropped for"
    assert "The race was exhaustive" in (tmp_path / "limited" / "report.md").read_text(encoding="utf-8")
    none_lost = decide(workspace(tmp_path / "none_lost", learnable(), more="max_staleness_loss = 0.0\n"))
    assert none_lost["race"]["why"].startswith("max_staleness_loss may")


def test_looks_cut_no_group_and_parts_of_the_training_items_lie_in_each_other(tmp_path: Path) -> None:
    grouped = [row | {"group": f"g{n // 2}"} for n, row in enumerate(learnable(400))]
    for questions, ends in ((grouped, 4), (learnable(120), 3), (learnable(40), 3), (learnable(24), 2), (learnable(12), 1)):
        with Workspace.open(workspace(tmp_path / f"{len(questions)}", questions)) as opened:
            task = set_up(opened, names=["prompt", "tuned"]).task
        looks = looks_of(task, seed=0)
        assert sorted(looks.items) == sorted(task.test_ids) and len(looks.ends) == ends and looks.ends[-1] == len(looks.items)
        for end in looks.ends:
            assert not set(looks.groups[:end]) & set(looks.groups[end:])
        for fold in task.folds:
            sixteenth, quarter = (set(part_of(fold, share, task, seed=0)) for share in (1 / 16, 1 / 4))
            assert sixteenth <= quarter <= set(part_of(fold, 1.0, task, seed=0)) == set(fold.train)
            assert abs(len(quarter) - len(fold.train) / 4) <= 2


def test_the_plan_says_the_least_the_most_and_the_exhaustive(tmp_path: Path) -> None:
    root = workspace(tmp_path / "plan", learnable())
    plan = groundtune.decide(root, plan_only=True).plan
    (note,) = (note for note in plan.notes if note.startswith("The race is frugal"))
    assert "looks after 40, 80, 120 questions" in note
    assert plan.frugality is not None
    exhaustive = sum(sum(stages.values()) for stages in plan.frugality.exhaustive.values())
    assert sum(plan.frugality.least.values()) < exhaustive < plan.seconds
