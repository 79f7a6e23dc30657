"""kb_gitlab_handbook -> question rows. Knows that data set's fields and faults; reads its pages in place and copies none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundtune.errors import DataError

KINDS = {
    "single_text": "single_text",
    "multi_hop": "multi-hop_reasoning",
    "negation": "negation_exclusion",
    "temporal": "temporal_reference",
    "anaphora": "contextual_anaphora",
}
"""Kind of a row -> stem of its file. The sixth file, multimodal, needs pictures and is left out."""

TODAY = "Today is 11 November 2025."
"""The day on which the temporal questions were written; without it "this month" has no answer."""

_DECOY_FIRST = ("negation", "anaphora")
"""Kinds whose evidence lists a misleading page before the true one."""


def documents_folder(data: Path) -> Path:
    return data / "content" / "handbook"


def convert(data: Path, *, kinds: tuple[str, ...] = ("single_text",)) -> list[dict[str, Any]]:
    """Rows for `groundtune decide --questions`, in file order. Raises DataError for an unknown kind."""
    unknown = sorted(set(kinds) - KINDS.keys())
    if unknown:
        raise DataError(f"no such kind: {', '.join(unknown)}.", subject=str(data), remedy=f"Choose among {', '.join(KINDS)}.")
    return [row for kind in kinds for row in _rows(data, kind)]


def _rows(data: Path, kind: str) -> Iterator[dict[str, Any]]:
    path = data / "datasets" / f"{KINDS[kind]}.jsonl"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
        item = json.loads(line)
        pages = [(page, quotes) for entry in item["retrieval"] for page, quotes in entry.items()]
        if kind in _DECOY_FIRST:
            pages = pages[-1:]
        row = {
            "id": f"{kind}-{number}",  # not the file's own id: single_text has 60 twice
            "question": f"{TODAY} {item['question']}" if kind == "temporal" else item["question"],
            "answers": [item["answer"]],
            "evidence": [
                {"document": _page(data, page), "quote": quote} for page, quotes in pages for quote in dict.fromkeys(quotes)
            ],
            "kind": kind,
        }
        if "context" in item:
            row["history"] = [{"role": "user", "content": item["context"]}]
        yield row


def _page(data: Path, page: str) -> str:
    """The document's id: pages are named `a.md` and stored as `a.md` or `a/_index.md`."""
    folder = documents_folder(data)
    for name in (page, f"{page.removesuffix('.md')}/_index.md"):
        if (folder / name).is_file():
            return name
    raise DataError("the page that a question names is absent.", subject=str(folder / page), remedy="Fetch the data set again.")
