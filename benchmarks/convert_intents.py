"""cs_bitext_intents -> question rows with labels for answers. Knows that data set's columns; needs no documents."""

from __future__ import annotations

import csv
import hashlib
import re
from collections import defaultdict
from pathlib import Path
from typing import Any


def convert(data: Path, *, size: int, seed: int = 0) -> list[dict[str, Any]]:
    """A sample of `size` utterances, spread evenly over the intents, the same on every machine.

    The three files are pooled, because the product splits by itself. `group` joins utterances that differ only in an order
    number, a name or the like, in case or in punctuation: apart, they would let a test item be seen in training.
    """
    rows = {row["id"]: row for row in _read(data)}
    by_intent: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(rows.values(), key=lambda row: _digest(f"{seed}|{row['question']}")):
        by_intent[row["answers"][0]].append(row)
    ordered = sorted(
        ((rank, intent, row) for intent, members in by_intent.items() for rank, row in enumerate(members)),
        key=lambda entry: entry[:2],
    )
    return sorted((row for _, _, row in ordered[:size]), key=lambda row: str(row["id"]))


def _read(data: Path) -> list[dict[str, Any]]:
    rows = []
    for path in sorted((data / "data").rglob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for record in csv.DictReader(file):
                utterance = record["utterance"].strip()
                rows.append(
                    {
                        "id": _digest(utterance)[:12],
                        "question": utterance,
                        "answers": [record["intent"]],
                        "group": _digest(_without_values(record))[:12],
                        "kind": record["category"].lower(),
                    }
                )
    return rows


def _without_values(record: dict[str, str]) -> str:
    text = record["utterance"]
    if record["entity_value"]:
        text = text.replace(record["entity_value"], f" {record['entity_type']} ")
    return " ".join(re.sub(r"\d+", "0", re.sub(r"[^\w ]", "", text.casefold())).split())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
