"""The one retrieval setting, chosen on xquad, covidqa and the demo company. Reads no collection that is scored.

One axis after another, each option on the same questions with everything else as chosen so far; twice around. An option is
taken when its mean over the three collections is above the present one's by more than a standard error of their paired
difference, so that what nothing speaks for stays as it is.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from benchmarks.harness import Figure
from benchmarks.retrieval_data import FOLDER, Collection, covidqa, demo, xquad
from benchmarks.retrieval_scores import Sample, mean_over
from benchmarks.retrieval_systems import ASKED, texts_of, workspace_of
from benchmarks.retrieval_table import Gold, gold_of, scores_of
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.config import Retrieval
from groundtune.decision.remembering import RememberingEmbedder
from groundtune.index.versions import IndexVersions
from groundtune.interfaces import Embedder, FoundChunk, Index
from groundtune.types import EVERYTHING, LOCAL, Caller, Filter

CHOOSING: Mapping[str, tuple[Callable[[], Collection], str]] = {
    "xquad": (xquad, "ndcg10"),
    "covidqa": (covidqa, "recall5"),
    "demo": (demo, "recall5"),
}
"""Collection and the score that it is chosen by."""

QUESTIONS = 400
"""Of each collection at most, drawn once."""

Setting = Mapping[str, float | str]
"""Axis -> option."""

AXES: Mapping[str, Sequence[float | str]] = {
    "fusion": ("ranks", "scores"),
    "depth": (20, 50, 100, 200),
    "text_weight": (1.0, 0.67, 1.5),
    "context": ("headings", "none"),
    "near_duplicate": (0.9, 1.0),
}
"""What is tried; the first option is what the product did before anything was chosen."""


CHOSEN = FOLDER / "chosen.json"

_OF_CHUNKING = ("context",)  # axes of [chunking]; the others are of [retrieval]
_ROUNDS = 2
_Z = 1.96


@dataclass(frozen=True, slots=True)
class Choice:
    """One comparison."""

    setting: Setting
    mean: float
    lead: float
    """Over what was chosen before."""
    low: float
    high: float
    taken: bool


class RememberingIndex:
    """Searches an index that nobody writes to, each query once; it is read only."""

    def __init__(self, inner: Index) -> None:
        self._inner = inner
        self._known: dict[tuple[str, bytes, frozenset[int], int, Filter], Sequence[FoundChunk]] = {}

    def search(
        self, query: str, vector: np.ndarray, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING
    ) -> Sequence[FoundChunk]:
        key = (query, vector.tobytes(), audiences, k, filter)
        if key not in self._known:
            self._known[key] = self._inner.search(query, vector, audiences=audiences, k=k, filter=filter)
        return self._known[key]

    def search_text(
        self, query: str, *, audiences: frozenset[int], k: int, filter: Filter = EVERYTHING
    ) -> Sequence[FoundChunk]:
        return self._inner.search_text(query, audiences=audiences, k=k, filter=filter)

    def chunks(self, documents: Collection[str]) -> Sequence[FoundChunk]:
        return self._inner.chunks(documents)


class Chooser:
    """Measures settings on the choosing collections, each once."""

    def __init__(self, embedder: Embedder, stack: ExitStack) -> None:
        self._embedder, self._stack = RememberingEmbedder(embedder), stack
        self._opened: dict[tuple[str, str], tuple[WorkspaceRetriever, RememberingIndex, Collection, list[Gold]]] = {}
        self._measured: dict[tuple[tuple[str, float | str], ...], list[Sample]] = {}

    def samples(self, setting: Setting) -> list[Sample]:
        """The scores of each collection's questions."""
        key = tuple(sorted(setting.items()))
        if key not in self._measured:
            self._measured[key] = [self._scored(name, setting) for name in CHOOSING]
        return self._measured[key]

    def _scored(self, name: str, setting: Setting) -> Sample:
        cut = {axis: setting[axis] for axis in _OF_CHUNKING if axis in setting}
        opened, index, collection, gold = self._open(name, cut)
        changes = {axis: value for axis, value in setting.items() if axis not in cut}
        settings = Retrieval.model_validate(opened.settings.model_dump() | changes)
        retriever = WorkspaceRetriever(opened.workspace, embedder=self._embedder, settings=settings, index=index)
        hits = {}
        for one in gold:
            found = retriever.search(one.question.text, caller=Caller.of(LOCAL), k=ASKED[collection.unit])
            hits[one.question.id] = [(hit.chunk.document, hit.chunk.start, hit.chunk.end) for hit in found]
        _, score = CHOOSING[name]
        return Sample(scores_of(collection, gold, hits)[score], [one.group for one in gold])

    def _open(self, name: str, cut: Setting) -> tuple[WorkspaceRetriever, RememberingIndex, Collection, list[Gold]]:
        lines = "\n".join(f"{axis} = {json.dumps(value)}" for axis, value in cut.items())
        if (name, lines) not in self._opened:
            make, _ = CHOOSING[name]
            collection = make()
            settings = {"[index]": 'backend = "sqlite"', "[chunking]": lines}
            workspace = self._stack.enter_context(workspace_of(collection, self._embedder.inner, settings))
            versions = IndexVersions(workspace.state / "index", database=workspace.database)
            index = RememberingIndex(versions.open(versions.current()))
            retriever = WorkspaceRetriever(workspace, embedder=self._embedder)
            gold = gold_of(collection, texts_of(workspace))
            self._opened[name, lines] = retriever, index, collection, sampled(gold)
        return self._opened[name, lines]


def sampled(gold: Sequence[Gold]) -> list[Gold]:
    """At most QUESTIONS of them, the same at every call, in their order."""
    chosen = sorted(random.Random(0).sample(range(len(gold)), min(QUESTIONS, len(gold))))
    return [gold[at] for at in chosen]


def choose(
    samples: Callable[[Setting], list[Sample]], axes: Mapping[str, Sequence[float | str]]
) -> tuple[Setting, list[Choice]]:
    """The setting, and every comparison that led to it."""
    best: dict[str, float | str] = {axis: options[0] for axis, options in axes.items()}
    made: list[Choice] = [Choice(dict(best), mean_over(samples(best))[0], 0.0, 0.0, 0.0, True)]
    for _ in range(_ROUNDS):
        before = dict(best)
        for axis, options in axes.items():
            tried = [{**best, axis: option} for option in options if option != best[axis]]
            led = [(one, mean_over(leads(samples(one), samples(best)))) for one in tried]
            taken = max(led, key=lambda pair: pair[1][0], default=None)
            better = taken is not None and taken[1][0] > _errors(taken[1])
            for one, (lead, low, high) in led:
                chosen = better and taken is not None and one is taken[0]
                made.append(Choice(one, mean_over(samples(one))[0], lead, low, high, chosen))
            if better and taken is not None:
                best = taken[0]
        if best == before:
            break
    return best, made


def leads(ours: Sequence[Sample], theirs: Sequence[Sample]) -> list[Sample]:
    """Differences question by question."""
    return [
        Sample([a - b for a, b in zip(one.values, other.values, strict=True)], one.groups)
        for one, other in zip(ours, theirs, strict=True)
    ]


def _errors(found: tuple[float, float, float]) -> float:
    """A standard error, from the width of the 95 % interval."""
    _, low, high = found
    return (high - low) / (2 * _Z)


def main(embedder: Embedder) -> None:
    """Choose, print every comparison and keep the choice for the results."""
    with ExitStack() as stack:
        chooser = Chooser(embedder, stack)
        setting, made = choose(chooser.samples, AXES)
        scores = dict(zip(CHOOSING, chooser.samples(setting), strict=True))
    for one in made:
        options = ", ".join(f"{axis} {option}" for axis, option in one.setting.items())
        print(
            f"{one.mean:.4f}  {one.lead:+.4f} [{one.low:+.4f}, {one.high:+.4f}]  {'taken' if one.taken else '-----'}  {options}"
        )
    figures: dict[str, Figure] = {f"chosen_{axis}": option for axis, option in setting.items()}
    figures |= {f"choosing_{name}_{CHOOSING[name][1]}": sum(one.values) / len(one.values) for name, one in scores.items()}
    figures |= {"choosing_mean_before": made[0].mean, "choosing_mean_after": mean_over(list(scores.values()))[0]}
    CHOSEN.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
