"""A generated company as a workspace: files, settings and questions. Knows folders and formats; decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from groundtune.company.asking import Question
from groundtune.company.formats import file_bytes
from groundtune.company.generate import READERS, Company
from groundtune.company.ledger import SCHEMA, save
from groundtune.errors import UsageError

DATABASE = "firm.sqlite"
_ROUTING = """\
# Which queue a mail goes to: labels, and no documents.

model = <model>
metric = "label_accuracy"
documents = ""
questions = "questions.jsonl"

[access]
single = true

[training]
batch_size = 4

[decision]
candidates = ["prompt", "few_shot", "tuned"]
folds = 2
max_new_tokens = 8
"""
_SQL = f"""\
# Questions to {DATABASE}, answered with SQL; what the firm's own terms mean is learned from examples.

model = <model>
metric = "sql_execution"
documents = ""
questions = "questions.jsonl"

[access]
single = true

[training]
batch_size = 4

[scoring]
database = "{DATABASE}"

[decision]
candidates = ["prompt", "few_shot", "tuned"]
folds = 2
max_new_tokens = 80
"""


def write(company: Company, folder: Path | str, *, model: str = "embedded:smollm2") -> tuple[str, ...]:
    """Make `folder`, absent or empty, a workspace of the company; returns what was written, below `folder`, sorted.

    `model` (`provider:name`) is the one that its candidates are built on. The tasks without documents are workspaces of their
    own in `tasks/`. Raises UsageError, with nothing written, when the folder holds anything or is a file.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        what = "is not empty." if target.is_dir() else "is a file."
        raise UsageError(what, subject=str(target), remedy="Name a new or empty folder.")
    for document in company.documents:
        _save(target / "documents" / document.path, file_bytes(document))
    _save(target / "questions.jsonl", _lines(_row(question) for question in company.questions))
    _save(target / "groundtune.toml", _settings(company, model).encode())
    _write_routing(company, target / "tasks" / "routing", model)
    _write_sql(company, target / "tasks" / "sql", model)
    return tuple(sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file()))


def _write_routing(company: Company, folder: Path, model: str) -> None:
    rows = [{"id": mail.id, "question": mail.text, "answers": [mail.queue]} for mail in company.mails]
    _save(folder / "questions.jsonl", _lines(rows))
    _save(folder / "groundtune.toml", _ROUTING.replace("<model>", json.dumps(model)).encode())


def _write_sql(company: Company, folder: Path, model: str) -> None:
    asked = f"The tables are:\n{chr(10).join(SCHEMA)}\nAnswer with one SQLite query and nothing else."
    history = [{"role": "user", "content": asked}, {"role": "assistant", "content": "What would you like to know?"}]
    rows = [
        {"id": one.id, "question": one.question, "answers": [one.sql], "history": history} for one in company.ledger.queries
    ]
    _save(folder / "questions.jsonl", _lines(rows))
    _save(folder / "groundtune.toml", _SQL.replace("<model>", json.dumps(model)).encode())
    save(company.ledger, folder / DATABASE)


def _save(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def _row(question: Question) -> dict[str, Any]:
    turns = [(role, text) for turn in question.history for role, text in zip(("user", "assistant"), turn, strict=True)]
    row = {
        "id": question.id,
        "question": question.question,
        "answers": list(question.answers),
        "history": [{"role": role, "content": text} for role, text in turns],
        "evidence": [{"document": document, "quote": quote} for document, quote in question.evidence],
        "facts": list(question.plain[:1]),
        "group": question.group,
        "kind": question.kind,
        "principals": list(question.principals),
    }
    return {name: value for name, value in row.items() if value or name == "answers"}


def _settings(company: Company, model: str) -> str:
    text = (files("groundtune.company") / "groundtune.toml").read_text(encoding="utf-8")
    rules = "\n".join(
        f'[[access.rules]]\nmatch = "{folder}/**"\nread = {json.dumps([list(clause) for clause in clauses])}\n'
        for folder, clauses in READERS.items()
    )
    values = {"firm": company.name, "model": json.dumps(model), "rules": rules, "labelled": str(company.knobs.labelled)}
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    return text
