"""A finished race as files: report.json (every figure), report.md and report.html (for people). It computes no statistics.

A report is a way out of the house like any other: it holds figures and names of recipes, and no text of a
question, an answer or a document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from groundtune.store.artefacts import write_whole
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


LABELS = {
    "labels": (
        ("retrieved", "with retrieved context (R)"),
        ("gold_evidence", "with gold evidence in the prompt (O)"),
        ("gold_evidence_relaxed", "the same, format forgiven"),
        ("closed_book", "closed book"),
        ("answer_in_context", "an accepted answer stands in the retrieved context"),
        ("retrieval_loss", "retrieval loss"),
        ("format_loss", "format loss"),
        ("reading_loss", "reading and reasoning loss"),
    ),
    "axes": (
        ("external_data", "need of external data (1 - closed book, format forgiven)"),
        ("behaviour", "need of capability or behaviour (1 - score when all that must be known is shown)"),
    ),
    "ceilings": (
        ("answer_in_context", "answerable questions whose retrieved context holds an accepted answer"),
        ("nearest_answer", "the nearest example's answer, without any model"),
        ("reader", "reader probe: tuned on other documents, gold evidence in the prompt"),
    ),
}
"""Figures of the probes, in the words of the report."""


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


def write_report(report: Mapping[str, Any], folder: Path) -> ReportFiles:
    """report.json, report.md and report.html in `folder`, each in place of what was there, whole or not at all."""
    environment = Environment(
        loader=PackageLoader("groundtune.decision"),
        autoescape=select_autoescape(("html",)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=_number, points=_points, seconds=_seconds, minutes=_minutes, interval=_interval, p=_p, memory=_memory
    )
    files = ReportFiles(folder / "report.json", folder / "report.md", folder / "report.html")
    texts = {
        files.json: json.dumps(report, indent=2, ensure_ascii=False, sort_keys=True) + "\n",
        files.markdown: environment.get_template("report.md.jinja").render(report=report, **LABELS),
        files.html: environment.get_template("report.html.jinja").render(report=report, **LABELS),
    }
    for path, text in texts.items():
        write_whole(path, text.encode())
    return files


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _points(value: float) -> str:
    """A share as signed percentage points."""
    return f"{100 * value:+.1f}"


def _interval(value: Mapping[str, float] | None) -> str:
    return "" if value is None else f"[{value['low']:.3f}, {value['high']:.3f}]"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} s"


def _minutes(value: float) -> str:
    return f"{value / 60:.1f} min"


def _memory(candidate: Mapping[str, Any]) -> str:
    held = candidate["memory_gb"]
    return "" if held is None else f"; answering takes {held:.2f} GiB of memory"


def _p(value: float) -> str:
    return "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")
