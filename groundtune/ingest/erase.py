"""Takes documents, and what came out of them, off the disk for good. Knows lineage and tables; knows no candidate by name."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select

from groundtune.access.learned import withdraw_erased
from groundtune.access.register import AccessRegister
from groundtune.errors import NotFound, UsageError
from groundtune.index.versions import IndexVersions
from groundtune.ingest.reading import document_name
from groundtune.ingest.scrub import scrub_runs
from groundtune.ingest.sync import rebuild
from groundtune.interfaces import Embedder
from groundtune.models import served
from groundtune.store import datasets, lineage
from groundtune.store.tables import documents, runs, stages, weights
from groundtune.store.workspace import Workspace
from groundtune.types import NOBODY

_OF_ONE_DOCUMENT = ("parse", "context", "embed")
"""Stages whose results hold the content of the documents that they came out of, and of nothing else."""
_IN = 500  # values in one IN list; engines limit it


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was taken off the disk."""

    documents: tuple[str, ...]
    parses: int
    vectors: int
    """Batches of vectors and of written contexts."""
    answers: int
    """Batches of stored answers: all of them, as it cannot be told which ones a document shaped."""
    scores: int
    """Lines of kept scores that named one of them, came from withdrawn weights, or belong to `items`; reports keep their
    figures, which cannot be computed again then."""
    reports: tuple[str, ...]
    """Runs and files whose text named one of them."""
    weights: tuple[str, ...]
    """Trained on one of them: withdrawn, and their files and checkpoints removed."""
    datasets: tuple[str, ...] = ()
    """Gathered from one of them: withdrawn, and their manifests and examples removed."""
    remaining: tuple[str, ...] = ()
    """What is not Groundtune's to remove and still quotes one of them."""


@dataclass(frozen=True, slots=True)
class Compaction:
    """What no current document needs, taken off the disk."""

    results: int
    """Stored parses, contexts and vectors of documents or settings that are gone."""
    orphans: int
    """Files that nothing named."""
    chunks: int
    """In the index, which was built anew."""
    weights: int = 0
    """Withdrawn ones whose files were removed."""


def erase(workspace: Workspace, names: Sequence[str], *, embedder: Embedder, items: Collection[str] = ()) -> Erasure:
    """Remove documents that are no longer in the folder, and walk the lineage: parses, vectors, index, stored answers, scores,
    reports, weights and checkpoints. Interrupted, it is completed by being called again.

    First nobody may read them; then the index is built anew without them; then the files go. `items` are ids of questions that
    have one of them as evidence. Raises UsageError for one whose file still lies in the folder (the next sync would read it
    again), NotFound for one that is not known.
    """
    names = sorted(set(names))
    with workspace.lock():
        _check(workspace, names)
        _forget_rows(workspace, names)
        _rebuilt(workspace, embedder)
        withdrawn, gathered = _withdraw(workspace, names)
        own = {stage: _only_of(workspace, names, stage) for stage in _OF_ONE_DOCUMENT}
        answers = _answers(workspace)
        workspace.stages.drop([*answers, *(artefact for found in own.values() for artefact in found)])
        scores, files = scrub_runs(workspace, names, withdrawn, items)
        named = {document_name(name) for name in names}
        made = {f"weights:{id}" for id in withdrawn} | {datasets.dataset_name(id) for id in gathered}
        lineage.forget(workspace.database, named | answers | made | set().union(*own.values()))
        workspace.database.compact()
    return Erasure(
        documents=tuple(names),
        parses=len(own["parse"]),
        vectors=len(own["embed"]) + len(own["context"]),
        answers=len(answers),
        scores=scores,
        reports=files,
        weights=withdrawn,
        datasets=gathered,
    )


def compact(workspace: Workspace, *, embedder: Embedder) -> Compaction:
    """Remove stored parses, contexts and vectors that no current document came to, and all that was withdrawn; build the index
    anew.

    What `sync` keeps so that text which comes back need not be read again is gone afterwards.
    """
    with workspace.lock():
        with workspace.database.connect() as connection:
            current = set(connection.scalars(select(documents.c.artefact).where(documents.c.artefact != "")))
            stored = dict(
                connection.execute(select(stages.c.artefact, stages.c.stage).where(stages.c.stage.in_(_OF_ONE_DOCUMENT))).all()
            )
        kept = set(current)
        for parse in current:
            kept |= lineage.descendants(workspace.database, parse)
        for name in _living(workspace):  # lasting failures, so that they are not read again
            kept |= {one for one in lineage.descendants(workspace.database, document_name(name)) if _is_failure(workspace, one)}
        dropped = stored.keys() - kept
        workspace.stages.drop(dropped)
        lineage.forget(workspace.database, dropped)
        withdrawn = _remove_weights(_weights_folders(workspace, status="withdrawn"))
        orphans = _orphans(workspace)
        for orphan in orphans:
            workspace.artefacts.remove(orphan)
        chunks = _rebuilt(workspace, embedder)
        workspace.database.compact()
    return Compaction(results=len(dropped), orphans=len(orphans), chunks=chunks, weights=withdrawn)


# --- steps --------------------------------------------------------------------------------------------------------------


def _check(workspace: Workspace, names: Sequence[str]) -> None:
    known = _living(workspace)
    for name in names:
        if workspace.config.documents and (workspace.documents / name).exists():
            raise UsageError(
                "its file is still in the documents folder, so the next sync would read it again.",
                subject=name,
                remedy="Remove the file first.",
            )
        if name not in known and not lineage.descendants(workspace.database, document_name(name)):
            raise NotFound("there is no such document, nor anything that came out of it.", subject=name)


def _living(workspace: Workspace) -> set[str]:
    with workspace.database.connect() as connection:
        return set(connection.scalars(select(documents.c.id)))


def _forget_rows(workspace: Workspace, names: Sequence[str]) -> None:
    AccessRegister(workspace.database).assign(dict.fromkeys(_living(workspace) & set(names), NOBODY), deleted=names)
    with workspace.database.begin() as connection:
        for start in range(0, len(names), _IN):
            connection.execute(delete(documents).where(documents.c.id.in_(names[start : start + _IN])))


def _rebuilt(workspace: Workspace, embedder: Embedder) -> int:
    if not IndexVersions(workspace.state / "index", database=workspace.database).current():
        return 0
    return rebuild(workspace, embedder=embedder)


def _only_of(workspace: Workspace, names: Sequence[str], stage: str) -> set[str]:
    """Results of a stage that came out of these documents and of no other."""
    named = {document_name(name) for name in names}
    found = set().union(*(lineage.descendants(workspace.database, name) for name in named))
    with workspace.database.connect() as connection:
        of_stage = set(connection.scalars(select(stages.c.artefact).where(stages.c.stage == stage)))
    if stage == "parse":  # one that more passwords may complete has no row there
        of_stage |= {one for one in found if lineage.ancestors(workspace.database, one) <= named}
    return {
        one
        for one in found & of_stage
        if not any(
            parent.startswith(document_name("")) and parent not in named
            for parent in lineage.ancestors(workspace.database, one)
        )
    }


def _answers(workspace: Workspace) -> set[str]:
    """All other stored results: evidence stands in prompts and weights remember, so it cannot be told which ones it shaped."""
    with workspace.database.connect() as connection:
        return set(connection.scalars(select(stages.c.artefact).where(stages.c.stage.not_in(_OF_ONE_DOCUMENT))))


def _withdraw(workspace: Workspace, names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Withdraw weights and datasets that hold one of the documents, and remove them, with trainings that did not end: of some
    of those nobody knows on what. Returns the ids of both."""
    came_out = set().union(*(lineage.descendants(workspace.database, document_name(name)) for name in names))
    made = {one for one in came_out if one.startswith(("weights:", "dataset:"))}
    found = withdraw_erased(workspace.database, names, made_of=made)
    gathered = tuple(one.removeprefix("dataset:") for one in found if one.startswith("dataset:"))
    datasets.remove(workspace.database, workspace.artefacts, gathered)
    with workspace.database.connect() as connection:
        kept = {
            workspace.state / path for path in connection.scalars(select(weights.c.path).where(weights.c.status == "ready"))
        }
    for folder in (workspace.state / "weights").glob("*"):
        if folder not in kept:
            served.forget(folder)
            shutil.rmtree(folder)
    return tuple(one.removeprefix("weights:") for one in found if one.startswith("weights:")), gathered


def _weights_folders(workspace: Workspace, *, status: str) -> set[Path]:
    with workspace.database.connect() as connection:
        return {workspace.state / path for path in connection.scalars(select(weights.c.path).where(weights.c.status == status))}


def _remove_weights(folders: Iterable[Path]) -> int:
    """Remove what lies there, also in the form in which it was served; returns how many there were."""
    found = [folder for folder in folders if folder.is_dir()]
    for folder in found:
        served.forget(folder)
        shutil.rmtree(folder)
    return len(found)


def _orphans(workspace: Workspace) -> list[str]:
    """Stored files that no row names: left by a run that was cut off."""
    with workspace.database.connect() as connection:
        named = {artefact for table in (stages, documents, runs) for artefact in connection.scalars(select(table.c.artefact))}
    named |= datasets.named(workspace.database)
    return [name for name in workspace.artefacts.names() if name not in named]


def _is_failure(workspace: Workspace, artefact: str) -> bool:
    try:
        content = workspace.artefacts.get_json(artefact)
    except NotFound:
        return False
    return isinstance(content, dict) and content.keys() == {"reason"}
