"""The five standard candidates: one recipe with fields present or absent. Reads the configuration, builds nothing."""

from __future__ import annotations

from difflib import get_close_matches

from groundtune.config import STANDARD, Config
from groundtune.errors import UsageError
from groundtune.types import Candidate, NearestExamples, RetrievedContext, Tuning


def standard_candidate(name: str, *, config: Config, label_task: bool = False) -> Candidate:
    """The standard candidate of that name with the settings of `config`. Raises UsageError with the nearest name.

    `label_task` takes the template that lists the labels. With retrieval, tuning trains on retrieved context (raft), with as
    many sources as serving shows.
    """
    if name not in STANDARD:
        near = get_close_matches(name, STANDARD, n=1) or list(STANDARD)
        raise UsageError("no such candidate.", subject=name, remedy=f"Did you mean {near[0]}? Known: {', '.join(STANDARD)}.")
    retrieves = name in ("rag", "rag_tuned")
    retrieval = config.retrieval
    retrieved = RetrievedContext(k=retrieval.k, max_tokens=retrieval.max_tokens, min_evidence=retrieval.min_evidence)
    tuning = None
    if name in ("tuned", "rag_tuned"):
        settings = config.training
        tuning = Tuning(
            objective="raft" if retrieves else "sft",
            epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            batch_size=settings.batch_size,
            rank=settings.rank,
            alpha=settings.alpha,
            max_length=settings.max_length,
            distractors=config.retrieval.k - 1,
            gold_share=settings.gold_share,
            unanswerable_share=settings.unanswerable_share,
        )
    return Candidate(
        name=name,
        model=config.model,
        prompt="label" if label_task else "answer",
        instruction=config.instruction,
        examples=NearestExamples(config.examples.k, config.examples.choice) if name == "few_shot" else None,
        context=retrieved if retrieves else None,
        tuning=tuning,
        max_new_tokens=config.decision.max_new_tokens,
    )
