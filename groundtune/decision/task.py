"""The task of a race: questions with located evidence, groups, folds and metrics, all fixed before anything is answered."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from groundtune.dataset.check import asked_by, check_evidence
from groundtune.dataset.read import Problem, Reading
from groundtune.dataset.split import Grouping, assign_groups, draw, folds, grouping, split
from groundtune.errors import DataError, TooFewQuestions
from groundtune.evaluation.statistics import groups_needed
from groundtune.interfaces import Metric
from groundtune.scoring import METRICS_WITH_SETTINGS, SET_METRICS
from groundtune.scoring import metric as find_metric
from groundtune.scoring.settings import NOTHING_SET, Settings
from groundtune.store.stages import digest
from groundtune.types import Answer, Example, Score

SEALED_FROM = 300
"""From this many questions on, a test split is read once; below, every question is answered out of fold."""

FEWEST = 10
"""Below this many questions nothing is raced; nor below the number of groups with which a single paired test can reach .05."""

_QUESTION_ANSWERING = ("exact_match", "f1", "contains", "abstention", "citation_precision", "citation_recall")
_LABELS = ("label_accuracy", "macro_f1")
_STRUCTURE = ("structure_exact", "slot_f1", "json_valid", "exact_match")
_LONG = (
    *("rouge_l", "rouge_lsum", "chrf", "facts_recall", "fact_words", "claims_supported"),
    *("f1", "abstention", "citation_precision", "citation_recall"),
)
_SQL = ("sql_execution", "exact_match")
_SCHEMA = ("json_schema", *_STRUCTURE)


@dataclass(frozen=True, slots=True)
class Fold:
    """Ids of the items that are answered, and of those that may be learned from; they share no group."""

    train: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Task:
    examples: tuple[Example, ...]
    """Every usable question, with located evidence and its group, sorted by id."""
    problems: tuple[Problem, ...]
    metric: str
    metrics: tuple[str, ...]
    """What every item is scored by; the primary one is among them."""
    figures: tuple[str, ...]
    """Figures of all answers together that are reported beside the metrics."""
    settings: Settings
    """What some metrics need."""
    labels: tuple[str, ...]
    """Label tasks: the labels of the training items; empty otherwise."""
    scheme: Literal["cross-fitted", "sealed test"]
    folds: tuple[Fold, ...]
    has_documents: bool
    dev: tuple[str, ...] = ()
    """Ids of the dev part, which is neither scored nor learned from; none where the race is cross-fitted."""
    left_unused: str = ""
    """What the limits on questions left out, in a sentence; empty when nothing."""

    @property
    def has_evidence(self) -> bool:
        return any(evidence.spans for example in self.examples for evidence in example.evidence)

    @property
    def test_ids(self) -> tuple[str, ...]:
        return tuple(sorted(item for fold in self.folds for item in fold.test))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the items: looks at the same ones are counted together."""
        return digest([[example.id, example.question, example.answers] for example in self.examples])

    def by_id(self) -> dict[str, Example]:
        return {example.id: example for example in self.examples}

    def grouping(self) -> Grouping:
        """How independent the scored items are."""
        tested = set(self.test_ids)
        return grouping(example for example in self.examples if example.id in tested)


def prepare(
    reading: Reading,
    *,
    document_text: Callable[[str], str | None],
    documents: Collection[str],
    metric: str,
    principals: Sequence[str],
    folds_wanted: int,
    seed: int,
    settings: Settings = NOTHING_SET,
    test_questions: int | None = None,
    train_questions: int | None = None,
) -> Task:
    """The task of these questions. Raises TooFewQuestions, with the number needed, UsageError for an unknown metric, and
    ConfigError for settings that it lacks.

    `principals` ask the questions that name nobody. `test_questions` in all and `train_questions` in each fold are about how
    many are used; both parts are cut first, so that no limit moves an item from one to the other. Of a sealed split the dev
    part stays whole; no choice is made on it here. A question that the metric cannot score at all, such as one whose accepted
    queries do not run, is left out and named among the problems.
    """
    scorer = find_metric(metric, settings=settings)
    examples = [asked_by(example, principals) for example in reading.examples]
    checked = check_evidence(examples, document_text, documents=documents)
    usable, unusable = _scorable(checked.examples, scorer) if metric in METRICS_WITH_SETTINGS else (checked.examples, [])
    examples = sorted(assign_groups(usable), key=lambda example: example.id)
    groups = len({example.group for example in examples})
    least = groups_needed(1)
    if len(examples) < FEWEST or groups < least:
        raise TooFewQuestions(
            f"{len(examples)} questions in {groups} groups decide nothing.",
            needed=FEWEST,
            remedy=f"Collect at least {FEWEST} questions about {least} different sections; 100 say much more.",
        )
    scheme: Literal["cross-fitted", "sealed test"]
    if len(examples) >= SEALED_FROM:
        scheme = "sealed test"
        part = split(examples, seed=seed)
        ids = {name: tuple(sorted(item for item, where in part.items() if where == name)) for name in ("train", "dev", "test")}
        cut: tuple[Fold, ...] = (Fold(train=ids["train"], test=ids["test"]),)
        dev = ids["dev"]
    else:
        scheme, dev = "cross-fitted", ()
        parts = folds(examples, k=min(folds_wanted, groups), seed=seed)
        everything = {example.id for example in examples}
        cut = tuple(Fold(train=tuple(sorted(everything - set(part))), test=tuple(sorted(part))) for part in parts)
    whole = cut
    cut = tuple(_limited(fold, examples, test_questions, train_questions, folds=len(cut), seed=seed) for fold in cut)
    return Task(
        examples=tuple(examples),
        problems=(*reading.problems, *checked.problems, *unusable),
        metric=metric,
        metrics=tuple(name for name in _family(metric) if name not in SET_METRICS),
        figures=tuple(name for name in _family(metric) if name in SET_METRICS),
        settings=settings,
        labels=_labels(examples, cut) if metric == "label_accuracy" else (),
        scheme=scheme,
        folds=cut,
        has_documents=bool(documents),
        dev=dev,
        left_unused=_left_unused(whole, cut),
    )


def _limited(fold: Fold, examples: Sequence[Example], test: int | None, train: int | None, *, folds: int, seed: int) -> Fold:
    """The fold with at most its part of `test` items to answer and about `train` to learn from; whole groups only."""
    by_id = {example.id: example for example in examples}

    def drawn(ids: Sequence[str], count: int | None) -> tuple[str, ...]:
        return tuple(draw([by_id[item] for item in ids], count, seed=seed)) if count is not None else tuple(ids)

    return Fold(train=drawn(fold.train, train), test=drawn(fold.test, None if test is None else max(1, test // folds)))


def _left_unused(whole: Sequence[Fold], used: Sequence[Fold]) -> str:
    if whole == used:
        return ""
    tests = [sum(len(fold.test) for fold in folds) for folds in (used, whole)]
    trains = [sum(len(fold.train) for fold in folds) / len(folds) for folds in (used, whole)]
    return (
        f"Drawn by group from the seed, before any answer: {tests[0]} of {tests[1]} questions that could be scored are, and "
        f"{trains[0]:.0f} of {trains[1]:.0f} may be learned from (decision.test_questions, decision.train_questions)."
    )


def set_figures(task: Task, scores: Sequence[Score]) -> dict[str, float]:
    """The figures of all these scores' answers together."""
    by_id = task.by_id()
    asked = [by_id[score.item] for score in scores]
    answers = [Answer(score.answer, abstained=score.abstained) for score in scores]
    return {name: SET_METRICS[name](asked, answers) for name in task.figures}


def _scorable(examples: Sequence[Example], scorer: Metric) -> tuple[list[Example], list[Problem]]:
    """The examples whose own references can be scored, and what is wrong with the others."""
    usable, problems = [], []
    for example in examples:
        try:
            value = scorer(example, Answer(example.answers[0])) if example.answers else None
        except DataError as error:
            problems.append(_problem(example, error.message))
            continue
        usable.append(example)
        if value == 0:
            problems.append(
                _problem(example, "its first answer, given as an answer, scores 0: put one that is right by itself first")
            )
    return usable, problems


def _problem(example: Example, what: str) -> Problem:
    file, _, line = example.origin.rpartition(":")
    return Problem(file, int(line), example.id, what) if line.isdigit() else Problem(example.origin, 0, example.id, what)


def _family(primary: str) -> tuple[str, ...]:
    """The primary metric and those that are always shown beside it."""
    for family in (_QUESTION_ANSWERING, _LABELS, _STRUCTURE, _LONG, _SQL, _SCHEMA):
        if primary in family:
            return family
    return (primary,)


def _labels(examples: Sequence[Example], cut: Sequence[Fold]) -> tuple[str, ...]:
    """Labels seen in the training part of every fold, so that no candidate is told a label that only a test item has."""
    by_id = {example.id: example for example in examples}
    per_fold = [{by_id[item].answers[0] for item in fold.train if by_id[item].answers} for fold in cut]
    return tuple(sorted(set.intersection(*per_fold)))
