"""Metrics that need a setting, from groundtune.toml to the report; figures of a whole set beside the metrics."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from groundtune.dataset.read import read_questions
from groundtune.decision.task import Task, prepare, set_figures
from groundtune.errors import ConfigError, UsageError
from groundtune.scoring import metric
from groundtune.scoring.labels import macro_f1
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.types import Answer, Score
from groundtune.verbs.racing import decide, evaluate

CONFIG = """\
model = "fake:constant=SELECT count(*) FROM shop"
embedder = "fake:hash"
metric = "sql_execution"
documents = ""
[access]
single = true
[scoring]
database = "shop.sqlite"
[decision]
candidates = ["prompt"]
latency_requests = 2
"""


def questions(path: Path, answers: list[str]) -> Path:
    rows = [{"id": f"q{n}", "question": f"Question {n}?", "answers": [answer]} for n, answer in enumerate(answers)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def task(path: Path, name: str, settings: Settings = NOTHING_SET) -> Task:
    return prepare(
        read_questions(path),
        document_text=lambda _: None,
        documents=(),
        metric=name,
        principals=("local",),
        folds_wanted=2,
        seed=0,
        settings=settings,
    )


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE shop (name TEXT)")
        connection.executemany("INSERT INTO shop VALUES (?)", [("a",), ("b",), ("c",)])
    answers = ["SELECT 3"] * 8 + ["SELECT name FROM shop"] * 5 + ["SELECT nme FROM shop"]
    questions(tmp_path / "questions.jsonl", answers)
    (tmp_path / "groundtune.toml").write_text(CONFIG)
    return tmp_path


def test_sql_is_scored_on_the_database_of_the_configuration(shop: Path) -> None:
    (found,) = evaluate("prompt", root=shop)
    assert found.items == 13
    assert found.metrics["sql_execution"] == pytest.approx(8 / 13)
    decision = decide(shop)
    assert decision.verdict is not None
    assert decision.report is not None
    assert any("nme" in problem for problem in decision.report["task"]["problems"])


def test_a_metric_without_its_setting_stops_before_anything_is_spent(shop: Path) -> None:
    (shop / "groundtune.toml").write_text(CONFIG.replace('database = "shop.sqlite"', ""))
    with pytest.raises(ConfigError, match=r"scoring\.database"):
        evaluate("prompt", root=shop)


def test_questions_that_cannot_be_scored_are_problems_and_cost_no_other(shop: Path) -> None:
    found = task(shop / "questions.jsonl", "sql_execution", Settings(database=shop / "shop.sqlite"))
    assert len(found.examples) == 13
    (problem,) = found.problems
    assert problem.line == 14
    assert problem.id == "q13"


def test_macro_f1_stands_beside_label_accuracy_and_is_no_primary_metric(tmp_path: Path) -> None:
    path = questions(tmp_path / "q.jsonl", ["yes"] * 8 + ["no"] * 6)
    found = task(path, "label_accuracy")
    assert (found.metrics, found.figures) == (("label_accuracy",), ("macro_f1",))
    scores = [Score("c", one.id, one.group, "", 0, 0, "yes", {"label_accuracy": 1.0}) for one in found.examples]
    figure = set_figures(found, scores)["macro_f1"]
    assert figure == macro_f1(found.examples, [Answer("yes")] * 14)
    assert figure == pytest.approx((2 * 8 / (8 + 14) + 0) / 2)
    with pytest.raises(UsageError, match="label_accuracy"):
        metric("macro_f1")
