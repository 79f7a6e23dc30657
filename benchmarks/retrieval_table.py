"""Rankings of all systems -> figures and goals. Knows which score counts on which collection; makes no ranking."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from benchmarks.harness import Figure, Goal, goal
from benchmarks.retrieval_cells import Bench, Cell
from benchmarks.retrieval_data import Collection, Question
from benchmarks.retrieval_scores import (
    Place,
    Sample,
    documents_of,
    evidence_recall,
    mean_over,
    ndcg,
    recall,
    span_scores,
    within,
)
from benchmarks.retrieval_systems import Hits
from groundtune.dataset.check import check_evidence
from groundtune.dataset.split import assign_groups
from groundtune.evaluation.statistics import mean_interval
from groundtune.types import Document, Evidence, Example

PRIMARY = {"handbook": "pages_recall5", "cranfield": "ndcg10", "cacm": "ndcg10", "firms": "recall10"}
"""Scored collection -> the score that enters the mean."""

BEHIND = 0.01
"""Points by which a scored collection's best system may be ahead."""

ALIKE = 0.02
"""Points by which the same pages in another format may differ."""

READ = 5_000
"""Characters that every system may show, where chunks of unequal size are compared: about five chunks of 220 tokens."""

_SPANS_K = 5
_BASELINES = ("bm25", "rrf")
"""Those that the mean must be above with its interval."""


@dataclass(frozen=True, slots=True)
class Gold:
    """A question with where its evidence stands, and its group."""

    question: Question
    passages: tuple[tuple[Place, ...], ...]
    group: str


def gold_of(collection: Collection, texts: Sequence[Document]) -> list[Gold]:
    """Questions with located evidence; a question none of whose quotes stands in its document is left out.

    Groups are the product's: questions whose evidence stands in one section, or that quote the same words, belong together; one
    without evidence is a group of its own.
    """
    held = {text.id: text.text for text in texts}
    examples = [
        Example(one.id, one.text, ("",), evidence=tuple(Evidence(*passage) for passage in one.evidence))
        for one in collection.questions
    ]
    checked = assign_groups(check_evidence(examples, held.get, documents=held).examples)
    found = []
    for question, example in zip(collection.questions, checked, strict=True):
        passages = tuple(tuple((one.document, *span) for span in one.spans) for one in example.evidence if one.spans)
        if passages or collection.unit == "document":
            found.append(Gold(question, passages, example.group))
    return found


def scores_of(collection: Collection, gold: Sequence[Gold], hits: Hits) -> dict[str, list[float]]:
    """Score -> one value a question of `gold`."""
    found = [hits[one.question.id] for one in gold]
    if collection.unit == "document":
        return _of_documents(found, [one.question.grades for one in gold])
    pairs = list(zip(found, (one.passages for one in gold), strict=True))
    pages = [{document: 1 for passage in passages for document, _, _ in passage} for _, passages in pairs]
    by_page = _of_documents(found, pages) if collection.unit == "both" else {}
    return {f"pages_{name}": values for name, values in by_page.items()} | {
        "recall5": [evidence_recall(places, passages, k=5) for places, passages in pairs],
        "recall10": [evidence_recall(places, passages, k=10) for places, passages in pairs],
        "recall_in_5000_characters": [
            evidence_recall(within(places, READ), passages, k=len(places)) for places, passages in pairs
        ],
        "pages_in_5": [recall(documents_of(places[:5]), wanted, k=5) for places, wanted in zip(found, pages, strict=True)],
    }


def _of_documents(found: Sequence[Sequence[Place]], grades: Sequence[Mapping[str, int]]) -> dict[str, list[float]]:
    """Of the documents in the order of their best chunk."""
    ranked = list(zip(map(documents_of, found), grades, strict=True))
    return {
        "ndcg10": [ndcg(documents, wanted, k=10) for documents, wanted in ranked],
        "recall5": [recall(documents, wanted, k=5) for documents, wanted in ranked],
        "recall10": [recall(documents, wanted, k=10) for documents, wanted in ranked],
    }


class Table:
    """Scores of every cell that was made."""

    def __init__(self, bench: Bench, cells: Sequence[Cell]) -> None:
        self._bench, self._cells = bench, {(cell.collection, cell.system): cell for cell in cells}
        self._gold: dict[str, list[Gold]] = {}

    @cached_property
    def hits(self) -> Mapping[tuple[str, str], Hits]:
        """(collection, system) -> rankings of the cells that were made."""
        found = {key: self._bench.kept(cell) for key, cell in self._cells.items()}
        return {key: hits for key, hits in found.items() if hits is not None}

    @property
    def missing(self) -> list[str]:
        return [f"{collection} x {system}" for collection, system in self._cells if (collection, system) not in self.hits]

    def gold(self, collection: str) -> list[Gold]:
        if collection not in self._gold:
            self._gold[collection] = gold_of(self._bench.collection(collection), self._bench.texts(collection))
        return self._gold[collection]

    def collection(self, name: str) -> Collection:
        return self._bench.collection(name)

    def systems(self, collection: str) -> list[str]:
        return [system for name, system in self.hits if name == collection]

    def scores(self, collection: str, system: str) -> dict[str, list[float]]:
        return scores_of(self.collection(collection), self.gold(collection), self.hits[collection, system])


def figures_and_goals(table: Table) -> tuple[dict[str, Figure], list[Goal]]:
    """Everything that is quoted."""
    figures: dict[str, Figure] = {"missing_cells": ", ".join(table.missing) or "none"}
    rows: dict[tuple[str, str], list[float]] = {}
    for collection in dict.fromkeys(name for name, _ in table.hits):
        gold = table.gold(collection)
        figures[f"{collection}_questions"] = len(gold)
        figures[f"{collection}_questions_left_out"] = len(table.collection(collection).questions) - len(gold)
        if collection == "spans":
            continue
        for system in table.systems(collection):
            scores = table.scores(collection, system)
            figures |= {f"{collection}_{name}_{system}": _mean(values) for name, values in scores.items()}
            if collection in PRIMARY:
                rows[collection, system] = scores[PRIMARY[collection]]
            if collection == "handbook":
                figures |= _by_kind(gold, scores["recall5"], f"handbook_recall5_{system}")
                figures |= _by_kind(gold, scores["pages_recall5"], f"handbook_pages_recall5_{system}")
            if collection == "follow_ups":
                interval = mean_interval(scores["recall5"], [one.group for one in gold])
                figures |= {
                    f"follow_ups_recall5_{system}_low": interval.low,
                    f"follow_ups_recall5_{system}_high": interval.high,
                }
    goals = _of_means(table, rows, figures)
    figures |= _spans(table)
    return figures, [*goals, *_formats(figures)]


def _of_means(table: Table, rows: Mapping[tuple[str, str], Sequence[float]], figures: dict[str, Figure]) -> list[Goal]:
    systems = dict.fromkeys(system for _, system in rows)
    complete = [system for system in systems if all((name, system) in rows for name in PRIMARY)]
    means = {system: sum(_mean(rows[name, system]) for name in PRIMARY) / len(PRIMARY) for system in complete}
    figures |= {f"mean_{system}": mean for system, mean in means.items()}
    others = [system for system in complete if system != "groundtune"] if "groundtune" in means else []
    for other in others:
        samples = [_lead(table.gold(name), rows[name, "groundtune"], rows[name, other]) for name in PRIMARY]
        lead, low, high = mean_over(samples)
        figures |= {f"mean_lead_over_{other}": lead, f"mean_lead_over_{other}_low": low, f"mean_lead_over_{other}_high": high}
    best = max(others, key=lambda system: means[system], default=None)
    figures["mean_best_other"] = best
    figures["mean_lead_over_best_other"] = figures[f"mean_lead_over_{best}"] if best else None
    for name in PRIMARY:
        ours = rows.get((name, "groundtune"))
        theirs = [
            _mean(values) for (collection, system), values in rows.items() if collection == name and system != "groundtune"
        ]
        figures[f"{name}_behind_best"] = max(theirs) - _mean(ours) if ours and theirs else None
    return [
        goal("missing_cells", figures["missing_cells"], "==", "none"),
        _above_none("mean_lead_over_best_other", figures),
        *(_above_none(f"mean_lead_over_{one}_low", figures) for one in _BASELINES),
        *(goal(f"{name}_behind_best", figures[f"{name}_behind_best"], "<=", BEHIND) for name in PRIMARY),
    ]


def _above_none(name: str, figures: Mapping[str, Figure]) -> Goal:
    figure = figures.get(name)
    return Goal(name, figure, "> 0", isinstance(figure, float) and figure > 0)


def _lead(gold: Sequence[Gold], ours: Sequence[float], theirs: Sequence[float]) -> Sample:
    return Sample([a - b for a, b in zip(ours, theirs, strict=True)], [one.group for one in gold])


def _by_kind(gold: Sequence[Gold], values: Sequence[float], name: str) -> dict[str, Figure]:
    kinds = dict.fromkeys(one.question.kind for one in gold)
    return {
        f"{name}_{kind}": _mean([value for one, value in zip(gold, values, strict=True) if one.question.kind == kind])
        for kind in kinds
    }


def _spans(table: Table) -> dict[str, Figure]:
    """Recall, precision and IoU of the first five hits by way of chunking."""
    found: dict[str, Figure] = {}
    for system in table.systems("spans"):
        hits = table.hits["spans", system]
        gold = table.gold("spans")
        scores = [
            span_scores(hits[one.question.id], [place for passage in one.passages for place in passage], k=_SPANS_K)
            for one in gold
        ]
        for name in ("recall", "precision", "iou"):
            found[f"spans_{name}{_SPANS_K}_{system}"] = _mean([getattr(score, name) for score in scores])
    return found


def _formats(figures: dict[str, Figure]) -> list[Goal]:
    goals = []
    base = figures.get("firm_one_recall10_groundtune")
    for form in ("docx", "pdf"):
        other = figures.get(f"firm_{form}_recall10_groundtune")
        apart = abs(base - other) if isinstance(base, float) and isinstance(other, float) else None
        figures[f"firm_{form}_recall10_apart"] = apart
        goals.append(goal(f"firm_{form}_recall10_apart", apart, "<=", ALIKE))
    return goals


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
