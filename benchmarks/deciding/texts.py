"""Tasks of texts to texts or labels, the trivial one and the controls. Knows the fields of their data sets; no documents."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from random import Random

from benchmarks.learning_tasks import Row, digest, drawn, intents


def descriptions(data: Path) -> list[Row]:
    """E2E: what is to be said of a restaurant -> a sentence or two; every reference of a representation is accepted."""
    return [
        {"id": digest(f"e2e|{said}"), "question": said, "answers": references, "group": digest(said)}
        for said, references in _representations(data).items()
    ]


def copied(data: Path) -> list[Row]:
    """The same representations, to be repeated as they are: what a prompt alone should do."""
    return [
        {"id": digest(f"copy|{said}"), "question": said, "answers": [said], "group": digest(said)}
        for said in _representations(data)
    ]


def _representations(data: Path) -> dict[str, list[str]]:
    found: defaultdict[str, list[str]] = defaultdict(list)
    with (data / "devset.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found[row["mr"]].append(row["ref"])
    return {said: list(dict.fromkeys(references)) for said, references in found.items()}


def permuted(data: Path) -> list[Row]:
    """The intents with their labels dealt out anew, as many of each: there is nothing to be learned."""
    rows = intents(data)
    labels = [row["answers"] for row in rows]
    Random(0).shuffle(labels)
    return [
        {**row, "id": digest(f"permuted|{row['id']}"), "answers": label, "kind": ""}
        for row, label in zip(rows, labels, strict=True)
    ]


def unknowable(data: Path) -> list[Row]:
    """Numbers that stand nowhere and follow from nothing: too hard for everybody."""
    return [
        {"id": digest(f"ticket|{row['id']}"), "question": f"Which ticket number has this request? {row['question']}",
         "answers": [str(10_000 + int(digest(f"number|{row['id']}"), 16) % 90_000)]}
        for row in drawn(intents(data), 600)
    ]  # fmt: skip
