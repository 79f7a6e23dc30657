"""From a candidate to an assistant, and from training examples to weights. It wires rooms together and measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from groundtune.access.audience import conjoin, may_read
from groundtune.access.learned import UsersNow, enter
from groundtune.answer.assistant import Assistant, DocumentRetriever
from groundtune.answer.external import ExternalAssistant
from groundtune.answer.follow_up import rewriting
from groundtune.answer.neighbours import Neighbours
from groundtune.answer.prompts import conversation_tokens, pack, render_prompt
from groundtune.candidates.gathered import learnable
from groundtune.candidates.workshop import Weights, Workshop
from groundtune.dataset.check import asked_by
from groundtune.dataset.preferences import read_preferences
from groundtune.errors import DataError
from groundtune.interfaces import Progress
from groundtune.prompting import templates
from groundtune.store.database import Database
from groundtune.store.stages import digest
from groundtune.training.data import (
    Pairs,
    domain_pairs,
    folded,
    pairs_digest,
    raft_pairs,
    rated_pairs,
    sft_pairs,
    with_examples,
)
from groundtune.training.rates import settled
from groundtune.training.rewards import reward_of
from groundtune.training.rows import ENOUGH
from groundtune.training.sweep import sweep_rates
from groundtune.training.trainer import train
from groundtune.types import Caller, Candidate, Example, External, Hit, Message, Tuning, WholeDocuments

Answerer = Assistant | ExternalAssistant
"""A built candidate."""


def training_pairs(candidate: Candidate, *, workshop: Workshop, train_examples: Sequence[Example], seed: int) -> Pairs:
    """What `candidate` would be trained on: the prompts that it will see in service, answered.

    Raises DataError when no example is readable by all the users that the operator named.
    """
    tuning = candidate.tuning
    if tuning is None:
        raise DataError("it is not tuned, so there is nothing to train.", subject=candidate.name)
    if isinstance(candidate.context, WholeDocuments):
        raise DataError("tuning on whole documents is not built.", subject=candidate.name, remedy="Use retrieved context.")
    users = [Caller.of(principal) for principal in workshop.trained_for]
    given = learnable(tuning, workshop=workshop, train_examples=train_examples)

    def render(example: Example, hits: Sequence[Hit]) -> tuple[Message, ...]:
        return render_prompt(candidate, example.question, hits=hits, history=example.history, labels=workshop.labels)

    context = candidate.context
    if tuning.objective == "domain":
        pairs = domain_pairs(_documents(candidate, workshop), users=users)
    elif tuning.objective in ("dpo", "kto"):
        learned = {folded(example.question) for example in given.examples}
        pairs = rated_pairs(
            read_preferences((workshop.folder or Path()) / tuning.data, pairs=tuning.objective == "dpo"),
            users=users,
            audience_of=lambda example: workshop.audience_of(asked_by(example, workshop.asked_by)),
            render=render,
            withheld={folded(question) for question in workshop.questions} - learned,
        )
    elif tuning.objective in ("sft", "grpo") or context is None:
        pairs = sft_pairs(given.examples, users=users, audience_of=given.audience_of, render=render)
        pairs = with_examples(pairs, given.examples) if tuning.objective == "grpo" else pairs
    else:
        count_tokens = workshop.model(candidate.model).count_tokens
        pairs = raft_pairs(
            given.examples,
            retriever=_documents(candidate, workshop),
            users=users,
            audience_of=given.audience_of,
            evidence=given.evidence,
            render=render,
            tuning=tuning,
            k=context.k,
            seed=seed,
            query=rewriting(workshop.follow_up, model=workshop.model(candidate.model)),
            pack=lambda hits: pack(hits, count_tokens=count_tokens, max_tokens=context.max_tokens),
            count=lambda messages, answer: conversation_tokens(
                [*messages, Message("assistant", answer)], count_tokens=count_tokens
            ),
        )
    if _scores_epochs(tuning):
        pairs = with_examples(pairs, given.examples)
        if len(pairs.pairs) < ENOUGH:
            few = f"{len(pairs.pairs)} pairs are too few to hold some out: epochs and learning rates are not compared."
            pairs = replace(pairs, problems=(few,))
    if given.dataset:
        pairs = replace(pairs, withheld=given.withheld, dataset=given.dataset)
    if not pairs.pairs:
        counted = {"domain": "documents", "dpo": "preferences", "kto": "preferences"}
        what = counted.get(tuning.objective, f"{len(given.examples)} training examples")
        raise DataError(
            f"none of the {what} may be read by all of: {', '.join(workshop.trained_for)}.",
            subject=candidate.name,
            remedy="Name in training.audience who will use the tuned model, or widen the [access] rules.",
        )
    return _with_warning(pairs) if tuning.objective in ("sft", "raft", "grpo") else pairs


def _with_warning(pairs: Pairs) -> Pairs:
    """Where there is one answer only, that is said: it is no fault of the data of a small fold, and no choice to learn."""
    answers = {pair.answer for pair in pairs.pairs}
    if len(pairs.pairs) < 2 or len(answers) > 1:
        return pairs
    only = f"all {len(pairs.pairs)} answers are {answers.pop()!r}; the weights will give it to every question."
    return replace(pairs, problems=(*pairs.problems, only))


def _documents(candidate: Candidate, workshop: Workshop) -> DocumentRetriever:
    if workshop.retriever is None:
        raise DataError("it learns from documents, and there are none.", subject=candidate.name, remedy="Add documents.")
    return workshop.retriever


def tune(
    candidate: Candidate,
    *,
    workshop: Workshop,
    train_examples: Sequence[Example],
    folder: Path,
    seed: int,
    progress: Progress | None = None,
) -> Weights:
    """The weights of `candidate` in `folder/<id>`; made once, continued where an earlier call was interrupted."""
    pairs = training_pairs(candidate, workshop=workshop, train_examples=train_examples, seed=seed)
    tuning = settled(candidate.tuning or Tuning())
    base = workshop.model(candidate.model)
    start = None
    if tuning.start is not None:
        start = tune(
            tuning.start, workshop=workshop, train_examples=train_examples, folder=folder, seed=seed, progress=progress
        )
    metrics = tuning.rewards or (((workshop.metric, 1.0),) if _scores_epochs(tuning) else ())
    reward = reward_of(metrics, settings=workshop.scoring) if metrics else None
    made_of = {"base": base.fingerprint, "pairs": pairs_digest(pairs.pairs), "tuning": asdict(tuning), "seed": seed}
    made_of |= {"start": start.result.digest} if start else {}
    made_of |= {"reward": reward.identity} if reward else {}
    identity = digest(made_of)[:16]
    audience = conjoin([pairs.audience, start.audience]) if start else pairs.audience
    learned = {document for pair in pairs.pairs for document in pair.documents} | set(start.documents if start else ())
    documents = tuple(sorted(learned))
    with workshop.database.begin() as connection:
        enter(workshop.database, connection, f"weights:{identity}", audience=audience, documents=documents)
    given: dict[str, Any] = {"seed": seed, "progress": progress, "reward": reward, "start": start.adapter if start else None}
    if tuning.sweep_minutes:
        rate, given["sweep"] = sweep_rates(candidate.model, pairs.pairs, tuning, out=folder / f"{identity}-rates", **given)
        tuning = replace(tuning, learning_rate=rate, sweep_minutes=0.0)
    result = train(candidate.model, pairs.pairs, tuning, out=folder / identity, dataset=pairs.dataset, **given)
    return Weights(
        id=identity,
        adapter=result.adapter,
        audience=audience,
        documents=documents,
        pairs=len(pairs.pairs),
        unreadable=pairs.unreadable,
        without_gold=pairs.without_gold,
        result=result,
        withheld=pairs.withheld,
        dataset=pairs.dataset,
        problems=pairs.problems,
        start=start,
    )


def _scores_epochs(tuning: Tuning) -> bool:
    return tuning.early_stop or bool(tuning.sweep_minutes)


def build_external(candidate: Candidate, external: External, *, workshop: Workshop) -> ExternalAssistant:
    """What already runs, in the shape of an assistant. Raises UsageError and NotFound when it cannot be reached at all."""
    fingerprint = {
        "external": {"kind": external.kind, "target": list(external.target), "version": external.version},
        "retriever": workshop.retriever.fingerprint if workshop.retriever else None,  # what its citations are checked against
    }
    transport = workshop.transport(candidate, external)
    return ExternalAssistant(candidate, transport=transport, retriever=workshop.retriever, fingerprint=fingerprint)


def build_any(
    candidate: Candidate, *, workshop: Workshop, train_examples: Sequence[Example], weights: Weights | None = None
) -> Answerer:
    """The assistant of `candidate`, whether it is built here or runs already."""
    if candidate.external is not None:
        return build_external(candidate, candidate.external, workshop=workshop)
    return build(candidate, workshop=workshop, train_examples=train_examples, weights=weights)


def build(
    candidate: Candidate, *, workshop: Workshop, train_examples: Sequence[Example], weights: Weights | None = None
) -> Assistant:
    """The assistant of `candidate`. `train_examples` feed few-shot only; `weights` must be given exactly when it is tuned."""
    if (candidate.tuning is None) != (weights is None):
        raise DataError("tuned candidates are built with weights, others without.", subject=candidate.name)
    model = workshop.model(candidate.model, weights.adapter if weights else None)
    neighbours = None
    if candidate.examples is not None:
        neighbours = neighbours_of(workshop, train_examples)
    fingerprint = {
        "candidate": {key: value for key, value in asdict(candidate).items() if key not in ("name", "external")},
        "model": model.fingerprint,
        "template": templates.load(candidate.prompt).digest,
        "retriever": workshop.retriever.fingerprint if candidate.context and workshop.retriever else None,
        "examples": digest([asdict(example) for example in train_examples]) if neighbours else None,
        "embedder": workshop.embedder.fingerprint if neighbours else None,
        "labels": list(workshop.labels),
        "weights_audience": weights.id if weights else None,
    }
    return Assistant(
        candidate,
        model=model,
        retriever=workshop.retriever if candidate.context else None,
        neighbours=neighbours,
        labels=workshop.labels,
        audience=users_of(weights, workshop.database) if weights else None,
        rewrite=rewriting(workshop.follow_up, model=model),
        fingerprint=fingerprint,
    )


def neighbours_of(workshop: Workshop, examples: Sequence[Example]) -> Neighbours:
    """The examples to choose nearest ones from, each shown to those only who may read it at that time."""
    return Neighbours(
        examples,
        embedder=workshop.embedder,
        readable=lambda example, principals: may_read(workshop.audience_of(example), Caller(principals)),
    )


def users_of(weights: Weights, database: Database) -> UsersNow:
    """Who may use the weights, asked anew at each call. Raises Withdrawn."""
    return UsersNow(database, f"weights:{weights.id}", audience=weights.audience, documents=weights.documents)
