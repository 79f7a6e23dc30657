"""The generated company's seeds and knobs, its workspace on disk, and its two tasks without documents."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import mean

import pytest

import groundtune
from groundtune.company import Company, Knobs, generate, write
from groundtune.config import load_config
from groundtune.dataset.read import read_questions
from groundtune.decision.task import prepare
from groundtune.errors import UsageError
from groundtune.scoring.settings import Settings
from groundtune.scoring.sql import Database
from tests.words import overlap


@pytest.fixture(scope="module")
def company() -> Company:
    return generate()


@pytest.fixture(scope="module")
def root(company: Company, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("company") / "team"
    write(company, folder, model="fake:extract")
    return folder


# --- knobs and seeds ----------------------------------------------------------------------------------------------------


def test_a_seed_makes_the_same_firm_and_another_one_another(company: Company, root: Path, tmp_path: Path) -> None:
    assert generate(0) == company
    write(generate(0), tmp_path / "again", model="fake:extract")
    written = {path.relative_to(root): path for path in root.rglob("*") if path.is_file() and path.suffix != ".sqlite"}
    for name, path in written.items():
        assert (tmp_path / "again" / name).read_bytes() == path.read_bytes(), name
    other = generate(1)
    assert other.name != company.name
    asked = [{(question.question, question.answers) for question in one.questions} for one in (company, other)]
    assert len(asked[0] & asked[1]) <= 0.1 * len(asked[0])


def test_the_knobs_do_what_they_say(company: Company) -> None:
    def turned(**knobs: float) -> Company:
        return generate(knobs=replace(Knobs(), **knobs))

    for unknown in (1.0, 0.1):
        answerable = [question for question in turned(unknown=unknown).questions if question.evidence]
        assert sum(question.common for question in answerable) == round((1 - unknown) * len(answerable))
    assert overlap(turned(difficulty=0.0)) > overlap(company) >= overlap(turned(difficulty=1.0))
    counts = [sum(bool(one.superseded_by) for one in turned(churn=churn).documents) for churn in (0.0, 0.05, 1.0)]
    assert counts[0] == 0 and counts == sorted(set(counts))
    styled = [
        mean(question.answers[0] != question.plain[0] for question in turned(style=style).questions if question.answers)
        for style in (0.0, 0.34, 1.0)
    ]
    assert styled[0] == 0 and styled[-1] == 1 and styled == sorted(set(styled))
    assert {question.id for question in turned(questions=100).questions} <= {question.id for question in company.questions}


def test_the_house_style_is_shown_by_examples_only() -> None:
    company = generate(knobs=Knobs(style=1.0))
    openings = {question.answers[0].partition(":")[0] for question in company.questions if question.answers}
    assert len(openings) == 1
    opening = openings.pop()
    assert not any(f"{opening}:" in document.text for document in company.documents)
    turns = [reply for question in company.questions for _, reply in question.history]
    assert turns and all(reply.startswith(f"{opening}: ") for reply in turns)


@pytest.mark.parametrize(
    ("knob", "value"), [("unknown", 1.2), ("style", -0.1), ("questions", 5), ("labelled", 30.5), ("churn", True)]
)
def test_a_knob_out_of_range_is_named(knob: str, value: float) -> None:
    with pytest.raises(UsageError, match=knob):
        replace(Knobs(), **{knob: value})


def test_more_questions_than_the_pages_hold_are_refused() -> None:
    with pytest.raises(UsageError, match="are asked for"):
        generate(knobs=Knobs(questions=5000))


# --- the workspace and the tasks without documents ----------------------------------------------------------------------


def test_init_writes_the_company_of_a_seed(tmp_path: Path) -> None:
    made = groundtune.init(tmp_path / "one", demo=True, seed=1, model="fake:extract")
    assert {"groundtune.toml", "questions.jsonl", "tasks/routing/questions.jsonl", "tasks/sql/firm.sqlite"} <= set(made.written)
    assert generate(1).name in (tmp_path / "one" / "groundtune.toml").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="only the demo has a seed"):
        groundtune.init(tmp_path / "two", seed=1)
    assert not (tmp_path / "two").exists()


def test_write_refuses_a_folder_that_holds_something(company: Company, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="is not empty"):
        write(company, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_mails_are_routed_by_the_rules_of_the_house(company: Company, root: Path) -> None:
    folder = root / "tasks" / "routing"
    assert load_config(folder / "groundtune.toml").metric == "label_accuracy"
    reading = read_questions(folder / "questions.jsonl")
    queues = Counter(example.answers[0] for example in reading.examples)
    assert len(reading.examples) >= 200 and len(queues) == 8 and min(queues.values()) >= 15
    plans = {document.title.rpartition(" ")[2] for document in company.documents if document.kind == "contract"} - {"sale"}
    named = {example.answers[0] for example in reading.examples if any(plan in example.question for plan in plans)}
    assert len(named) == 2, "the contract queue, and that of the angry"


def test_every_query_runs_and_follows_the_terms_of_the_house(company: Company, root: Path) -> None:
    folder = root / "tasks" / "sql"
    config = load_config(folder / "groundtune.toml")
    reading = read_questions(folder / "questions.jsonl")
    database = folder / str(config.scoring.database)
    task = prepare(
        reading,
        document_text=lambda _: None,
        documents=(),
        metric=config.metric,
        principals=("local",),
        folds_wanted=2,
        seed=0,
        settings=Settings(database=database),
    )
    assert len(task.examples) >= 100 and [str(problem) for problem in task.problems] == []
    assert not task.has_documents
    books = company.ledger
    paid = {
        year: sum(order[4] for order in books.orders if order[5] == "paid" and order[3].startswith(year))
        for year in ("2024", "2025")
    }
    for year, amount in paid.items():
        query = next(
            one.sql for one in books.queries if one.sql.startswith("SELECT sum(amount) FROM orders") and f"'{year}%'" in one.sql
        )
        assert Database(database).select(query) == ((amount,),)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM customers").fetchone()[0] == len(books.customers)


def test_rows_hold_what_readers_of_questions_know(company: Company, root: Path) -> None:
    rows = [json.loads(line) for line in (root / "questions.jsonl").read_text("utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len(rows)
    assert all(row["facts"] for row in rows if row["answers"])
