"""Which cells there are, the most telling first, and how one is run. Compares nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks import learning
from benchmarks.cells import Cell, Done, measure
from benchmarks.deciding.probing import PROBES, measure_probe
from benchmarks.deciding.tasks import TUNED, applicable
from benchmarks.learning_tasks import LearningTask, workspace

RUNGS = (1 / 4, 1 / 16)
"""Shares of the training pairs that tuned candidates learn from besides all of them."""
SEEDS = (1, 2)
"""Further training seeds."""
ENOUGH = 10
"""Training questions of the smallest rung."""


def cells(tasks: Mapping[str, LearningTask]) -> list[Cell]:
    """Task by task what needs no training and then what does, with one seed; the rungs; then further seeds."""
    return [
        *(Cell(name, one) for name, task in tasks.items() for one in (*probes(task), *applicable(name))),
        *(
            Cell(name, one, rung=rung)
            for rung in RUNGS
            for name, task in tasks.items()
            for one in _tuned(task)
            if rung * task.train >= ENOUGH
        ),
        *(Cell(name, one, seed=seed) for seed in SEEDS for name, task in tasks.items() for one in _tuned(task)),
    ]


def _tuned(task: LearningTask) -> list[str]:
    return [one for one in applicable(task.name) if one in TUNED]


def probes(task: LearningTask) -> tuple[str, ...]:
    return PROBES if task.documents is not None else PROBES[:2]


def named(wanted: Sequence[str], among: Sequence[Cell]) -> list[Cell]:
    """The cells of these tasks (`viggo`), candidates of a task (`viggo-tuned`) or single cells (`viggo-tuned-0-part4`)."""
    return [cell for cell in among if not wanted or {cell.setting, f"{cell.setting}-{cell.candidate}", cell.name} & set(wanted)]


def run(cell: Cell, task: LearningTask) -> Done:
    """Measure one cell in the task's workspace, which is made when it is not there."""
    root = workspace(task, learning.TASKS / task.name, candidates=learning.tables(task.name))
    return measure_probe(cell, root) if cell.candidate in PROBES else measure(cell, root, every_fold=True)


def current(task: LearningTask, done: Done) -> bool:
    """Whether the cell answered as many items as the task has now."""
    return done.asked == task.test
