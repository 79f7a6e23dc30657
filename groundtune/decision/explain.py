"""From a race's probes to what explains it: decomposition, relaxed scores, the matrix, and what predictions rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from groundtune.decision.decomposition import Decomposition, Matrix, Measure, decompose, matrix, mean_measure
from groundtune.decision.predictions import Book, Evidence, forgiven, predict, values
from groundtune.decision.probes import held
from groundtune.decision.race import Outcome
from groundtune.decision.setup import Setup
from groundtune.evaluation.baseline import best_constant
from groundtune.scoring import metric as find_metric
from groundtune.types import Candidate, WholeDocuments


@dataclass(frozen=True, slots=True)
class Probes:
    """What probes say of this task and model."""

    decomposition: Decomposition | None
    not_applicable: str
    """Why there is no decomposition; empty when there is."""
    matrix: Matrix
    relaxed: Mapping[str, Measure]
    """Candidate -> the primary metric with format forgiven."""
    answer_in_context: Measure | None
    """Over all answerable items: a ceiling of retrieval that needs no model."""
    nearest_answer: Measure | None
    """The nearest training example's answer: what a task gives away without any model."""
    reader: Measure | None
    """The reader probe with gold evidence in the prompt."""


class Explainer:
    """Predicts each candidate of one race before it is built, and explains the race afterwards."""

    def __init__(self, setup: Setup, book: Book) -> None:
        self.book = book
        self._setup = setup
        self._task = setup.task
        self._scored = {item: example for item, example in setup.task.by_id().items() if item in set(setup.task.test_ids)}
        self._constant = best_constant(
            list(self._scored.values()), find_metric(setup.task.metric, settings=setup.task.settings)
        ).score
        self._known_held: dict[str, bool] | None = None

    def predict(self, candidate: Candidate, outcome: Outcome) -> None:
        """Write into the book what `candidate` is expected to score, where the probes speak of it.

        They are of one model and of passages: they say nothing of what already runs, of whole documents and of other models.
        """
        foreign = candidate.external is not None or candidate.model != self._setup.workspace.config.model
        if foreign or isinstance(candidate.context, WholeDocuments):
            return
        self.book.write(predict(candidate, self._evidence(outcome)))

    def explain(self, outcome: Outcome) -> Probes:
        """Everything is on the items that were scored; intervals are over groups."""
        task, seed, metric = self._task, self._setup.workspace.config.decision.seed, self._task.metric
        ceiling = self._held(outcome)
        found = None
        whole = {name: scores for name, scores in outcome.scores.items() if len(scores) == len(self._scored)}
        if outcome.probe and "rag" in whole:
            found = decompose(
                outcome.probe,
                rag=whole["rag"],
                closed_book=whole.get("prompt"),
                examples=self._scored,
                held=ceiling or {},
                metric=metric,
                seed=seed,
            )

        def measure(rows: Mapping[str, float] | None) -> Measure | None:
            return mean_measure(list(rows.values()), [self._scored[item].group for item in rows], seed=seed) if rows else None

        forgiving = {name: measure(forgiven(scores, metric)) for name, scores in outcome.scores.items()}
        return Probes(
            decomposition=found,
            not_applicable="" if found else "Not applicable: it needs documents, located evidence and the rag candidate.",
            matrix=matrix(
                closed_book=whole.get("prompt"),
                probe=outcome.probe,
                examples=self._scored,
                metric=metric,
                has_documents=task.has_documents,
                seed=seed,
            ),
            relaxed={name: found for name, found in forgiving.items() if found is not None},
            answer_in_context=measure({item: float(value) for item, value in (ceiling or {}).items()}),
            nearest_answer=measure(values(outcome.nearest, metric)),
            reader=measure(values([score for score in outcome.reader if score.context], metric)),
        )

    def _evidence(self, outcome: Outcome) -> Evidence:
        metric = self._task.metric
        shown = [score for score in outcome.probe if score.context]
        return Evidence(
            examples=self._scored,
            has_documents=self._task.has_documents,
            constant=self._constant,
            held=self._held(outcome),
            mechanical=values(outcome.context, metric),
            gold=values(shown, metric),
            gold_relaxed=forgiven(shown, metric),
            reader=values([score for score in outcome.reader if score.context], metric),
            nearest=values(outcome.nearest, metric),
            closed_book=values(outcome.scores.get("prompt", ()), metric),
            examples_shown=values(outcome.scores.get("few_shot", ()), metric),
            retrieved=values(outcome.scores.get("rag", ()), metric),
        )

    def _held(self, outcome: Outcome) -> dict[str, bool] | None:
        retriever = self._setup.workshop.retriever
        if self._known_held is None and retriever is not None and outcome.context:
            self._known_held = held(outcome.context, examples=self._scored, retriever=retriever)
        return self._known_held
