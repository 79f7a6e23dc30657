"""A candidate's scores on a task, one cell at a time, each kept as soon as it is done. Compares nothing."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from groundtune.candidates.build import build, tune
from groundtune.candidates.open import weights_folder
from groundtune.candidates.workshop import Weights
from groundtune.cli import progress
from groundtune.company import Company, write
from groundtune.config import FILE_NAME
from groundtune.dataset.split import draw
from groundtune.decision.setup import Setup, set_up
from groundtune.errors import DataError, GroundtuneError
from groundtune.evaluation.evaluate import evaluate
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace
from groundtune.types import Example, Score, Usage


@dataclass(frozen=True, slots=True)
class Cell:
    """One candidate with one training seed in one workspace."""

    setting: str
    """Name of the workspace: which knobs were turned how far."""
    candidate: str
    seed: int = 0
    rung: float = 1.0
    """Share of the training questions that are learned from."""

    @property
    def name(self) -> str:
        part = "" if self.rung == 1 else f"-part{round(1 / self.rung)}"
        return f"{self.setting}-{self.candidate}-{self.seed}{part}"


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
    """What the training took, as `TrainingResult` has it, summed over folds; empty for a candidate that is not tuned."""
    answering: float = 0.0
    """Seconds of answering alone; of a cell that was cut off and went on, what the last call still had to answer."""
    asked: int | None = None
    """`test_questions` of the workspace; None for a cell that was made before this was kept."""


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
    cells: Sequence[Cell],
    *,
    folder: Path,
    run: Callable[[Cell], Done],
    minutes: float | None,
    after: Callable[[], None],
    current: Callable[[Done], bool] = lambda _: True,
) -> int:
    """Run the cells that `folder` does not hold yet, in order, and return how many are still missing.

    Nothing begins after `minutes`; `after` is called when a cell has been kept. What is held but not `current` is run again. A
    cell that cannot be measured is named with the reason, and the others go on.
    """
    began = time.monotonic()
    held, failed = kept(cells, folder), 0
    missing = [cell for cell in cells if cell not in held or not current(held[cell])]
    while missing and (minutes is None or time.monotonic() - began < 60 * minutes):
        cell = missing.pop(0)
        print(f"{cell.name}: {len(missing)} more after it", flush=True)
        try:
            done = run(cell)
        except GroundtuneError as error:
            print(f"NOT DONE {cell.name}: {error}", flush=True)
            failed += 1
            continue
        _keep(folder, done)
        after()
    return len(missing) + failed


def measure(cell: Cell, root: Path, *, first_fold: bool = False, every_fold: bool = False) -> Done:
    """Tune the candidate if it is tuned, and answer every item; both continue where an earlier call was cut off.

    A task without a sealed test is refused; or with `first_fold` the first fold's items stand for it, or with `every_fold` each
    fold is answered by what was trained on the others.
    """
    started = time.monotonic()
    with ready(root, [cell.candidate]) as (workspace, setup, show):
        if not setup.candidates:
            raise DataError(f"{setup.not_applicable[cell.candidate]}.", subject=cell.name)
        if len(setup.task.folds) > 1 and not (first_fold or every_fold):
            raise DataError("a cell needs a sealed test, that is at least 300 questions.", subject=cell.name)
        recipe, by_id = setup.candidates[0], setup.task.by_id()
        scores: list[Score] = []
        made: list[Weights] = []
        answering = 0.0
        for number, fold in enumerate(setup.task.folds if every_fold else setup.task.folds[:1]):
            learned = part_of([by_id[item] for item in fold.train], cell.rung)
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
                made.append(weights)
            assistant = build(recipe, workshop=setup.workshop, train_examples=learned, weights=weights)
            began = time.monotonic()
            scores += evaluate(
                assistant,
                [by_id[item] for item in fold.test],
                candidate=cell.candidate,
                metrics=setup.task.metrics,
                settings=setup.task.settings,
                stages=workspace.stages,
                key=assistant.fingerprint,
                batch_size=workspace.config.decision.batch_size,
                fold=number,
                seed=cell.seed,
                progress=show,
            )
            answering += time.monotonic() - began
            setup.workshop.release_tuned()
        asked = workspace.config.decision.test_questions
    pairs = round(sum(weights.pairs for weights in made) / len(made)) if made else 0
    return Done(cell, tuple(scores), time.monotonic() - started, pairs, _taken(made), answering, asked)


@contextmanager
def ready(root: Path, names: Sequence[str]) -> Iterator[tuple[Workspace, Setup, Progress | None]]:
    """The workspace in `root`, locked, its task with these candidates, and where progress is shown."""
    with Workspace.open(root) as workspace, workspace.lock(), progress.shown(as_json=False) as show:
        yield workspace, set_up(workspace, names=names, progress=show), show


def part_of(examples: Sequence[Example], rung: float) -> list[Example]:
    """That share of them, in whole groups; the same at every call."""
    wanted = set(draw(examples, round(rung * len(examples)), seed=0))
    return [example for example in examples if example.id in wanted]


def _taken(made: Sequence[Weights]) -> dict[str, Any]:
    if not made:
        return {}
    results = [weights.result for weights in made]
    first = results[0]
    taken: dict[str, Any] = {name: getattr(first, name) for name in ("loss_first", "loss_last", "digest")}
    taken |= {name: sum(getattr(one, name) for one in results) for name in ("steps", "seconds", "tokens")}
    return taken | {"peak_memory_bytes": max(one.peak_memory_bytes for one in results), "details": dict(first.details)}


def kept(cells: Sequence[Cell], folder: Path) -> dict[Cell, Done]:
    """The cells that are done."""
    return {cell: _read(_file(folder, cell), cell) for cell in cells if _file(folder, cell).exists()}


def _file(folder: Path, cell: Cell) -> Path:
    return folder / "cells" / f"{cell.name}.json"


def _keep(folder: Path, done: Done) -> None:
    path = _file(folder, done.cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "item": score.item,
            "group": score.group,
            "kind": score.kind,
            "fold": score.fold,
            "metrics": score.metrics,
            "usage": [score.usage.input_tokens, score.usage.output_tokens],
        }
        for score in done.scores
    ]
    record = {
        "scores": rows,
        "seconds": done.seconds,
        "pairs": done.pairs,
        "training": dict(done.training),
        "answering": done.answering,
        "asked": done.asked,
    }
    part = path.with_suffix(".part")
    part.write_text(json.dumps(record) + "\n", encoding="utf-8")
    part.replace(path)


def _read(path: Path, cell: Cell) -> Done:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    blank = Score(candidate=cell.candidate, item="", group="", kind="", fold=0, seed=cell.seed, answer="", metrics={})
    scores = tuple(replace(blank, **{**row, "usage": Usage(*row.get("usage", ()))}) for row in record["scores"])
    training = record.get("training", {})
    return Done(cell, scores, record["seconds"], record["pairs"], training, record.get("answering", 0.0), record.get("asked"))
