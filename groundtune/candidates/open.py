"""Opens what the candidates of a workspace share, and finds weights that were made before. Reads state, decides nothing."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from groundtune.access.audience import from_json, to_json
from groundtune.access.learned import refuse_withdrawn
from groundtune.access.register import AccessRegister
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.candidates.workshop import Weights, Workshop
from groundtune.dataset.check import audience_of_example
from groundtune.dataset.kept import load_dataset
from groundtune.errors import NotFound, WorkspaceError
from groundtune.ingest.reading import document_name
from groundtune.interfaces import Embedder
from groundtune.models import load_embedder, load_reranker
from groundtune.scoring.settings import Settings
from groundtune.store import lineage
from groundtune.store.datasets import dataset_name
from groundtune.store.stages import digest
from groundtune.store.tables import lineage as lineage_table
from groundtune.store.tables import runs
from groundtune.store.tables import weights as weights_table
from groundtune.store.workspace import Workspace
from groundtune.training.trainer import ABOUT, load_result
from groundtune.types import LOCAL, Answer, Example

logger = logging.getLogger(__name__)


def open_workshop(
    workspace: Workspace, *, embedder: Embedder | None = None, examples: Sequence[Example] = (), labels: Sequence[str] = ()
) -> Workshop:
    """What a workspace's candidates share; no retriever without documents. `examples` bring located evidence."""
    config = workspace.config
    embedder = embedder or load_embedder(config.embedder)
    reranker = load_reranker(config.retrieval.reranker) if config.documents and config.retrieval.reranker else None
    register = AccessRegister(workspace.database)
    return Workshop(
        database=workspace.database,
        embedder=embedder,
        retriever=WorkspaceRetriever(workspace, embedder=embedder, reranker=reranker) if config.documents else None,
        audience_of=lambda example: audience_of_example(example, register.audience),
        evidence={
            example.id: [(evidence.document, start, end) for evidence in example.evidence for start, end in evidence.spans]
            for example in examples
        },
        asked_by=config.access.asked_by,
        trained_for=(LOCAL,) if config.access.single else config.training.audience,
        labels=tuple(labels),
        questions=frozenset(example.question for example in examples),
        metric=config.metric,
        scoring=scoring_settings(workspace),
        reranker=reranker,
        follow_up=config.retrieval.follow_up,
        dataset=partial(load_dataset, workspace),
        folder=workspace.root,
    )


def scoring_settings(workspace: Workspace) -> Settings:
    """What the metrics need, with paths below the workspace."""
    chosen = workspace.config.scoring
    return Settings(
        database=workspace.root / chosen.database if chosen.database else None,
        json_schema=workspace.root / chosen.json_schema if chosen.json_schema else None,
    )


def weights_folder(workspace: Workspace) -> Path:
    return workspace.state / "weights"


def weights_name(id: str) -> str:
    """What the lineage calls weights."""
    return f"weights:{id}"


def decision_name(run: str) -> str:
    """What the lineage calls a decision."""
    return f"decision:{run}"


def answer_name(id: str) -> str:
    """What the lineage calls an answer of `ask`."""
    return f"answer:{id}"


def remember_weights(workspace: Workspace, made: Weights) -> None:
    """Register weights with their audience, and their lineage: weights <- documents whose text or answers they learned,
    <- dataset, <- weights that were tuned further, which are registered too.

    Raises Withdrawn when one of the documents went, or narrowed, while they were trained.
    """
    if made.start is not None:
        remember_weights(workspace, made.start)
    row = {
        "id": made.id,
        "path": made.adapter.relative_to(workspace.state).as_posix(),
        "audience": to_json(made.audience),
        "status": "ready",
        "created": time.time(),
    }
    with workspace.database.begin() as connection:
        refuse_withdrawn(connection, f"weights:{made.id}")
        workspace.database.insert_new(connection, weights_table, [row])
    lineage.record(
        workspace.database,
        child=weights_name(made.id),
        parents=[document_name(name) for name in made.documents],
        relation="tuned on",
    )
    for relation, parent in (
        ("tuned on", dataset_name(made.dataset) if made.dataset else ""),
        ("tuned further from", weights_name(made.start.id) if made.start else ""),
    ):
        if parent:
            lineage.record(workspace.database, child=weights_name(made.id), parents=[parent], relation=relation)


def remember_answer(workspace: Workspace, answer: Answer, *, weights: str = "") -> Answer:
    """The answer with an id, and its lineage: answer <- documents it was shown, answer <- weights. No text is kept.

    One that came out of nothing stored keeps no id. An answer does not fail because the workspace cannot be written to: it is
    given without an id then.
    """
    parents = [(document_name(name), f"shown {span}") for name, _, span in (one.rpartition("#") for one in answer.context)]
    parents += [(weights_name(weights), "answered with")] if weights and not answer.abstained else []
    if not parents:
        return answer
    id = uuid.uuid4().hex[:16]
    rows = [{"child": answer_name(id), "parent": parent, "relation": relation} for parent, relation in parents]
    try:
        with workspace.database.begin() as connection:
            workspace.database.insert_new(connection, lineage_table, rows)
    except WorkspaceError as error:
        logger.warning("the lineage of this answer is not kept: %s", error)
        return answer
    return replace(answer, id=id)


def find_weights(workspace: Workspace, identity: str) -> Weights:
    """Registered weights. Raises Withdrawn, or NotFound when they are unknown or gone from the disk."""
    with workspace.database.connect() as connection:
        refuse_withdrawn(connection, f"weights:{identity}")
        row = connection.execute(select(weights_table).where(weights_table.c.id == identity)).mappings().first()
    if row is None or not (workspace.state / row["path"] / ABOUT).exists():
        raise NotFound("these weights are not there.", subject=identity, remedy="Run: groundtune train")
    folder = workspace.state / row["path"]
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        return Weights(
            id=identity,
            adapter=folder,
            audience=from_json(row["audience"]),
            documents=tuple(about["documents"]),
            pairs=len(about["examples"]),
            unreadable=(),
            without_gold=(),
            result=load_result(folder),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise NotFound("these weights are damaged on disk.", subject=str(folder), remedy="Run: groundtune train") from error


def remember_run(
    workspace: Workspace, *, verb: str, content: Mapping[str, Any], run: str = "", seconds: float | None = None
) -> str:
    """Write a finished run with what it left; returns its id."""
    with workspace.database.begin() as connection:
        if not run:
            done = connection.scalar(select(func.count()).select_from(runs).where(runs.c.verb == verb)) or 0
            run = f"{verb.replace(' ', '-')}-{done + 1:04d}"
        row = {
            "id": run,
            "verb": verb,
            "status": "done",
            "config": digest(workspace.config.model_dump(mode="json")),
            "artefact": workspace.artefacts.put_json(content),
            "created": time.time(),
            "seconds": seconds,
        }
        connection.execute(insert(runs).values(row))
    return run


def newest(workspace: Workspace, *, verb: str, run: str | None = None) -> Any:
    """What a finished run left, by default the newest of its verb; None when there is none.

    Runs are numbered, and the newest is the one with the highest number, whatever the clock said.
    Raises NotFound when what it left is lost.
    """
    chosen = select(runs.c.artefact).where(runs.c.verb == verb, runs.c.status == "done")
    chosen = chosen.where(runs.c.id == run) if run else chosen.order_by(func.length(runs.c.id).desc(), runs.c.id.desc())
    with workspace.database.connect() as connection:
        artefact = connection.scalar(chosen.limit(1))
    try:
        return None if artefact is None else workspace.artefacts.get_json(artefact)
    except NotFound as error:
        what = "what this run left is lost or damaged on disk."
        raise NotFound(what, subject=run or f"newest {verb}", remedy=f"Run: groundtune {verb}") from error
