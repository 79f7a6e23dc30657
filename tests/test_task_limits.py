"""How many questions a task uses: whole groups, drawn after the split, and said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from groundtune.dataset.read import read_questions
from groundtune.decision.task import Task, prepare
from groundtune.verbs.racing import decide
from tests.firm import CONFIG, write_firm


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    rows = [{"question": f"Question {n}?", "answers": [f"a{n}"], "group": f"g{n // 2}"} for n in range(320)]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def task(path: Path, *, first: int | None = None, test: int | None = None, train: int | None = None) -> Task:
    reading = read_questions(path)
    reading = reading if first is None else type(reading)(reading.examples[:first], ())
    return prepare(
        reading,
        document_text=lambda _: None,
        documents=(),
        metric="f1",
        principals=("local",),
        folds_wanted=2,
        seed=0,
        test_questions=test,
        train_questions=train,
    )


def test_limits_draw_whole_groups_from_the_parts_that_a_whole_race_has(questions: Path) -> None:
    whole, some = task(questions), task(questions, test=30, train=50)
    assert whole.left_unused == ""
    assert (len(some.folds[0].test), len(some.folds[0].train)) == (30, 50)
    assert set(some.test_ids) < set(whole.test_ids) and set(some.folds[0].train) < set(whole.folds[0].train)
    groups = {example.id: example.group for example in some.examples}
    for used, part in ((some.test_ids, whole.test_ids), (some.folds[0].train, whole.folds[0].train)):
        assert {groups[item] for item in used}.isdisjoint(groups[item] for item in set(part) - set(used))
    assert some.left_unused.startswith(
        "Drawn by group from the seed, before any answer: 30 of 128 questions that could be scored are, and 50 of 160 may"
    )
    assert some.fingerprint == whole.fingerprint


def test_below_three_hundred_the_limit_is_shared_between_the_folds(questions: Path) -> None:
    found = task(questions, first=200, test=40, train=60)
    assert found.scheme == "cross-fitted"
    assert [len(fold.test) for fold in found.folds] == [20, 20]
    assert [len(fold.train) for fold in found.folds] == [60, 60]
    assert all(set(fold.test).isdisjoint(fold.train) for fold in found.folds)


def test_a_limit_above_what_is_there_changes_nothing(questions: Path) -> None:
    assert task(questions, test=500, train=500) == task(questions)


def test_the_plan_says_what_was_left_out(tmp_path: Path) -> None:
    root = write_firm(tmp_path / "firm", config=f"{CONFIG}test_questions = 12\n")
    plan = decide(root, candidates=["prompt"], plan_only=True).plan
    assert plan.items == 12
    assert any("12 of 24 questions that could be scored" in note for note in plan.notes)
