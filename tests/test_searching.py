"""The search inside a candidate's share: what is varied, on which items, by whom instructions are written, and what remains of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import groundtune
from groundtune.answer.neighbours import Neighbours
from groundtune.candidates.recipes import candidate_named
from groundtune.config import load_config
from groundtune.decision import searching
from groundtune.decision.proposing import usable
from groundtune.decision.report import SCHEMA
from groundtune.decision.searching import RECORD, SEARCH, name_of
from groundtune.decision.setup import set_up
from groundtune.decision.variants import PRESENT, instructions_of, variants_of
from groundtune.errors import ConfigError, DataError, ModelFailure
from groundtune.models.fake import FakeEmbedder, FakeModel
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, Example, Generation, Message, NearestExamples

CONFIG = """\
model = "fake:extract"
embedder = "fake:hash"
documents = ""
metric = "exact_match"
[access]
{access}
[examples]
k = 1
[decision]
search = true
candidates = ["prompt", "few_shot"]
latency_requests = 2
"""
SINGLE, STAFF = "single = true", 'questions = ["staff"]'
Rows = list[dict[str, Any]]


def misleading() -> Rows:
    """Half of the questions repeat the word of a partner that has another answer. By counted words, as the embedder sees it, the
    partner is nearest; by shared words, as the model sees it, a short question about the same colour is."""
    colours = ("amber", "black", "coral", "denim")
    pairs = [(f"{f'zone{n // 2} ' * 3}{colours[n % 4]} a{n}", colours[n % 4]) for n in range(160)]
    short = [(f"{colours[n % 4]} b{n}", colours[n % 4]) for n in range(160)]
    return [{"question": question, "answers": [answer]} for question, answer in [*pairs, *short]]


def workspace(root: Path, questions: Rows, *, access: str = SINGLE, more: str = "", model: str = "extract") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "groundtune.toml").write_text(CONFIG.format(access=access).replace("extract", model, 1) + more, encoding="utf-8")
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    return root


def instruction(root: Path, name: str, text: str) -> None:
    (root / "instructions").mkdir(exist_ok=True)
    (root / "instructions" / name).write_text(text, encoding="utf-8")


def always_yes(root: Path, *, more: str = "", **given: Any) -> Path:
    """The echo says what it is told, so that only an instruction that holds the answer scores."""
    questions = [{"question": f"is number {n} there?", "answers": ["surely so"]} for n in range(320)]
    path = workspace(root, questions, model="echo", more=more, **given)
    toml = (path / "groundtune.toml").read_text(encoding="utf-8").replace("exact_match", "contains")
    (path / "groundtune.toml").write_text(toml, encoding="utf-8")
    return path


def decide(root: Path, **given: Any) -> dict[str, Any]:
    report = groundtune.decide(root, **given).report
    assert report is not None
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return report


def test_examples_are_chosen_on_the_dev_part_and_used_in_the_race(tmp_path: Path) -> None:
    root = workspace(tmp_path, misleading(), more="test_questions = 20\n")
    report = decide(root)
    (note,) = (note for note in report["notes"] if note.startswith("few_shot:"))
    assert "7 variants were compared on 32 questions of the dev part" in note
    assert "Chosen: examples 4 spread; 0.500 before and 1.000 after" in note
    assert "examples 4 nearest 0.969 (32)" in note and "as it is 0.500 (32)" in note
    raced = {one["name"]: one for one in report["candidates"]}
    assert raced["few_shot"]["recipe"]["examples"] == {"k": 4, "choice": "spread"}
    assert raced["few_shot"]["metrics"]["exact_match"] == 1.0
    (stage,) = (stage for stage in report["stages"] if stage["stage"] == "search")
    assert stage["candidate"] == "few_shot" and stage["planned_seconds"] > 0
    config = load_config(root / "groundtune.toml")  # so that ask shows the same examples
    assert candidate_named("few_shot", config=config).examples == NearestExamples(4, "spread")
    (record,) = json.loads((root / report["scores"]).with_name(RECORD).read_text(encoding="utf-8"))
    assert record["chosen"] == ["4 spread", PRESENT] and record["questions"] == 32
