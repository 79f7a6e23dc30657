"""benchmarks.recompute: a report of the fake model is confirmed from its stored scores, and a changed figure is found."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

import groundtune
from benchmarks.recompute import Check, main, recompute, scores_of
from tests.firm import CONFIG, write_firm


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = write_firm(tmp_path_factory.mktemp("firm"), config=CONFIG + "floor = 0.0\n")
    groundtune.decide(root, candidates=["prompt", "few_shot", "rag"])
    return root / "report.json"


def wrong(report: dict[str, Any], rows: list[dict[str, Any]]) -> list[Check]:
    return [check for check in recompute(report, rows) if not check.agrees]


def test_every_figure_of_a_report_can_be_computed_again(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(report)]) == 0
    printed = capsys.readouterr().out
    kinds = {"mean", "interval", "difference", "p value", "Holm", "not worse", "verdict", "P(best)", "decomposition"}
    assert kinds <= {line[:18].strip() for line in printed.splitlines()}
    assert "NOT EQUAL" not in printed


@pytest.mark.parametrize(
    "path",
    [
        ("candidates", 0, "metrics", "f1"),
        ("candidates", 2, "intervals", "f1", "low"),
        ("candidates", 1, "intervals", "contains", "high"),
        ("comparisons", 1, "difference"),
        ("comparisons", 1, "p_adjusted"),
        ("comparisons", 1, "p_value"),
        ("comparisons", 1, "p_not_worse"),
        ("comparisons", 1, "interval", "high"),
        ("field", "p_best", "rag"),
        ("mde",),
        ("smallest_p",),
        ("task", "largest_group_share"),
        ("probes", "decomposition", "gold_evidence", "value"),
        ("probes", "decomposition", "retrieval_loss", "interval", "low"),
        ("probes", "relaxed", "rag", "interval", "high"),
    ],
    ids=lambda path: ".".join(map(str, path)),
)
def test_a_changed_figure_is_found(report: Path, path: tuple[Any, ...]) -> None:
    content, rows = scores_of(report)
    changed = copy.deepcopy(content)
    inner: Any = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] += 0.03
    assert wrong(changed, rows)
    assert not wrong(content, rows)


def test_a_changed_score_and_a_wrong_verdict_are_found(report: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, rows = scores_of(report)
    moved = copy.deepcopy(rows)
    next(row for row in moved if row["candidate"] == "prompt")["metrics"]["f1"] = 0.123
    assert {"mean", "difference"} <= {check.kind for check in wrong(content, moved)}
    content["decision"] |= {"verdict": "superior", "winner": "prompt"}
    assert [check.kind for check in wrong(content, rows)] == ["verdict"]
    other = report.with_name("changed.json")
    other.write_text(json.dumps(content), encoding="utf-8")
    assert main([str(other)]) == 1
    assert "NOT EQUAL: verdict" in capsys.readouterr().out
