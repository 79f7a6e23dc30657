"""A candidate's scores on a task, one cell at a time, each kept as soon as it is done. Compares nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from groundtune.candidates.build import build, tune
from groundtune.candidates.open import weights_folder
from groundtune.cli import progress
from groundtune.company import Company, write
from groundtune.config import FILE_NAME
from groundtune.decision.setup import set_up
from groundtune.errors import DataError
from groundtune.evaluation.evaluate import evaluate
from groundtune.store.workspace import Workspace
from groundtune.training.trainer import TrainingResult
from groundtune.types import Score


@dataclass(frozen=True, slots=True)
class Cell:
    """One candidate with one training seed in one workspace."""

    setting: str
    """Name of the workspace: which knobs were turned how far."""
    candidate: str
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.setting}-{self.candidate}-{self.seed}"


@dataclass(frozen=True, slots=True)
class Done:
    """What a cell measured."""

    cell: Cell
    scores: tuple[Score, ...]
    seconds: float
    """Wall time, the loading of the model included."""
    pairs: int
    """Training pairs; 0 for a candidate that is not tuned."""
    training: Mapping[str, Any] = field(default_factory=dict)
    """What the training took, as `TrainingResult` has it; empty for a candidate that is not tuned."""


def workspace_of(company: Company, root: Path, *, settings: Mapping[str, str], model: str, embedder: str) -> Path:
    """A workspace of the company in `root`, made once; `settings` maps lines of its groundtune.toml to others.

    A line is named by its key, and an empty value takes it out. Raises DataError when there is no such line.
    """
    if (root / FILE_NAME).exists():
        return root
    write(company, root, model=model)
    text = (root / FILE_NAME).read_text(encoding="utf-8")
    for key, value in {"embedder": json.dumps(embedder), **settings}.items():
        text, count = re.subn(rf"^{key} = .*\n", f"{key} = {value}\n" if value else "", text, flags=re.MULTILINE)
        if count != 1:
            raise DataError(f"groundtune.toml has {count} lines of this key, and one is to be set.", subject=key)
    (root / FILE_NAME).write_text(text, encoding="utf-8")
    return root


def run_cells(
    cells: Sequence[Cell], *, folder: Path, run: Callable[[Cell], Done], minutes: float | None, after: Callable[[], None]
) -> int:
    """Run the cells that `folder` does not hold yet, in order, and return how many are still missing.

    Nothing begins after `minutes`; `after` is called when a cell has been kept.
    """
    began = time.monotonic()
    missing = [cell for cell in cells if not _file(folder, cell).exists()]
    while missing and (minutes is None or time.monotonic() - began < 60 * minutes):
        cell = missing.pop(0)
        print(f"{cell.name}: {len(missing)} more after it", flush=True)
        _keep(folder, run(cell))
        after()
    return len(missing)


def measure(cell: Cell, root: Path, *, first_fold: bool = False) -> Done:
    """Tune the candidate if it is tuned, and answer every item; both continue where an earlier call was cut off.

    A task without a sealed test is refused, or with `first_fold` the first fold's items stand for it.
    """
    started = time.monotonic()
    with Workspace.open(root) as workspace, workspace.lock(), progress.shown(as_json=False) as show:
        setup = set_up(workspace, names=[cell.candidate], progress=show)
        if not setup.candidates:
            raise DataError(f"{setup.not_applicable[cell.candidate]}.", subject=cell.name)
        recipe, by_id, (fold, *others) = setup.candidates[0], setup.task.by_id(), setup.task.folds
        if others and not first_fold:
            raise DataError("a cell needs a sealed test, that is at least 300 questions.", subject=cell.name)
        learned = [by_id[item] for item in fold.train]
        weights = None
        if recipe.tuning is not None:
            weights = tune(
                recipe,
                workshop=setup.workshop,
                train_examples=learned,
                folder=weights_folder(workspace),
                seed=cell.seed,
                progress=show,
            )
        assistant = build(recipe, workshop=setup.workshop, train_examples=learned, weights=weights)
        scores = evaluate(
            assistant,
            [by_id[item] for item in fold.test],
            candidate=cell.candidate,
            metrics=setup.task.metrics,
            settings=setup.task.settings,
            stages=workspace.stages,
            key=assistant.fingerprint,
            batch_size=workspace.config.decision.batch_size,
            seed=cell.seed,
            progress=show,
        )
    seconds, training = time.monotonic() - started, {} if weights is None else _taken(weights.result)
    return Done(cell, tuple(scores), seconds, weights.pairs if weights is not None else 0, training)


def _taken(result: TrainingResult) -> dict[str, Any]:
    names = ("steps", "seconds", "tokens", "loss_first", "loss_last", "peak_memory_bytes", "digest")
    return {name: getattr(result, name) for name in names} | {"details": dict(result.details)}


def kept(cells: Sequence[Cell], folder: Path) -> dict[Cell, Done]:
    """The cells that are done."""
    return {cell: _read(_file(folder, cell), cell) for cell in cells if _file(folder, cell).exists()}


def _file(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / f"{cell.name}.json"


def _keep(folder: Path, done: Done) -> None:
    path = _file(folder, done.cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{key: asdict(score)[key] for key in ("item", "group", "kind", "metrics")} for score in done.scores]
    record = {"scores": rows, "seconds": done.seconds, "pairs": done.pairs, "training": dict(done.training)}
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record) + "\n", encoding="utf-8")
    part.replace(path)


def _read(path: Path, cell: Cell) -> Done:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    blank = Score(candidate=cell.candidate, item="", group="", kind="", fold=0, seed=cell.seed, answer="", metrics={})
    scores = tuple(replace(blank, **row) for row in record["scores"])
    return Done(cell, scores, record["seconds"], record["pairs"], record.get("training", {}))
