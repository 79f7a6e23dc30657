"""The tasks of the benchmark of deciding: each data set's form read from a tiny copy, and cells filled with the fake model."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks import learning
from benchmarks.cells import Cell, kept, part_of, run_cells
from benchmarks.deciding import __main__ as command
from benchmarks.deciding import features, plan, probing, queries, readings, report, table, texts
from benchmarks.deciding import tasks as tasks_module
from benchmarks.deciding.situations import CONTROLS, SITUATIONS
from benchmarks.learning_tasks import LearningTask
from groundtune.decision.setup import set_up
from groundtune.errors import NotFound
from groundtune.store.workspace import Workspace
from groundtune.types import Example
from tests import firm


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --- forms of the data sets ---------------------------------------------------------------------------------------------


def test_descriptions_accept_every_reference_and_copies_themselves(tmp_path: Path) -> None:
    put(tmp_path / "devset.csv", 'mr,ref\n"name[A], area[b]",A is in b.\n"name[A], area[b]",In b there is A.\n"name[C]",C.\n')
    described = {row["question"]: row["answers"] for row in texts.descriptions(tmp_path)}
    assert described == {"name[A], area[b]": ["A is in b.", "In b there is A."], "name[C]": ["C."]}
    assert [row["answers"] for row in texts.copied(tmp_path)] == [["name[A], area[b]"], ["name[C]"]]


def utterances(folder: Path, count: int = 40) -> Path:
    rows = [f"please {n} do,thing_{n % 4},none,,,,X" for n in range(count)]
    put(
        folder / "data" / "train.csv",
        "utterance,intent,category,entity_type,entity_value,extra,tags\n" + "\n".join(rows) + "\n",
    )
    return folder


def test_controls_keep_the_labels_but_not_their_places_and_invent_numbers(tmp_path: Path) -> None:
    folder = utterances(tmp_path)
    plain, dealt = texts.intents(folder), texts.permuted(folder)
    assert sorted(row["answers"][0] for row in plain) == sorted(row["answers"][0] for row in dealt)
    moved = sum(one["answers"] != other["answers"] for one, other in zip(plain, dealt, strict=True))
    assert 20 < moved < 40 and dealt == texts.permuted(folder)
    numbers = [row["answers"][0] for row in texts.unknowable(folder)]
    assert len(set(numbers)) == 40 and all(len(number) == 5 and number.isdigit() for number in numbers)


def test_turns_bring_their_history_and_unanswerable_ones_no_answer(tmp_path: Path) -> None:
    def turn(name: str, kind: str) -> Mapping[str, Any]:
        said = [("user", "Hello?"), ("agent", "Hi."), ("user", f"What of {name}?")]
        return {
            "conversation_id": name, "task_id": f"{name}<::>2", "answerability": [kind],
            "contexts": [{"document_id": f"doc/{name}", "text": f"All about {name}."}],
            "input": [{"speaker": who, "text": text} for who, text in said],
            "targets": [{"text": f" {name}  it is. "}],
        }  # fmt: skip

    lines = [json.dumps(turn(name, kind)) for name, kind in (("a", "ANSWERABLE"), ("b", "UNANSWERABLE"))]
    put(tmp_path / "mtragun-human" / "generation_tasks" / "reference.jsonl", "\n".join(lines) + "\n")
    first, second = readings.follow_ups(tmp_path)
    assert (first["question"], first["answers"], second["answers"]) == ("What of a?", ["a it is."], [])
    assert [said["role"] for said in first["history"]] == ["user", "assistant"]
    folder = readings.follow_up_documents(tmp_path, tmp_path / "documents")
    for evidence in first["evidence"]:
        assert evidence["quote"] in (folder / evidence["document"]).read_text()


def test_firms_answer_with_their_supporting_facts_and_quote_the_page(tmp_path: Path) -> None:
    page = "# Leave\n\nEvery member of staff has thirty days of leave.\n\nAsk your manager first.\n"
    put(tmp_path / "datasets" / "Acme Works" / "md" / "Leave Policy.md", page)
    told = [
        ("Leave Policy.md", "Staff  have thirty days of leave."),
        ("Leave Policy.md", "Dogs bark."),
        ("gone.md", "Or more."),
    ]
    queries_of = {"How long?": told, "Who barks?": told[1:]}
    lines = ["Enterprise Name,Query Type,Query,Supporting Facts"]
    for question, facts in queries_of.items():
        doubled = json.dumps([{"filename": name, "text": text} for name, text in facts]).replace('"', '""')
        lines.append(f'Acme Works,Boolean,{question},"{doubled}"')
    put(tmp_path / "datasets" / "queries.csv", "\n".join(lines) + "\n")
    (row,) = readings.firms(tmp_path)
    assert row["facts"] == ["Staff have thirty days of leave.", "Dogs bark.", "Or more."]
    assert row["answers"] == [" ".join(row["facts"])]
    folder = readings.firms_documents(tmp_path, tmp_path / "documents")
    (written,) = folder.iterdir()
    quote = "Every member of staff has thirty days of leave."
    assert row["evidence"] == [{"document": written.name, "quote": quote}] and quote in written.read_text()


def test_abstracts_and_papers_are_quoted_as_they_stand(tmp_path: Path) -> None:
    paper = {"QUESTION": "Does it?", "CONTEXTS": ["Aim.", "It did."], "final_decision": "yes"}
    put(tmp_path / "data" / "ori_pqal.json", json.dumps({"7": paper}))
    (row,) = readings.abstracts(tmp_path)
    folder = readings.abstract_documents(tmp_path, tmp_path / "abstracts")
    assert row["answers"] == ["yes"] and row["evidence"][0]["quote"] in (folder / "7.md").read_text()
    context = "Bats and their viruses in caves\n\nBats carry it. Mice do not. Mice run."
    asked = [
        {"id": 1, "question": "Who?", "answers": [{"text": "Bats carry it."}]},
        {"id": 2, "question": "Twice?", "answers": [{"text": "Mice"}]},
    ]
    articles = {"data": [{"paragraphs": [{"document_id": 9, "context": context, "qas": asked}]}]}
    put(tmp_path / "x_covidQA.json", json.dumps(articles))
    (styled,) = readings.house_style(tmp_path)
    assert styled["answers"] == ["Finding: Bats carry it. Paper: Bats and their viruses"]
    folder = readings.paper_documents(tmp_path, tmp_path / "papers")
    assert styled["evidence"][0]["quote"] in (folder / "9.md").read_text()


def test_schemas_share_one_database_and_queries_return_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "SCHEMAS", ("one", "two"))
    for schema, value in (("one", 1), ("two", 2)):
        put(
            tmp_path / "defog_data" / schema / f"{schema}.sql",
            f"CREATE TABLE public.city (id bigint DEFAULT '0'::bigint, name text);\n"
            f"INSERT INTO public.city (id, name) VALUES ({value}, 'x'), ({value + 5}, 'y');\n",
        )
    put(
        tmp_path / "data" / "questions_gen_sqlite.csv",
        "db_name,question,query\n"
        "one,How many?,SELECT count(*) FROM city\n"
        'two,Which?,"SELECT {city.id, city.name} FROM city JOIN city AS c ON c.id = city.id ORDER BY city.id"\n'
        "two,Broken?,SELECT id FROM street\n"
        "three,Elsewhere?,SELECT 1\n",
    )
    found = queries.rows(tmp_path, tmp_path / "database")
    assert [row["kind"] for row in found] == ["one", "two"]
    assert found[0]["question"].startswith("Tables: one_city(id, name).") and found[0]["answers"] == [
        "SELECT count(*) FROM one_city"
    ]
    with closing(sqlite3.connect(tmp_path / "database" / queries.FILE)) as connection:
        assert connection.execute(found[1]["answers"][0]).fetchall() == [(2,), (7,)]
        assert len(found[1]["answers"]) == 3


def test_every_task_has_its_situation_and_reads_its_data() -> None:
    try:
        known = tasks_module.tasks()
    except NotFound as absent:
        pytest.skip(str(absent))
    assert set(known) == set(SITUATIONS) and len(known) >= 12 and set(CONTROLS) <= set(known)
    for name, task in known.items():
        assert (task.documents is not None) == bool(SITUATIONS[name].documents), name


# --- cells --------------------------------------------------------------------------------------------------------------


def test_what_teaches_most_comes_first() -> None:
    known = {
        name: LearningTask(name, "f1", lambda _: [], "", documents=lambda _, folder: folder, train=160)
        for name in ("firms", "xquad")
    }
    cells = plan.cells(known)
    assert len(set(cells)) == len(cells)
    kinds = ["rung" if cell.rung < 1 else cell.seed for cell in cells]
    assert kinds == sorted(kinds, key=[0, "rung", 1, 2].index)
    standard = [*probing.PROBES, *tasks_module.UNTUNED, *tasks_module.TUNED]
    assert [(cell.setting, cell.candidate) for cell in cells[:18]] == [(name, one) for name in known for one in standard]
    assert [cell.name for cell in plan.named(["xquad-tuned"], cells)] == [
        "xquad-tuned-0", "xquad-tuned-0-part4", "xquad-tuned-0-part16", "xquad-tuned-1", "xquad-tuned-2",
    ]  # fmt: skip
    assert [cell.name for cell in plan.named(["firms-tuned-0-part4"], cells)] == ["firms-tuned-0-part4"]


def tiny(folder: Path) -> LearningTask:
    """The tests' small firm as a task of the benchmark; only what its one principal may ask."""

    def rows(_: Path) -> list[dict[str, Any]]:
        return [{**row, "principals": ["local"]} for row in firm.rows() if not row["id"].startswith("board")]

    def documents(_: Path, __: Path) -> Path:
        for number, thing in enumerate(firm.THINGS):
            place = firm.PLACES[number]
            text = f"The {thing} stands in the {place}. It weighs {number + 3} kg. It is repaired by team {number + 1}.\n"
            put(folder / f"{thing}.md", text)
        return folder

    sizes = {"test": 1000, "train": 1000, "folds": 2}
    return LearningTask("xquad", "f1", rows, "", documents=documents, settings={"[training]": "epochs = 1"}, **sizes)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LearningTask:
    """A task whose workspace has the fake model, below `tmp_path / "tasks"`."""
    monkeypatch.setattr(learning, "TASKS", tmp_path / "tasks")
    task = tiny(tmp_path / "documents")
    root = plan.workspace(task, tmp_path / "tasks" / "xquad", candidates="")
    path = root / "groundtune.toml"
    text = path.read_text().replace("embedded:smollm2", "fake:extract").replace("embedded:minilm", "fake:hash")
    path.write_text(text.replace("[index]", '[index]\nbackend = "sqlite"'))
    return task


def test_cells_of_a_task_are_filled_kept_and_asked_again_when_it_grows(tmp_path: Path, fake: LearningTask) -> None:
    names = {f"xquad-{name}-0" for name in (*probing.PROBES, "rag", "tuned")}
    wanted = [cell for cell in plan.cells({"xquad": fake}) if cell.name in names]
    ran: list[str] = []

    def run(cell: Cell) -> Any:
        ran.append(cell.candidate)
        return plan.run(cell, fake)

    run_cells(wanted, folder=tmp_path, run=run, minutes=None, after=lambda: None, current=lambda done: plan.current(fake, done))
    assert ran == [*probing.PROBES, "rag", "tuned"]
    run_cells(wanted, folder=tmp_path, run=run, minutes=None, after=lambda: None, current=lambda done: plan.current(fake, done))
    assert len(ran) == len(wanted)
    held = {cell.candidate: done for cell, done in kept(wanted, tmp_path).items()}
    items = {score.item for score in held["rag"].scores}
    assert len(items) == 19 and {score.item for score in held["tuned"].scores} == items
    assert {score.fold for score in held["tuned"].scores} == {0, 1} and held["tuned"].training["steps"] > 0
    assert held["rag"].scores[0].usage.input_tokens > 0 and held["rag"].asked == 1000
    assert {score.item for score in held[probing.GOLD].scores} == items - {"none-1"}
    in_context = [score.metrics[probing.HELD] for score in held[probing.CONTEXT].scores if probing.HELD in score.metrics]
    assert len(in_context) == 18 and sum(in_context) > 9
    assert [score.metrics[probing.ANSWERABLE] for score in held[probing.NEAREST].scores].count(0.0) == 1
    constants = held[probing.CONSTANTS].scores[0].metrics
    assert len(constants) == 19 and constants.keys() >= {"constant_0", "constant_18"}
    assert not plan.current(LearningTask("xquad", "f1", lambda _: [], "", test=200), held["rag"])


def test_a_rung_learns_from_a_part_of_the_pairs(fake: LearningTask) -> None:
    whole, quarter = (plan.run(Cell("xquad", "tuned", rung=rung), fake) for rung in (1.0, 0.25))
    assert 0 < quarter.pairs < whole.pairs / 2
    assert Cell("xquad", "tuned", rung=0.25).name == "xquad-tuned-0-part4"
    examples = [Example(f"i{n}", "?", ("a",), group=f"g{n // 2}") for n in range(40)]
    part = part_of(examples, 0.25)
    assert part == part_of(examples, 0.25) and 8 <= len(part) <= 12
    assert all(sum(one.group == example.group for one in part) == 2 for example in part)


def test_sizes_of_a_workspace_follow_the_task(tmp_path: Path, fake: LearningTask) -> None:
    smaller = LearningTask("xquad", "f1", lambda _: [], "", test=6, train=4, folds=2)
    root = plan.workspace(smaller, tmp_path / "tasks" / "xquad", candidates="")
    with Workspace.open(root) as workspace:
        task = set_up(workspace, names=["prompt"]).task
    assert [len(fold.test) for fold in task.folds] == [3, 3] and task.metric == "f1"


def test_a_workspace_that_was_moved_is_at_home(tmp_path: Path, fake: LearningTask) -> None:
    shutil.move(tmp_path / "tasks" / "xquad", tmp_path / "elsewhere")
    root = plan.workspace(fake, tmp_path / "elsewhere", candidates="")
    with Workspace.open(root) as workspace:
        assert workspace.questions == (root / "questions.jsonl").resolve()
        assert set_up(workspace, names=["rag"]).candidates


def test_one_command_fills_the_table_and_another_reports_without_data(
    tmp_path: Path, fake: LearningTask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "tasks", lambda: {"xquad": fake})
    for module, name, place in (
        (command, "WORK", tmp_path), (command, "RESULTS", tmp_path), (table, "FILE", tmp_path / "deciding.parquet"),
        (features, "FILE", tmp_path / "features.csv"), (report, "DRAWN", tmp_path),
        (report, "PAGE", tmp_path / "deciding.md"), (report, "FRONT", tmp_path / "README.md"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, place)
    assert command.main(["--cells", "xquad-prompt", "xquad-constants", "--draws", "4"]) == 0
    assert json.loads((tmp_path / "deciding.json").read_text())["tasks_missing"].endswith("unknowable: prompt, few_shot, tuned")
    assert "xquad,True,19," in (tmp_path / "features.csv").read_text()
    assert command.main(["--list", "--cells", "xquad"]) == 0
    listed = capsys.readouterr().out
    assert re.search(r"^xquad-prompt-0 +done$", listed, re.M) and re.search(r"^xquad-tuned-0$", listed, re.M)
    for page in ("deciding.md", "README.md"):
        put(tmp_path / page, f"{report.BEGIN}{report.END}")
    monkeypatch.setattr(command, "tasks", lambda: pytest.fail("the report needs no data"))
    assert command.main(["--report", "--draws", "4"]) == 0
    assert "left out" in (tmp_path / "deciding.md").read_text() and (tmp_path / "deciding_tasks.svg").exists()
