"""init, sync, show, erase, compact, search, ask: a workspace, its documents, and answers from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.candidates.build import Answerer, build_any
from groundtune.candidates.open import find_weights, newest, open_workshop, remember_answer
from groundtune.candidates.recipes import candidate_named
from groundtune.company import generate, write
from groundtune.config import FILE_NAME, default_config_text, known_names
from groundtune.dataset.read import read_questions
from groundtune.decision.ledger import load_report
from groundtune.decision.report import write_report
from groundtune.errors import NotFound, UsageError
from groundtune.ingest.embedding import chunks_of
from groundtune.ingest.erase import Compaction, Erasure
from groundtune.ingest.erase import compact as compact_workspace
from groundtune.ingest.erase import erase as erase_documents
from groundtune.ingest.sync import SyncReport
from groundtune.ingest.sync import sync as sync_documents
from groundtune.interfaces import Progress
from groundtune.models import load_embedder, load_reranker
from groundtune.store.workspace import Workspace
from groundtune.types import EVERYTHING, LOCAL, Answer, Caller, Chunk, Document, Example, Filter, Hit, Message


@dataclass(frozen=True, slots=True)
class InitResult:
    root: Path
    written: tuple[str, ...]
    """Paths below `root`."""


def init(
    root: Path | str = ".",
    *,
    documents: str = "documents",
    questions: str = "questions.jsonl",
    model: str = "embedded:smollm2",
    demo: bool = False,
    seed: int | None = None,
) -> InitResult:
    """Make `root` a workspace with an explicit, commented configuration.

    With `demo`, the documents and questions of the company generated from `seed` (0 without one) too. Nothing that exists is
    overwritten: UsageError when `root` is a workspace already.
    """
    root = Path(root)
    if seed is not None and not demo:
        raise UsageError("only the demo has a seed.", subject=f"seed = {seed}", remedy="Add --demo, or leave the seed out.")
    if demo:
        written = write(generate(seed or 0), root, model=model)
        Workspace.open(root).close()
        return InitResult(root, written)
    text = default_config_text(documents=documents, questions=questions, model=model)
    Workspace.create(root, config_text=text).close()
    return InitResult(root, (FILE_NAME,))


def sync(root: Path | str = ".", *, progress: Progress | None = None) -> SyncReport:
    """Bring the index up to the documents. See `groundtune.ingest.sync.sync`."""
    with Workspace.open(root) as workspace:
        _require_documents(workspace)
        return sync_documents(workspace, embedder=load_embedder(workspace.config.embedder), progress=progress)


@dataclass(frozen=True, slots=True)
class Shown:
    """A document as it was read."""

    document: Document
    chunks: tuple[Chunk, ...]
    """As `[chunking]` cuts it now."""


def show(document: str, *, root: Path | str = ".", principals: Sequence[str] = ()) -> Shown:
    """What was read of a document, and how it is cut, for a caller with these principals. Raises NotFound."""
    with Workspace.open(root) as workspace:
        _require_documents(workspace)
        embedder = load_embedder(workspace.config.embedder)
        retriever = WorkspaceRetriever(workspace, embedder=embedder)
        found = retriever.document(document, caller=caller_of(workspace, principals))
        return Shown(found, tuple(chunks_of(found, workspace=workspace, embedder=embedder)))


def erase(documents: Sequence[str], *, root: Path | str = ".") -> Erasure:
    """Take documents whose files are gone off the disk with all that came out of them. See `groundtune.ingest.erase.erase`."""
    with Workspace.open(root) as workspace:
        examples = read_questions(workspace.questions).examples if workspace.questions.exists() else ()
        quoting = [one for one in examples if any(evidence.document in documents for evidence in one.evidence)]
        embedder = load_embedder(workspace.config.embedder)
        done = erase_documents(workspace, documents, embedder=embedder, items=[one.id for one in quoting])
        if newest(workspace, verb="decide") is not None:  # it shows passages
            write_report(workspace, load_report(workspace))
        return replace(done, remaining=tuple(one.origin for one in quoting))


def compact(root: Path | str = ".") -> Compaction:
    """Take off the disk what no current document needs. See `groundtune.ingest.erase.compact`."""
    with Workspace.open(root) as workspace:
        _require_documents(workspace)
        return compact_workspace(workspace, embedder=load_embedder(workspace.config.embedder))


def search(
    query: str, *, root: Path | str = ".", principals: Sequence[str] = (), k: int = 5, filter: Filter = EVERYTHING
) -> tuple[Hit, ...]:
    """The k best chunks that a caller with these principals may read, best first; `filter` says in which documents."""
    with Workspace.open(root) as workspace:
        return tuple(open_retriever(workspace).search(query, caller=caller_of(workspace, principals), k=k, filter=filter))


def ask(
    question: str,
    *,
    root: Path | str = ".",
    principals: Sequence[str] = (),
    candidate: str | None = None,
    history: Sequence[Message] = (),
) -> Answer:
    """One answer, with citations, for a caller with these principals.

    Without `candidate` the newest decision's winner answers, else its provisional choice, else `rag`. To ask many questions,
    keep the assistant of `open_assistant`. Raises AccessDenied when the caller may not use the candidate's weights.
    """
    with Workspace.open(root) as workspace:
        assistant = open_assistant(workspace, candidate=candidate)
        answer = assistant.ask(question, caller=caller_of(workspace, principals), history=history)
        return remember_answer(workspace, answer, weights=weights_of(assistant))


def open_retriever(workspace: Workspace) -> WorkspaceRetriever:
    """The retriever that `[retrieval]` describes, ready to be asked again and again while the workspace is open."""
    _require_documents(workspace)
    named = workspace.config.retrieval.reranker
    reranker = load_reranker(named) if named else None
    return WorkspaceRetriever(workspace, embedder=load_embedder(workspace.config.embedder), reranker=reranker)


def open_assistant(workspace: Workspace, *, candidate: str | None = None) -> Answerer:
    """The assistant of a candidate, ready to be asked again and again while the workspace is open."""
    report = newest(workspace, verb="decide")
    name = candidate or _chosen(report) or ("rag" if workspace.config.documents else "few_shot")
    if candidate is None and report is not None and name not in known_names(workspace.config.candidates):
        raise UsageError(
            "the newest decision chose a candidate that groundtune.toml does not hold.",
            subject=name,
            remedy=f"Write [candidates.{name}], or name the candidate that is to answer.",
        )
    recipe = candidate_named(name, config=workspace.config, label_task=workspace.config.metric == "label_accuracy")
    examples: tuple[Example, ...] = ()
    if (recipe.examples is not None or recipe.prompt == "label") and workspace.questions.exists():
        examples = read_questions(workspace.questions).examples
    labels = sorted({example.answers[0] for example in examples if example.answers}) if recipe.prompt == "label" else ()
    workshop = open_workshop(workspace, labels=labels)
    weights = None
    if recipe.tuning is not None:
        weights = find_weights(workspace, chosen_weights(workspace, name, report))
    return build_any(recipe, workshop=workshop, train_examples=examples, weights=weights)


def weights_of(assistant: Answerer) -> str:
    """The id of the weights that an assistant answers with; empty when it is not tuned."""
    return str(assistant.fingerprint.get("weights_audience") or "")


def _chosen(report: Any) -> str | None:
    if report is None:
        return None
    chosen: str | None = report["decision"]["winner"] or report["decision"]["provisional"]
    return chosen


def chosen_weights(workspace: Workspace, name: str, report: Any) -> str:
    """Weights that `train` made from every question, else those that the newest decision measured (its first fold's)."""
    trained = newest(workspace, verb=f"train {name}")
    if trained is not None:
        return str(trained["weights"])
    for candidate in report["candidates"] if report is not None else ():
        if candidate["name"] == name and candidate["weights"]:
            return str(candidate["weights"][0]["id"])
    raise NotFound("it has no weights yet.", subject=name, remedy=f"Run: groundtune train {name}")


def caller_of(workspace: Workspace, principals: Sequence[str]) -> Caller:
    """Without rules everything belongs to `local`, who asks when nobody is named."""
    if not principals and workspace.config.access.single:
        return Caller.of(LOCAL)
    return Caller.of(*principals)


def _require_documents(workspace: Workspace) -> None:
    if not workspace.config.documents:
        raise UsageError(
            "this workspace has no documents.", subject=str(workspace.root), remedy="Set documents in groundtune.toml."
        )
