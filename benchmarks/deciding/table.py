"""The table of per-item scores: from cells to one Parquet file without any text, and back to arrays. Compares nothing.

Of the constant answers only scores above 0 are kept; what is not there is 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.cells import Done
from benchmarks.deciding.probing import ANSWERABLE, CONSTANTS, CONTEXT, GOLD, HELD, NEAREST
from benchmarks.harness import RESULTS
from benchmarks.learning_tasks import digest
from groundtune.decision.decomposition import relaxed

Array = NDArray[np.float64]
Codes = NDArray[np.int64]
Key = tuple[str, int, float]
"""(candidate, seed, rung)."""

FILE = RESULTS / "deciding.parquet"
RELAXED = f"{GOLD}_relaxed"
BESIDE = {NEAREST: ANSWERABLE, CONTEXT: HELD}
"""Probe -> a further value of each item, kept as a row of its own."""

_TEXT = ("task", "metric", "item", "group", "candidate")
_REAL = ("rung", "value", "answering_seconds", "training_seconds")
_WHOLE = ("seed", "input_tokens", "output_tokens", "pairs")


@dataclass(frozen=True)
class TaskTable:
    """Every value of one task's items."""

    task: str
    metric: str
    items: tuple[str, ...]
    """Hashed ids, sorted."""
    groups: Codes
    """[item] Codes from 0 in order of first appearance."""
    values: Mapping[Key, Array]
    """[item] NaN where an item was not asked or the metric does not apply."""
    tokens: Mapping[Key, Array]
    """[item, 2] Read and written."""
    answering: Mapping[Key, float]
    """Seconds of the whole cell; of what its last call still had to answer."""
    training: Mapping[Key, float]
    pairs: Mapping[Key, int]

    def of(self, candidate: str, *, seed: int = 0, rung: float = 1.0) -> Array | None:
        return self.values.get((candidate, seed, rung))

    def shared(self, candidates: Collection[str]) -> NDArray[np.bool_]:
        """[item] Whether all of them were scored on it, with the first seed and all pairs."""
        rows = [self.of(name) for name in candidates]
        values = np.array([np.full(len(self.items), np.nan) if row is None else row for row in rows])
        return np.asarray(np.isfinite(values).all(axis=0))


def write(cells: Iterable[Done], metrics: Mapping[str, str], *, path: Path) -> int:
    """Write the rows of these cells, in place of what was there; returns their number. `metrics`: task -> its primary one."""
    import pyarrow as pa
    from pyarrow import parquet

    rows = sorted(
        (row for done in cells for row in rows_of(done, metrics[done.cell.setting])),
        key=lambda row: (row["task"], row["candidate"], row["seed"], -row["rung"], row["item"]),
    )
    columns: dict[str, Any] = {name: pa.array([row[name] for row in rows], pa.string()).dictionary_encode() for name in _TEXT}
    columns |= {name: pa.array([row[name] for row in rows], pa.float32()) for name in _REAL}
    columns |= {name: pa.array([row[name] for row in rows], pa.int32()) for name in _WHOLE}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    parquet.write_table(pa.table(columns), part, compression="zstd")
    part.replace(path)
    return len(rows)


def rows_of(done: Done, metric: str) -> Iterator[dict[str, Any]]:
    """One row an item, or several of a probe that measures several things."""
    cell = done.cell
    training = float(done.training.get("seconds", 0.0))
    for score in done.scores:
        measured = score.metrics
        if cell.candidate == CONSTANTS:
            found = {name: value for name, value in measured.items() if value > 0}
        else:
            found = {cell.candidate: measured[metric]} if metric in measured else {}
            if cell.candidate == GOLD and found:
                found[RELAXED] = relaxed(score, metric)
            beside = BESIDE.get(cell.candidate)
            if beside in measured:
                found[str(beside)] = measured[str(beside)]
        for candidate, value in found.items():
            yield {
                "task": cell.setting,
                "metric": metric,
                "item": digest(f"{cell.setting}|{score.item}"),
                "group": digest(f"{cell.setting}|{score.group}"),
                "candidate": candidate,
                "seed": cell.seed,
                "rung": cell.rung,
                "value": value,
                "input_tokens": score.usage.input_tokens,
                "output_tokens": score.usage.output_tokens,
                "answering_seconds": done.answering,
                "training_seconds": training,
                "pairs": done.pairs,
            }


def read(path: Path) -> dict[str, TaskTable]:
    """Every task of the file; none when there is no file."""
    from pyarrow import parquet

    if not path.exists():
        return {}
    table = parquet.read_table(path)
    columns = {name: np.asarray(table.column(name).cast("string").to_pylist()) for name in _TEXT}
    columns |= {name: table.column(name).to_numpy() for name in (*_REAL, *_WHOLE)}
    return {str(task): _task(str(task), columns, columns["task"] == task) for task in np.unique(columns["task"])}


def _task(task: str, columns: Mapping[str, NDArray[Any]], mine: NDArray[np.bool_]) -> TaskTable:
    own = {name: column[mine] for name, column in columns.items()}
    items, first, place = np.unique(own["item"], return_index=True, return_inverse=True)
    names: dict[str, int] = {}
    groups = np.array([names.setdefault(str(group), len(names)) for group in own["group"][first]], dtype=np.int64)
    values: dict[Key, Array] = {}
    tokens: dict[Key, Array] = {}
    answering: dict[Key, float] = {}
    training: dict[Key, float] = {}
    pairs: dict[Key, int] = {}
    keys = list(
        zip(own["candidate"].tolist(), own["seed"].tolist(), np.round(own["rung"].astype(float), 6).tolist(), strict=True)
    )
    rows: dict[Key, list[int]] = {}
    for number, key in enumerate(keys):
        rows.setdefault(key, []).append(number)
    for key, found in rows.items():
        values[key] = np.full(len(items), np.nan)
        values[key][place[found]] = own["value"][found]
        tokens[key] = np.zeros((len(items), 2))
        tokens[key][place[found]] = np.stack([own["input_tokens"][found], own["output_tokens"][found]], axis=1)
        answering[key], training[key] = (float(own[name][found[0]]) for name in ("answering_seconds", "training_seconds"))
        pairs[key] = int(own["pairs"][found[0]])
    metric = str(own["metric"][0])
    return TaskTable(task, metric, tuple(items.tolist()), groups, values, tokens, answering, training, pairs)
