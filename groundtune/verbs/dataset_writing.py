"""build_dataset: a model writes examples from a workspace's documents, and those that pass are written to a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundtune.access.audience import may_read
from groundtune.access.register import AccessRegister
from groundtune.dataset.build import (
    Passage,
    Proposal,
    Wish,
    choose,
    known_by_heart,
    prompt_of,
    proposal_of,
    replies,
    statement,
    wishes,
)
from groundtune.dataset.read import read_questions, write_questions
from groundtune.decision.setup import documents_with_text
from groundtune.errors import UsageError
from groundtune.ingest.embedding import chunks_of
from groundtune.ingest.reading import document_name, stored_document
from groundtune.interfaces import LanguageModel, Progress
from groundtune.models import load_embedder, load_model
from groundtune.prompting.templates import render
from groundtune.store.workspace import Workspace
from groundtune.types import NOT_IN_DOCUMENTS, Caller, Message
from groundtune.verbs.dataset_sources import Policy, Texts, users_named


@dataclass(frozen=True, slots=True)
class DatasetBuild:
    """Examples that a model wrote from the documents."""

    out: Path
    asked: int
    """Passages that the model was shown."""
    written: int
    kinds: dict[str, int]
    rejected: dict[str, int]
    """Reason -> passages, the most frequent first."""
    statement: str
    """What that says about the model as a writer."""


def build_dataset(
    root: Path | str = ".",
    *,
    out: Path | str,
    count: int = 50,
    model: str | None = None,
    unanswerable: float = 0.15,
    users: Sequence[str] = (),
    tries: int = 4,
    seed: int = 0,
    progress: Progress | None = None,
) -> DatasetBuild:
    """Have a model write question-answer-evidence examples from the synced documents, and write those that pass to `out`.

    Only documents that every user may read and that `dataset.documents` lets be trained on are shown to it; at most `tries`
    passages an example. None asks nearly what `questions` asks. Raises UsageError when `out` exists, or without passages.
    """
    out = Path(out)
    if out.exists():
        raise UsageError("is there already.", subject=str(out), remedy="Name another file; nothing is overwritten.")
    with Workspace.open(root) as workspace, workspace.lock():
        passages = _passages(workspace, users or users_named(workspace))
        writer = load_model(model or workspace.config.model)
        existing = read_questions(workspace.questions).examples if workspace.questions.exists() else ()
        rounds = wishes(passages, count=count * tries, unanswerable=unanswerable, seed=seed)
        texts, proposals, chosen, made = Texts(workspace), list[Proposal](), list[Proposal](), 0
        for start in range(0, len(rounds), count):
            proposals += _written(workspace, writer, rounds[start : start + count], texts, progress)
            chosen = choose(proposals, existing=existing, passages=passages)
            made = sum(one.example is not None for one in chosen)
            if made >= count:
                break
        examples = [one.example for one in chosen if one.example is not None][:count]
        write_questions(out, examples)
        rejected = Counter(one.reason for one in chosen if one.reason)
        return DatasetBuild(
            out=out,
            asked=len(proposals),
            written=len(examples),
            kinds=dict(Counter(example.kind for example in examples)),
            rejected=dict(rejected.most_common()),
            statement=statement(writer.name, asked=len(proposals), written=made, reasons=rejected),
        )


def _passages(workspace: Workspace, users: Sequence[str]) -> list[Passage]:
    """Chunks of the documents that all users may read and that may be trained on."""
    if not workspace.config.documents:
        raise UsageError(
            "this workspace has no documents.", subject=str(workspace.root), remedy="Set documents in groundtune.toml."
        )
    register, policy = AccessRegister(workspace.database), Policy(workspace, ())
    embedder = load_embedder(workspace.config.embedder)
    found: list[Passage] = []
    barred: list[str] = []
    for name, entry in sorted(documents_with_text(workspace).items()):
        audience = register.audience(name)
        if not users or not all(may_read(audience, Caller.of(user)) for user in users):
            barred.append(f"{name} may not be read by all of: {', '.join(users) or '(nobody is named)'}")
        elif why := policy.document(name):
            barred.append(why)
        else:
            document = stored_document(workspace, entry)
            found += [Passage(chunk, document.title) for chunk in chunks_of(document, workspace=workspace, embedder=embedder)]
    if not found:
        raise UsageError(
            f"there is no passage to write about: {barred[0] if barred else 'no document was read yet'}.",
            subject=str(workspace.root),
            remedy="Say in [[dataset.documents]] what may be trained on, and with --for or training.audience for whom."
            if barred
            else "Run: groundtune sync",
        )
    return found


def _written(
    workspace: Workspace, writer: LanguageModel, asked: Sequence[Wish], texts: Texts, progress: Progress | None
) -> list[Proposal]:
    """What the model writes for these wishes, and what it knows of them without the document."""
    batch = workspace.config.decision.batch_size
    documents = sorted({document_name(wish.passage.chunk.document) for wish in asked})

    def said(stage: str, conversations: Mapping[str, tuple[Message, ...]], longest: int) -> dict[str, str]:
        return replies(
            writer,
            conversations,
            stages=workspace.stages,
            stage=stage,
            max_new_tokens=longest,
            batch_size=batch,
            parents=documents,
            progress=progress,
        )

    written = said("write examples", {wish.id: prompt_of(wish) for wish in asked}, _REPLY)
    proposals = [
        proposal_of(wish, written[wish.id], text=texts.text(wish.passage.chunk.document) or wish.passage.chunk.text)
        for wish in asked
    ]
    unsure = {one.wish.id: one.example for one in proposals if one.example is not None and one.example.answers}
    closed = {
        id: (Message("user", render("answer", instruction="", sources=(), unknown=NOT_IN_DOCUMENTS, question=one.question)),)
        for id, one in unsure.items()
    }
    known = said("answer without the document", closed, _ANSWER) if closed else {}
    return [
        replace(one, example=None, reason="the model knows it without the document")
        if one.wish.id in known and known_by_heart(unsure[one.wish.id], known[one.wish.id])
        else one
        for one in proposals
    ]


_REPLY, _ANSWER = 160, 48
"""Tokens of an example as the model writes it, and of an answer without the document."""
