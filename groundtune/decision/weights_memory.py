"""Whether tuned weights tell what they learned although their context says otherwise. Edits passages; compares nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from groundtune.candidates.build import build
from groundtune.candidates.workshop import Weights, Workshop
from groundtune.decision.aging import Memory
from groundtune.decision.fact_edits import another, tells
from groundtune.decision.given_context import GivenContext, edited_hits
from groundtune.decision.probes import gold_hits
from groundtune.evaluation.evaluate import evaluate
from groundtune.interfaces import Progress
from groundtune.store.stages import Stages
from groundtune.types import Candidate, Example, Hit, Score

ASKED = 64
"""Learned questions that are asked at most, twice each."""
FEWEST = 10
"""With fewer that were answered right there is no share."""


def weights_memory(
    candidate: Candidate,
    *,
    workshop: Workshop,
    weights: Weights,
    learned: Sequence[Example],
    stages: Stages,
    batch_size: int,
    progress: Progress | None = None,
) -> Memory | None:
    """Of learned questions that the candidate answers right from their passage: how many it answers as before once another fact
    stands there. None where nothing is retrieved, or fewer than FEWEST are left.
    """
    if workshop.retriever is None:
        return None
    assistant = build(candidate, workshop=workshop, train_examples=learned, weights=weights)
    names = [example.answers[0] for example in learned if example.answers]
    true: dict[str, Sequence[Hit]] = {}
    wrong: dict[str, Sequence[Hit]] = {}
    values: dict[str, tuple[str, str]] = {}
    asked: list[Example] = []
    for example in sorted(learned, key=lambda one: hashlib.sha256(one.id.encode()).digest()):
        old = (example.facts or example.answers or ("",))[0]
        new = another(old, key=example.id, names=names)
        hits = gold_hits(example, retriever=workshop.retriever) if new is not None else []
        edited = edited_hits(example, hits, old=old, new=new) if new is not None else None
        if new is not None and edited is not None and len(asked) < ASKED:
            true[example.id], wrong[example.id], values[example.id] = hits, edited, (old, new)
            asked.append(example)

    def answers(hits: dict[str, Sequence[Hit]]) -> list[Score]:
        probe = GivenContext(assistant, hits)
        return evaluate(
            probe,
            asked,
            candidate=candidate.name,
            metrics=("contains",),
            stages=stages,
            key=probe.fingerprint,
            batch_size=batch_size,
            progress=progress,
        )

    known = {score.item for score in answers(true) if _tells_first(score, *values[score.item])}
    if len(known) < FEWEST:
        return None
    stale = [score for score in answers(wrong) if score.item in known and _tells_first(score, *values[score.item])]
    return Memory(len(known), len(stale))


def _tells_first(score: Score, first: str, second: str) -> bool:
    return not score.abstained and tells(score.answer, first) and not tells(score.answer, second)
