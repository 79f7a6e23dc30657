"""A finished race as files: report.json (every figure), report.md and report.html (for people), and what they rest on.

report.json holds figures and names of recipes, and no text of a question, an answer or a document. The pages may hold texts:
those that the readers named in the configuration may see (`texts`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from groundtune.decision.texts import lost_questions
from groundtune.reporting.pages import pages
from groundtune.store.artefacts import write_whole
from groundtune.store.workspace import Workspace
from groundtune.types import Score

SCHEMA_VERSION = 1
SCHEMA = Path(__file__).parent / "report.schema.json"
"""JSON Schema of report.json."""

_PACKAGES = (
    "groundtune",
    "numpy",
    "lancedb",
    "openvino",
    "openvino-genai",
    "torch",
    "transformers",
    "peft",
    "kreuzberg",
    "scipy",
    "arch",
)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    json: Path
    markdown: Path
    html: Path


def versions() -> dict[str, str]:
    """Installed versions of what may change a result; absent packages are left out."""
    found: dict[str, str] = {}
    for package in sorted(_PACKAGES):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_scores(path: Path, scores: Sequence[Score]) -> None:
    """One line an item and candidate: everything from which the report's figures can be computed again."""
    lines = [json.dumps(asdict(score), ensure_ascii=False, sort_keys=True) for score in scores]
    write_whole(path, ("\n".join(lines) + "\n").encode())


def write_report(workspace: Workspace, report: Mapping[str, Any]) -> ReportFiles:
    """report.json, report.md and report.html in the workspace's folder, each in place of what was there, whole or not at all.

    What a reader may see is asked anew, so that a report written again shows nothing that was withdrawn.
    """
    scores = read_scores(workspace.root / report["scores"])
    made = pages(report, scores=scores, lost=lost_questions(workspace, report, scores))
    files = ReportFiles(*(workspace.root / f"report.{ending}" for ending in ("json", "md", "html")))
    for path, text in (
        (files.json, json.dumps(report, indent=2, ensure_ascii=False, sort_keys=True) + "\n"),
        (files.markdown, made.markdown),
        (files.html, made.html),
    ):
        write_whole(path, text.encode())
    return files


def read_scores(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of scores; none when it is gone."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
