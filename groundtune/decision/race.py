"""Runs the planned work: tunes, answers, scores and times every candidate on the same items. It compares nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from groundtune.candidates.build import Answerer, build, build_any, neighbours_of, tune
from groundtune.candidates.workshop import Weights, Workshop
from groundtune.decision.probes import GoldEvidence, NearestAnswer, RetrievedContextOnly
from groundtune.decision.reader import Reader
from groundtune.decision.stopping import Course
from groundtune.decision.task import Fold, Task
from groundtune.evaluation.evaluate import evaluate
from groundtune.evaluation.latency import measure_latency
from groundtune.interfaces import Progress
from groundtune.store.stages import Stages
from groundtune.types import Answer, Candidate, Example, Latency, RetrievedContext, Score

PROBE, CONTEXT, NEAREST, READER = "gold evidence", "retrieved context", "nearest answer", "reader"


@dataclass(frozen=True, slots=True)
class Work:
    """What one candidate did."""

    answers: int
    trainings: tuple[float, ...]
    """The share of a fold's pairs that each training learned."""


@dataclass
class Outcome:
    """Everything a race measured."""

    scores: dict[str, list[Score]] = field(default_factory=dict)
    """Candidate -> one score an item, sorted by item."""
    weights: dict[str, list[Weights]] = field(default_factory=dict)
    """Tuned candidate -> its weights, one a fold."""
    latency: dict[str, Latency] = field(default_factory=dict)
    probe: list[Score] = field(default_factory=list)
    """The gold-evidence probe; empty where no item has evidence."""
    context: list[Score] = field(default_factory=list)
    """Retrieval alone; empty where nothing retrieves."""
    nearest: list[Score] = field(default_factory=list)
    """The nearest training example's answer."""
    reader: list[Score] = field(default_factory=list)
    """The reader probe; empty where it was left out."""
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    """(stage, candidate) -> wall seconds of this run; work found in the store costs nearly nothing."""
    rungs: dict[str, list[Weights]] = field(default_factory=dict)
    """Tuned candidate -> weights from a part of its pairs that it outgrew."""
    work: dict[str, Work] = field(default_factory=dict)
    """Candidate -> what it did in a frugal race."""
    course: Course | None = None
    """How a frugal race went; None when every candidate answered everything."""
    refused: dict[str, str] = field(default_factory=dict)
    """Candidates that could not be built from these data, with the reason."""

    def compared(self) -> dict[str, list[Score]]:
        """The scores that a verdict rests on: of candidates that were not dropped, on the items that all of them answered."""
        if self.course is None:
            return self.scores
        items = set(self.course.items)
        return {name: [one for one in self.scores[name] if one.item in items] for name in self.course.left}


@dataclass(frozen=True)
class Race:
    """The race of `candidates` on `task`; `run` may be interrupted anywhere and continued by running it again."""

    task: Task
    candidates: tuple[Candidate, ...]
    workshop: Workshop
    stages: Stages
    weights_folder: Path
    batch_size: int
    latency_requests: int
    seed: int
    progress: Progress | None = None
    reader: Reader | None = None
    """Trained and asked when given."""
    before: Callable[[Candidate, Outcome], None] | None = None
    """Called with what was measured so far before a candidate is built."""

    def run(self) -> Outcome:
        """Probes first, so that every candidate can be predicted before it is built."""
        outcome = Outcome()
        self.probe(outcome)
        for candidate in self.candidates:
            if self.before is not None:
                self.before(candidate, outcome)
            if candidate.tuning is not None:
                outcome.weights[candidate.name] = self._tune(candidate, outcome)
            outcome.scores[candidate.name] = self._answer(candidate, outcome)
            self.workshop.release_tuned()
        outcome.latency = self.measured_latency(self.candidates, outcome)
        return outcome

    def _tune(self, candidate: Candidate, outcome: Outcome) -> list[Weights]:
        return [self.trained(candidate, number, fold.train, outcome) for number, fold in enumerate(self.task.folds)]

    def trained(self, candidate: Candidate, number: int, items: Sequence[str], outcome: Outcome) -> Weights:
        """The weights that this candidate makes of some of a fold's training items."""
        by_id = self.task.by_id()
        with timed(outcome, "train", candidate.name):
            return tune(
                candidate,
                workshop=self.workshop,
                train_examples=[by_id[item] for item in items],
                folder=self.weights_folder,
                seed=self.seed,
                progress=self._named(f"train {candidate.name} {number + 1}/{len(self.task.folds)}"),
            )

    def _answer(self, candidate: Candidate, outcome: Outcome) -> list[Score]:
        weights = outcome.weights.get(candidate.name)
        scores: list[Score] = []
        for number, fold in enumerate(self.task.folds):
            scores += self.answered(candidate, number, fold, weights[number] if weights else None, outcome)
        return sorted(scores, key=lambda score: score.item)

    def answered(self, candidate: Candidate, number: int, fold: Fold, weights: Weights | None, outcome: Outcome) -> list[Score]:
        """Scores of this candidate on the test items of a fold, or of a part of one; weights are dropped from memory."""
        with timed(outcome, "answer", candidate.name):
            assistant = self._build(candidate, fold, weights)
            label = f"answer {candidate.name} {number + 1}/{len(self.task.folds)}"
            scores = self._evaluate(assistant, assistant.fingerprint, fold, number, candidate.name, label)
            if weights is not None:
                self.workshop.release_tuned()
        return scores

    def probe(self, outcome: Outcome) -> None:
        """Retrieval alone, the nearest example's answer, the untuned model with gold evidence, and the reader with it."""
        retriever = self.workshop.retriever
        retrieving = [candidate for candidate in self.candidates if isinstance(candidate.context, RetrievedContext)]
        retrieving.sort(key=lambda candidate: candidate.name != "rag")  # its scores are what the probes are set against
        outcome.nearest = self._nearest()
        if retriever is None or not retrieving:
            return
        with timed(outcome, "probe", retrieving[0].name):
            recipe = replace(retrieving[0], tuning=None, examples=None)
            only = RetrievedContextOnly(build(recipe, workshop=self.workshop, train_examples=()))
            outcome.context = self._all(only, only.fingerprint, CONTEXT)
            located = {example.id for example in self.task.examples if any(one.spans for one in example.evidence)}
            if not located:
                return
            recipe = replace(recipe, name=PROBE, context=None)
            gold = GoldEvidence(build(recipe, workshop=self.workshop, train_examples=()), retriever=retriever)
            outcome.probe = self._all(gold, gold.fingerprint, PROBE, only=located)
        if self.reader is not None:
            with timed(outcome, "train", READER):
                weights = self.reader.weights(progress=self._named("train reader"))
            with timed(outcome, "probe", READER):
                recipe = replace(self.reader.candidate, name=READER, context=None)
                reading = GoldEvidence(
                    build(recipe, workshop=self.workshop, train_examples=(), weights=weights), retriever=retriever
                )
                outcome.reader = self._all(reading, reading.fingerprint, READER, only=located)
            self.workshop.release_tuned()

    def _nearest(self) -> list[Score]:
        by_id = self.task.by_id()
        scores: list[Score] = []
        for number, fold in enumerate(self.task.folds):
            neighbours = neighbours_of(self.workshop, [by_id[item] for item in fold.train])
            nearest = NearestAnswer([by_id[item] for item in fold.test], neighbours)
            scores += self._evaluate(nearest, nearest.fingerprint, fold, number, NEAREST, f"probe {NEAREST}")
        return sorted(scores, key=lambda score: score.item)

    def _all(
        self,
        probe: Callable[[Sequence[Example]], list[Answer]],
        key: Mapping[str, object],
        name: str,
        *,
        only: Collection[str] | None = None,
    ) -> list[Score]:
        """The probe's answers on the items of every fold, or on some of them, which then show their evidence."""
        scores: list[Score] = []
        for number, fold in enumerate(self.task.folds):
            shown = Fold(train=(), test=tuple(item for item in fold.test if only is None or item in only))
            scores += self._evaluate(probe, key, shown, number, name, f"probe {name}", show_evidence=only is not None)
        return sorted(scores, key=lambda score: score.item)

    def measured_latency(self, candidates: Sequence[Candidate], outcome: Outcome) -> dict[str, Latency]:
        """Batch 1, candidates interleaved, the first fold's weights, questions of every fold."""
        fold = self.task.folds[0]
        assistants = {
            candidate.name: self._build(candidate, fold, outcome.weights[candidate.name][0] if candidate.tuning else None)
            for candidate in candidates
        }
        by_id = self.task.by_id()
        items = [by_id[item] for item in self.task.test_ids]
        callables = {name: _alone(assistant) for name, assistant in assistants.items()}
        started = time.perf_counter()
        measured = measure_latency(callables, items, requests=self.latency_requests, progress=self._named("latency"))
        total = sum(latency.mean * latency.requests for latency in measured.values())
        for name, latency in measured.items():
            share = latency.mean * latency.requests / total if total else 0.0
            outcome.seconds["latency", name] = share * (time.perf_counter() - started)
        return measured

    def _build(self, candidate: Candidate, fold: Fold, weights: Weights | None) -> Answerer:
        by_id = self.task.by_id()
        learned = [by_id[item] for item in fold.train]
        return build_any(candidate, workshop=self.workshop, train_examples=learned, weights=weights)

    def _evaluate(
        self,
        respondent: Callable[[Sequence[Example]], list[Answer]],
        key: Mapping[str, object],
        fold: Fold,
        number: int,
        name: str,
        label: str,
        *,
        show_evidence: bool = False,
    ) -> list[Score]:
        by_id = self.task.by_id()
        return evaluate(
            respondent,
            [by_id[item] for item in fold.test],
            candidate=name,
            metrics=self.task.metrics,
            stages=self.stages,
            key=key,
            batch_size=self.batch_size,
            fold=number,
            seed=self.seed,
            show_evidence=show_evidence,
            settings=self.task.settings,
            progress=self._named(label),
        )

    def _named(self, label: str) -> Progress | None:
        if self.progress is None:
            return None
        report = self.progress

        def named(_: str, done: int, total: int) -> None:
            report(label, done, total)

        return named


def _alone(assistant: Answerer) -> Callable[[Example], Answer]:
    return lambda example: assistant([example])[0]


@contextmanager
def timed(outcome: Outcome, stage: str, candidate: str) -> Iterator[None]:
    """Adds the wall seconds of its block to `outcome.seconds`."""
    started = time.perf_counter()
    yield
    seconds = time.perf_counter() - started
    outcome.seconds[stage, candidate] = outcome.seconds.get((stage, candidate), 0.0) + seconds
