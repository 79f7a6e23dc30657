"""Retrieval settings chosen on questions that are not scored, and what each choice is worth. Writes no configuration.

A setting is measured by how much of the evidence stands in what a model would be shown, within the same budget of tokens.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundtune.decision.axes import Axis, Choice, axes_of, settings_of
from groundtune.decision.bench import Bench
from groundtune.decision.halving import Rung, Setting, halve, rounds
from groundtune.errors import DataError
from groundtune.evaluation.statistics import contrast
from groundtune.evaluation.threshold import Calibrated, calibrate
from groundtune.interfaces import Embedder, LanguageModel, Progress, Reranker
from groundtune.store.stages import digest
from groundtune.store.workspace import Workspace
from groundtune.types import Example, Interval

FEWEST_QUESTIONS = 20
"""With located evidence; fewer choose nothing."""

MARGIN = 0.05
"""The comparison of two rows wants one; its test against it is not used."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What one option would do in place of the chosen one, everything else as chosen."""

    axis: str
    option: str
    chosen: bool
    evidence: float
    """Mean share of the evidence that stands in what a model is shown."""
    tokens: float
    """Mean tokens shown."""
    difference: float
    """To the choice; 0 for the choice itself."""
    interval: Interval | None
    """Of the difference, paired, 95 %; None for the choice itself."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep chose, and what each choice is worth."""

    changes: Choice
    """Keys whose value should change; empty when the present settings stay."""
    before: float
    """Share of evidence shown with the present settings."""
    after: float
    """With the choice. Both are measured on the questions that the choice was made on, so `after` is a little too high."""
    tokens_before: float
    tokens_after: float
    questions: int
    rungs: tuple[Rung, ...]
    worth: tuple[Worth, ...]
    abstention: Calibrated | None
    """When to abstain with the chosen settings; None with fewer than 10 questions that can, or cannot, be answered."""
    seconds: float


def sweep(
    workspace: Workspace,
    *,
    examples: Sequence[Example],
    rows: Sequence[Mapping[str, Any]],
    embedder: Embedder,
    count: LanguageModel,
    reranker: Reranker | None = None,
    writer: LanguageModel | None = None,
    axes: Sequence[Axis] | None = None,
    progress: Progress | None = None,
) -> Swept:
    """Choose chunking, k, weights and the like on `examples` by successive halving.

    Among the settings that reach the last rung the best is taken, or one that shows fewer tokens and whose score lies within
    one standard error of it (the one-standard-error rule of Breiman et al., "Classification and Regression Trees", 1984); of
    equal ones what is set now. Then `min_evidence` is calibrated, where enough questions have no answer. `rows` are the
    database's rows of the documents with text; `count` counts the tokens that the budget of a prompt is in. Raises DataError
    with fewer than 20 questions whose evidence was located.
    """
    started = time.perf_counter()
    usable = sorted(
        (one for one in examples if any(evidence.spans for evidence in one.evidence)),
        key=lambda one: digest([one.group, one.id]),  # an order that has nothing to do with the questions
    )
    if len(usable) < FEWEST_QUESTIONS:
        raise DataError(
            f"{len(usable)} questions with evidence are too few to choose by.",
            subject=str(workspace.questions),
            remedy=f"Collect {FEWEST_QUESTIONS} or more, with quotes of the documents.",
        )
    chosen = tuple(axes if axes is not None else axes_of(workspace.config, embedder=embedder))
    settings = settings_of(chosen)
    expected = sum(many * items for many, items in rounds(len(settings), len(usable)))
    with tempfile.TemporaryDirectory(dir=workspace.state) as folder:
        bench = Bench(workspace, usable, rows, embedder, count, reranker, writer, Path(folder), expected, progress)
        ids = [one.id for one in usable]

        def results(some: Sequence[Setting], items: Sequence[str]) -> np.ndarray:
            return bench.results([settings[one] for one in some], items)

        rungs, finalists = halve(list(settings), ids, measure=lambda some, items: results(some, items)[:, :, 0].tolist())
        present = next(iter(settings))
        best = _thriftiest(finalists, present, dict(zip(finalists, results(finalists, ids), strict=True)))
        worth = _worth(chosen, best, results, usable)
        asked = [*usable, *(one for one in examples if not one.answers)]
        evidence = bench.evidence(settings[best], asked)
        abstention = calibrate(evidence, [bool(one.answers) for one in asked])
        before, after = results([present, best], ids)
    return Swept(
        changes=_with_threshold(settings[best], abstention),
        before=float(before[:, 0].mean()),
        after=float(after[:, 0].mean()),
        tokens_before=float(before[:, 1].mean()),
        tokens_after=float(after[:, 1].mean()),
        questions=len(usable),
        rungs=tuple(rungs),
        worth=tuple(worth),
        abstention=abstention,
        seconds=time.perf_counter() - started,
    )


def _thriftiest(finalists: Sequence[Setting], present: Setting, results: Mapping[Setting, np.ndarray]) -> Setting:
    best = results[finalists[0]][:, 0]

    def near(setting: Setting) -> bool:
        lost = best - results[setting][:, 0]
        return bool(lost.mean() <= lost.std(ddof=1) / np.sqrt(len(lost)))

    good = [setting for setting in finalists if near(setting)]
    return min(good, key=lambda one: (round(float(results[one][:, 1].mean())), one != present, finalists.index(one)))


def _with_threshold(choice: Choice, abstention: Calibrated | None) -> Choice:
    if abstention is None:
        return choice
    retrieval = {**choice.get("retrieval", {}), "min_evidence": math.floor(abstention.threshold * 1e4) / 1e4}
    return {**choice, "retrieval": retrieval}


def _worth(
    axes: Sequence[Axis],
    best: Setting,
    results: Callable[[Sequence[Setting], Sequence[str]], np.ndarray],
    examples: Sequence[Example],
) -> list[Worth]:
    """Every option in place of the chosen one."""
    names = sorted({one.group for one in examples})
    groups = np.array([names.index(one.group) for one in examples], dtype=np.int64)
    options = [(axis.name, option, place) for place, axis in enumerate(axes) for option, _ in axis.options]
    others = [(*best[:place], option, *best[place + 1 :]) for _, option, place in options]
    ours, *measured = results([best, *others], [one.id for one in examples])
    worth = []
    for (axis, option, _), other, theirs in zip(options, others, measured, strict=True):
        share, tokens = theirs.mean(axis=0).tolist()
        found = None if other == best else contrast(theirs[:, 0], ours[:, 0], groups, margin=MARGIN)
        difference, interval = (found.difference, found.interval) if found else (0.0, None)
        worth.append(Worth(axis, option, other == best, share, tokens, difference, interval))
    return worth
