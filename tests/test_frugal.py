"""The frugal race from documents and questions to a report, with the fake model, beside the exhaustive one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import groundtune
from groundtune.decision.report import SCHEMA

CONFIG = """\
model = "fake:{model}"
embedder = "fake:hash"
documents = ""
metric = "{metric}"
[access]
single = true
[training]
epochs = 1
[decision]
race = "{race}"
candidates = {candidates}
latency_requests = 2
"""


def workspace(
    root: Path,
    questions: list[dict[str, Any]],
    *,
    race: str,
    model: str = "extract",
    metric: str = "f1",
    candidates: str = '["prompt", "tuned"]',
) -> Path:
    root.mkdir(parents=True)
    (root / "groundtune.toml").write_text(
        CONFIG.format(race=race, model=model, metric=metric, candidates=candidates), encoding="utf-8"
    )
    (root / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions), encoding="utf-8")
    return root


def learnable(count: int = 120) -> list[dict[str, Any]]:
    """Only who has learned the pairs can answer: what is asked stands among the training questions word for word."""
    return [
        {"question": f"signal {n % 6} of kind {'abcdef'[n % 6]} at noon number {n}", "answers": [f"flag {n % 6}"]}
        for n in range(count)
    ]


def decide(root: Path) -> dict[str, Any]:
    report = groundtune.decide(root).report
    assert report is not None
    jsonschema.validate(report, json.loads(SCHEMA.read_text(encoding="utf-8")))
    return report


def test_where_tuning_wins_it_wins_with_a_quarter_of_the_data(tmp_path: Path) -> None:
    exhaustive = decide(workspace(tmp_path / "exhaustive", learnable(), race="exhaustive"))
    frugal = decide(workspace(tmp_path / "frugal", learnable(), race="frugal"))
    assert exhaustive["race"]["kind"] == "exhaustive" and frugal["race"]["kind"] == "frugal"
    assert frugal["decision"]["winner"] == exhaustive["decision"]["winner"] == "tuned"
    assert frugal["decision"]["verdict"] == exhaustive["decision"]["verdict"] == "superior"
    assert frugal["race"]["candidates"][1] == {
        "name": "tuned", "questions": 40, "learned": 0.25, "answers": 40, "trainings": [0.25], "why": "the race was decided", "left": True
    }  # fmt: skip
