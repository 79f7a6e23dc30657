"""The tasks that weights are tuned on: rows of questions from public data, and a workspace for each. Measures nothing."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from benchmarks import convert_handbook, convert_intents
from benchmarks.harness import data_folder, write_rows, write_settings
from groundtune.company import generate, write
from groundtune.config import FILE_NAME
from groundtune.scoring.sql import Database, Refused

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LearningTask:
    """Data, what is asked of the model, and how its answers are measured."""

    name: str
    metric: str
    rows: Callable[[Path], list[Row]]
    """From the data set's folder; the same on every machine."""
    data: str
    """Name of the data set; empty where the rows are generated."""
    instruction: str = ""
    documents: Callable[[Path, Path], Path] | None = None
    """(data set, folder to write into) -> the documents' folder; None: the task has none."""
    files: Mapping[str, Callable[[], list[Row]]] = field(default_factory=dict)
    """Further files of the workspace -> their rows."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Further tables of groundtune.toml -> their lines."""
    max_new_tokens: int = 48
    test: int = 200
    train: int = 160
    folds: int = 3
    """Of a task with fewer questions than a sealed test needs."""


def workspace(task: LearningTask, root: Path, *, candidates: str) -> Path:
    """The task's workspace in `root`, made once; `candidates`, tables of groundtune.toml, and the sizes are set each time."""
    data, path = data_folder(task.data) if task.data else root, root / FILE_NAME
    if not path.exists():
        questions = write_rows(root / "questions.jsonl", task.rows(data))
        documents = task.documents(data, root / "documents") if task.documents else None
        for name, rows in task.files.items():
            write_rows(root / name, rows())
        write_settings(root, documents=documents, questions=questions, settings=task.settings)
        text = path.read_text(encoding="utf-8").replace('metric = "f1"', f'metric = "{task.metric}"', 1)
        path.write_text(text.replace("\n[access]", f"instruction = {json.dumps(task.instruction)}\n\n[access]", 1) + MARK)
    before, _, _ = path.read_text(encoding="utf-8").partition(MARK)
    before = _at_home(before, root)
    sizes = {"test_questions": task.test, "train_questions": task.train, "max_new_tokens": task.max_new_tokens}
    for name, value in {**sizes, "folds": task.folds}.items():
        before = re.sub(rf"^{name} = .*\n", "", before, flags=re.MULTILINE)
        before = before.replace("[decision]\n", f"[decision]\n{name} = {value}\n", 1)
    path.write_text(before + MARK + candidates, encoding="utf-8")
    return root


def _at_home(text: str, root: Path) -> str:
    """The settings with the paths of a workspace that was moved to `root`."""
    found = re.search(r'^questions = "(.+)/questions\.jsonl"', text, flags=re.MULTILINE)
    return text.replace(found[1], root.resolve().as_posix()) if found else text


MARK = "\n# --- rows of the benchmark ---\n"


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def drawn(rows: list[Row], size: int) -> list[Row]:
    """A sample of the rows, in an order that depends on nothing but their ids."""
    return sorted(rows, key=lambda row: digest(f"0|{row['id']}"))[:size]


# --- texts to other texts -----------------------------------------------------------------------------------------------


def viggo(data: Path) -> list[Row]:
    """Text -> meaning representation; texts of one representation stay together."""
    with (data / "data" / "video_game" / "train.csv").open(encoding="utf-8", newline="") as file:
        rows = [
            {"id": digest(one["ref"] + one["mr"]), "question": one["ref"], "answers": [one["mr"]], "group": digest(one["mr"])}
            for one in csv.DictReader(file)
        ]
    return drawn(list({row["id"]: row for row in rows}.values()), 1100)


def intents(data: Path) -> list[Row]:
    return convert_intents.convert(data, size=1100)


def wikisplit(data: Path) -> list[Row]:
    """A long sentence -> the same in two short ones."""
    pairs = [line.split("\t") for line in (data / "test.tsv").read_text(encoding="utf-8").splitlines()]
    rows = [{"id": digest(one[0]), "question": one[0], "answers": [one[1].strip()]} for one in pairs if len(one) == 2]
    return drawn(list({row["id"]: row for row in rows}.values()), 1100)


def geo(data: Path) -> list[Row]:
    """GeoQuery: question -> SQL. Questions that differ only in a name stay together; gold queries that fail are left out."""
    folder = data / "data"
    database = Database(folder / "geography-db.added-in-2020.sqlite")
    rows = [
        row
        for entry in json.loads((folder / "geography.json").read_text(encoding="utf-8"))
        for row in _geo_rows(entry)
        if _runs(database, row["answers"][0])
    ]
    return sorted({row["id"]: row for row in rows}.values(), key=lambda row: str(row["id"]))


def _geo_rows(entry: Mapping[str, Any]) -> Iterator[Row]:
    for sentence in entry["sentences"]:
        question, query = sentence["text"], min(entry["sql"], key=len)
        for name, value in sentence["variables"].items():
            question, query = question.replace(name, value), query.replace(name, value)
        yield {"id": digest(question), "question": question, "answers": [query], "group": digest(sentence["text"])}


def _runs(database: Database, query: str) -> bool:
    try:
        database.select(query)
    except Refused:
        return False
    return True


def geo_schema(data: Path) -> str:
    """Tables with their columns, in one line."""
    tables: dict[str, list[str]] = {}
    lines = (data / "data" / "geography-schema.csv").read_text(encoding="utf-8").splitlines()[1:]
    for line in lines:
        table, column, *_ = [cell.strip() for cell in line.split(",")]
        if re.fullmatch(r"\w+", table):
            tables.setdefault(table, []).append(column)
    return "; ".join(f"{table}({', '.join(columns)})" for table, columns in tables.items())


# --- questions about documents ------------------------------------------------------------------------------------------


def xquad(data: Path) -> list[Row]:
    """Questions about paragraphs; a paragraph is a document, and its questions stay together."""
    return drawn([row for article in xquad_paragraphs(data) for rows, _, _ in article for row in rows], 1190)


def xquad_documents(data: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for article in xquad_paragraphs(data):
        for _, name, text in article:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def xquad_paragraphs(data: Path) -> list[list[tuple[list[Row], str, str]]]:
    """Article by article its paragraphs: (questions, document, its text)."""
    articles = json.loads((data / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    return [
        [_paragraph(f"{number:02}-{place:02}.md", article["title"], one) for place, one in enumerate(article["paragraphs"])]
        for number, article in enumerate(articles)
    ]


def _paragraph(name: str, title: str, paragraph: Mapping[str, Any]) -> tuple[list[Row], str, str]:
    evidence = [{"document": name, "quote": paragraph["context"]}]
    rows = [
        {
            "id": one["id"],
            "question": one["question"],
            "answers": list(dict.fromkeys(answer["text"] for answer in one["answers"])),
            "evidence": evidence,
            "group": name,
        }
        for one in paragraph["qas"]
    ]
    return rows, name, f"# {title.replace('_', ' ')}\n\n{paragraph['context']}\n"


def handbook_documents(data: Path, folder: Path) -> Path:  # noqa: ARG001 - read in place
    return convert_handbook.documents_folder(data)


def company(_: Path) -> list[Row]:
    """The demo company's questions, each asked by somebody who may read everything."""
    with tempfile.TemporaryDirectory() as folder:
        write(generate(), Path(folder))
        lines = (Path(folder) / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "principals"} for line in lines]


def company_documents(_: Path, folder: Path) -> Path:
    write(generate(), folder)
    return folder / "documents"


# --- preferences --------------------------------------------------------------------------------------------------------


SHORTEST = 96
"""Rows of preferences that are learned from: with the long ones a training takes hours on a CPU."""


def preferences() -> list[Row]:
    """dpo: prompt, chosen, rejected; the shortest rows."""
    rows = _preferences(data_folder("pref_dpo_kto_demo"))
    return sorted(rows, key=lambda row: len(str(row)))[:SHORTEST]


def _preferences(data: Path) -> list[Row]:
    rows = json.loads((data / "data" / "dpo_en_demo.json").read_text(encoding="utf-8"))
    return [
        {
            "id": f"dpo-{number}",
            "prompt": [_message(turn["from"], turn["value"]) for turn in row["conversations"]],
            "chosen": row["chosen"]["value"],
            "rejected": row["rejected"]["value"],
        }
        for number, row in enumerate(rows)
    ]


def thumbs() -> list[Row]:
    """kto: prompt, completion, and whether people liked it; the shortest rows, as many liked as not."""
    rows = sorted(all_thumbs(data_folder("pref_dpo_kto_demo")), key=lambda row: len(str(row)))
    return [row for label in (True, False) for row in [one for one in rows if one["label"] == label][: SHORTEST // 2]]


def all_thumbs(data: Path) -> list[Row]:
    rows = json.loads((data / "data" / "kto_en_demo.json").read_text(encoding="utf-8"))
    return [
        {
            "id": f"kto-{number}",
            "prompt": [_message(turn["role"], turn["content"]) for turn in row["messages"][:-1]],
            "completion": row["messages"][-1]["content"],
            "label": bool(row["label"]),
        }
        for number, row in enumerate(rows)
    ]


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": {"human": "user", "gpt": "assistant"}.get(role, role), "content": content}


def shuffled(rows: list[Row], *, seed: int = 0) -> list[Row]:
    return Random(seed).sample(rows, len(rows))
