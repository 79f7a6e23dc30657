"""What is known of a task before anything is tried, as a small committed table. Knows the table of scores; fits nothing."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from benchmarks.deciding.situations import CONTROLS, SITUATIONS
from benchmarks.deciding.table import TaskTable

FILE = Path(__file__).parent / "features.csv"


@dataclass(frozen=True, slots=True)
class Features:
    task: str
    documents: bool
    items: int
    groups: int
    training_pairs: int
    """Of one training with all of them; 0 while no tuned cell is there."""
    prompt_tokens: float
    """Mean of the plain prompt; 0 while it was not asked."""
    metric: str
    graded: bool
    """Whether answers may be partly right."""
    control: bool


def features_of(task: TaskTable) -> Features:
    asked = task.of("prompt")
    items = np.full(len(task.items), True) if asked is None else np.isfinite(asked)
    known = [row[np.isfinite(row)] for key, row in task.values.items() if key[0] in ("prompt", "tuned")]
    tokens = 0.0 if asked is None else float(task.tokens["prompt", 0, 1.0][items, 0].mean())
    return Features(
        task=task.task,
        documents=bool(SITUATIONS[task.task].documents),
        items=int(items.sum()),
        groups=len(np.unique(task.groups[items])),
        training_pairs=max((pairs for (_, _, rung), pairs in task.pairs.items() if rung == 1), default=0),
        prompt_tokens=round(tokens, 1),
        metric=task.metric,
        graded=not all(np.isin(row, (0.0, 1.0)).all() for row in known),
        control=task.task in CONTROLS,
    )


def write(tables: Mapping[str, TaskTable], *, path: Path) -> None:
    """One row a task."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Features)], lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(features_of(tables[name])) for name in SITUATIONS if name in tables)
