"""A tiny firm for end-to-end tests: six documents, two audiences, 24 questions; everything runs with the fake model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

THINGS = ["kettle", "ladder", "printer", "projector", "scanner", "trolley"]
PLACES = ["attic", "basement", "canteen", "garage", "lobby", "workshop"]
SECRET = "Zanzibar"
"""Stands in the board's document alone."""

CONFIG = """\
model = "fake:extract"
embedder = "fake:hash"
[access]
questions = ["staff"]
[[access.rules]]
match = "board/**"
read = [["staff"], ["board"]]
[[access.rules]]
match = "**"
read = ["staff"]
[chunking]
tokens = 40
[training]
epochs = 1
audience = ["staff"]
[decision]
latency_requests = 2
batch_size = 4
"""


def rows() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, thing in enumerate(THINGS):
        document = f"{thing}.md"
        found += [
            _row(
                f"{thing}-1",
                f"Where is the {thing} kept?",
                f"in the {PLACES[number]}",
                document,
                f"stands in the {PLACES[number]}",
            ),
            _row(f"{thing}-2", f"What does the {thing} weigh?", f"{number + 3} kg", document, f"weighs {number + 3} kg"),
            _row(f"{thing}-3", f"Who repairs the {thing}?", f"team {number + 1}", document, f"repaired by team {number + 1}"),
        ]
    found.append({"id": "none-1", "question": "Which anthem do dolphins hum?", "answers": [], "principals": ["staff"]})
    for number in range(5):
        quote = f"Plan {number} costs {number + 2} million"
        row = _row(f"board-{number}", f"What does plan {number} cost?", f"{number + 2} million", "board/plans.md", quote)
        found.append(row | {"principals": ["staff", "board"]})
    return found


def _row(identity: str, question: str, answer: str, document: str, quote: str) -> dict[str, Any]:
    evidence = [{"document": document, "quote": quote}]
    return {"id": identity, "question": question, "answers": [answer], "evidence": evidence, "principals": ["staff"]}


def write_firm(root: Path, *, config: str = CONFIG, extra: list[dict[str, Any]] | None = None) -> Path:
    """The workspace's files in `root`; nothing is synced."""
    documents = root / "documents"
    (documents / "board").mkdir(parents=True)
    for number, thing in enumerate(THINGS):
        sections = [
            f"# The {thing}",
            f"## Place of the {thing}\n\nThe {thing} stands in the {PLACES[number]} of the house.",
            f"## Weight of the {thing}\n\nIt weighs {number + 3} kg and two people carry it.",
            f"## Repair of the {thing}\n\nA broken {thing} is repaired by team {number + 1} within a day.",
        ]
        (documents / f"{thing}.md").write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    plans = "\n\n".join(f"## Plan {number}\n\nPlan {number} costs {number + 2} million." for number in range(5))
    (documents / "board" / "plans.md").write_text(f"# Plans for {SECRET}\n\n{plans}\n", encoding="utf-8")
    write_questions(root / "questions.jsonl", rows() + (extra or []))
    (root / "groundtune.toml").write_text(config, encoding="utf-8")
    return root


def write_questions(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found), encoding="utf-8")
