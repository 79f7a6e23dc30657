"""The probes' cells: what is known of each item before any candidate is built. Knows the product's probes; trains nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cells import Cell, Done, ready
from groundtune.candidates.build import build, neighbours_of
from groundtune.decision.probes import GoldEvidence, NearestAnswer, RetrievedContextOnly, held
from groundtune.decision.race import PROBE
from groundtune.decision.setup import Setup
from groundtune.evaluation.evaluate import evaluate
from groundtune.interfaces import Progress
from groundtune.scoring import metric as find_metric
from groundtune.store.workspace import Workspace
from groundtune.types import NOT_IN_DOCUMENTS, Answer, Candidate, Example, Score

GOLD, CONTEXT, NEAREST, CONSTANTS = "gold_evidence", "retrieved_context", "nearest_answer", "constants"
PROBES = (NEAREST, CONSTANTS, CONTEXT, GOLD)

HELD = "answer_in_context"
"""1 where the retrieved context holds an accepted answer."""
ANSWERABLE = "answerable"

COMMON = 40
"""Constant answers that are scored: the commonest references, and to abstain."""


def measure_probe(cell: Cell, root: Path) -> Done:
    """The probe's score of every item; of `gold_evidence` of those that have some."""
    began = time.monotonic()
    with ready(root, ["rag", "prompt"]) as (workspace, setup, show):
        scores = _MEASURES[cell.candidate](workspace, setup, show)
        asked = workspace.config.decision.test_questions
    seconds = time.monotonic() - began
    return Done(cell, tuple(replace(score, candidate=cell.candidate) for score in scores), seconds, 0, {}, seconds, asked)


def _gold(workspace: Workspace, setup: Setup, show: Progress | None) -> list[Score]:
    retriever = setup.workshop.retriever
    located = [example for example in _scored(setup) if any(one.spans for one in example.evidence)]
    if retriever is None or not located:
        return []
    recipe = replace(_recipe(setup, "rag"), name=PROBE, context=None)
    gold = GoldEvidence(build(recipe, workshop=setup.workshop, train_examples=()), retriever=retriever)
    return _answered(gold, gold.fingerprint, located, workspace, setup, show, show_evidence=True)


def _context(workspace: Workspace, setup: Setup, show: Progress | None) -> list[Score]:
    if setup.workshop.retriever is None:
        return []
    only = RetrievedContextOnly(build(_recipe(setup, "rag"), workshop=setup.workshop, train_examples=()))
    scores = _answered(only, only.fingerprint, _scored(setup), workspace, setup, show)
    found = held(scores, examples=setup.task.by_id(), retriever=setup.workshop.retriever)
    return [
        replace(score, metrics={**score.metrics, HELD: float(found[score.item])} if score.item in found else score.metrics)
        for score in scores
    ]


def _nearest(workspace: Workspace, setup: Setup, show: Progress | None) -> list[Score]:
    by_id, scores = setup.task.by_id(), []
    for fold in setup.task.folds:
        asked = [by_id[item] for item in fold.test]
        nearest = NearestAnswer(asked, neighbours_of(setup.workshop, [by_id[item] for item in fold.train]))
        scores += _answered(nearest, nearest.fingerprint, asked, workspace, setup, show)
    return [replace(score, metrics={**score.metrics, ANSWERABLE: float(bool(by_id[score.item].answers))}) for score in scores]


def _constants(workspace: Workspace, setup: Setup, show: Progress | None) -> list[Score]:  # noqa: ARG001 - asks no model
    """Metric `constant_N` of each of the constant answers, as `best_constant` tries them."""
    asked, scorer = _scored(setup), find_metric(setup.task.metric, settings=setup.task.settings)
    counts = Counter(reference for example in asked for reference in dict.fromkeys(example.answers))
    common = sorted(counts, key=lambda reference: (-counts[reference], reference))[:COMMON]
    answers = [Answer(NOT_IN_DOCUMENTS, abstained=True), *(Answer(reference) for reference in common)]
    scores = []
    for example in asked:
        found = {f"constant_{number}": scorer(example, answer) for number, answer in enumerate(answers)}
        metrics = {name: float(value) for name, value in found.items() if value is not None}
        scores.append(Score(CONSTANTS, example.id, example.group, example.kind, 0, 0, "", metrics))
    return scores


_MEASURES: Mapping[str, Callable[[Workspace, Setup, Progress | None], list[Score]]] = {
    GOLD: _gold, CONTEXT: _context, NEAREST: _nearest, CONSTANTS: _constants,
}  # fmt: skip


def _scored(setup: Setup) -> list[Example]:
    by_id = setup.task.by_id()
    return [by_id[item] for item in setup.task.test_ids]


def _recipe(setup: Setup, name: str) -> Candidate:
    return next(candidate for candidate in setup.candidates if candidate.name == name)


def _answered(
    probe: Callable[[Sequence[Example]], list[Answer]],
    key: Mapping[str, object],
    examples: Sequence[Example],
    workspace: Workspace,
    setup: Setup,
    show: Progress | None,
    *,
    show_evidence: bool = False,
) -> list[Score]:
    return evaluate(
        probe,
        examples,
        candidate="",
        metrics=setup.task.metrics,
        settings=setup.task.settings,
        stages=workspace.stages,
        key=key,
        batch_size=workspace.config.decision.batch_size,
        show_evidence=show_evidence,
        progress=show,
    )
