"""Brings a workspace's index up to its documents. Knows the order of the steps and what is safe when one is cut off."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select

from groundtune.access.policy import Policy
from groundtune.access.register import AccessRegister
from groundtune.errors import UsageError
from groundtune.index.versions import IndexVersions, index_class
from groundtune.ingest.embedding import Embedded, embed, origin_of
from groundtune.ingest.parse import Limits
from groundtune.ingest.reading import Read, limits_of, read_all
from groundtune.interfaces import Embedder, Held, Index, LanguageModel, Progress
from groundtune.models import load_model
from groundtune.sources.files import FileItem, FilesSource
from groundtune.store.tables import documents
from groundtune.store.workspace import Workspace
from groundtune.types import NOBODY, Entry

_COMMIT = 20_000  # chunks that enter the index in one commit


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync found and did."""

    added: int
    changed: int
    removed: int
    unchanged: int
    failed: tuple[tuple[str, str], ...]
    """(document, named reason and detail) of those without text; none of them is searched."""
    partial: tuple[tuple[str, str], ...]
    """(document, what in it could not be read and why) of those that are searched without it."""
    moved: tuple[tuple[str, str], ...]
    """(before, now) of documents that have another name and the same content; counted as removed and added too."""
    unreadable: tuple[str, ...]
    """Documents that nobody may read: no rule matches, or the sidecar is faulty."""
    problems: tuple[tuple[str, str], ...]
    """(document, what is wrong with its sidecar)."""
    documents: int
    """Documents that are searched."""
    chunks: int
    seconds: float


def sync(
    workspace: Workspace, *, embedder: Embedder, progress: Progress | None = None, limits: Limits | None = None
) -> SyncReport:
    """Make the workspace's index hold exactly the documents in its folder, as they are now.

    Only what changed is parsed and embedded. The order keeps every moment safe: who may read is settled first, so that a
    revocation holds even if the rest is cut off; text and vectors are stored as stages; then the database says which text is
    the current one, and the index follows. A run that was cut off is completed by the next.

    Raises NotFound, DataError or WorkspaceError for a folder that is absent, empty or cannot be listed; a document that gives
    no text is reported and does not stop the others.
    """
    started = time.perf_counter()
    show = progress or unseen
    if not workspace.config.documents:
        raise UsageError(
            "the workspace has no documents.",
            subject=str(workspace.root),
            remedy="Name their folder in groundtune.toml: documents.",
        )
    with workspace.lock():
        items = list(FilesSource(workspace.documents).scan())
        before = _rows(workspace)
        gone = sorted(before.keys() - {item.id for item in items})
        unreadable, problems = _settle_access(workspace, items, gone)
        read = read_all(workspace, items, before=before, limits=limits or limits_of(workspace), progress=show)
        writer = load_model(workspace.config.model) if workspace.config.chunking.context == "model" else None
        versions = IndexVersions(workspace.state / "index", database=workspace.database)
        number, index = versions.prepare(_origin(workspace, embedder, writer))
        held = index.held()
        stale = [id for id, one in read.items() if one.ok and _differs(held.get(id), one.row)]
        rows = [read[id].row for id in stale]
        vectors = embed(workspace, rows, embedder=embedder, writer=writer, progress=show)
        _write_rows(workspace, read, gone, before)
        _update_index(index, workspace, read, held, vectors)
        versions.switch(number)
        good = {id: one.row for id, one in read.items() if one.ok}
        known = {id: before[id] for id in good if id in before and before[id]["status"] == "ok"}
        changed = sum(row["artefact"] != good[id]["artefact"] for id, row in known.items())
        return SyncReport(
            added=len(good) - len(known),
            changed=changed,
            removed=len(gone),
            unchanged=len(known) - changed,
            failed=tuple((id, one.row["reason"]) for id, one in read.items() if not one.ok),
            partial=tuple((id, row["reason"]) for id, row in good.items() if row["reason"]),
            moved=_moved(before, gone, good),
            unreadable=tuple(unreadable),
            problems=tuple(problems),
            documents=len(good),
            chunks=index.count(),
            seconds=time.perf_counter() - started,
        )


def rebuild(workspace: Workspace, *, embedder: Embedder, progress: Progress | None = None) -> int:
    """Build the index anew from the stored parses, beside the current one, and switch to it; returns its chunks.

    No file is read and nothing is embedded that is stored. What the old version still held on the disk goes with it. Raises
    NotFound when a stored parse is lost; `sync` makes it again.
    """
    show = progress or unseen
    with workspace.lock():
        rows = [row for row in _rows(workspace).values() if row["status"] == "ok"]
        writer = load_model(workspace.config.model) if workspace.config.chunking.context == "model" else None
        versions = IndexVersions(workspace.state / "index", database=workspace.database)
        number, index = versions.begin(_origin(workspace, embedder, writer))
        vectors = embed(workspace, rows, embedder=embedder, writer=writer, progress=show)
        for part in _portions({row["id"]: entries_of(row, vectors[row["id"]]) for row in rows}):
            index.replace(part)
        index.settle()
        versions.switch(number)
        return index.count()


def unseen(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


# --- steps --------------------------------------------------------------------------------------------------------------


def _settle_access(
    workspace: Workspace, items: Sequence[FileItem], gone: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    policy = Policy.from_config(workspace.config.access)
    rulings = {item.id: policy.ruling(item.id, item.path) for item in items}
    AccessRegister(workspace.database).assign(
        {id: ruling.audience for id, ruling in rulings.items()} | dict.fromkeys(gone, NOBODY), deleted=frozenset(gone)
    )
    unreadable = [id for id, ruling in rulings.items() if not ruling.origin or ruling.problem]
    return unreadable, [(id, ruling.problem) for id, ruling in rulings.items() if ruling.problem]


def _moved(
    before: Mapping[str, Mapping[str, Any]], gone: Sequence[str], good: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[str, str], ...]:
    """Pairs of a document that is gone and one that is new with the same content, each in one pair at most."""
    new: dict[str, list[str]] = {}
    for id in sorted(good.keys() - before.keys(), reverse=True):
        new.setdefault(good[id]["content_hash"], []).append(id)
    left = [id for id in gone if new.get(before[id]["content_hash"])]
    return tuple((id, new[before[id]["content_hash"]].pop()) for id in left if new[before[id]["content_hash"]])


def _write_rows(workspace: Workspace, read: Mapping[str, Read], gone: Sequence[str], before: Mapping[str, Any]) -> None:
    changed = [one.row for id, one in read.items() if not one.row.items() <= before.get(id, {}).items()]
    with workspace.database.begin() as connection:
        workspace.database.upsert(connection, documents, changed)
        for start in range(0, len(gone), 500):
            connection.execute(delete(documents).where(documents.c.id.in_(gone[start : start + 500])))


def _differs(held: Held | None, row: Mapping[str, Any]) -> bool:
    """Whether the index holds another text of the document than the row says, or another time of change."""
    return held is None or (held.revision, held.modified) != (row["artefact"], row["modified"])


def _update_index(
    index: Index,
    workspace: Workspace,
    read: Mapping[str, Read],
    held: Mapping[str, Held],
    vectors: Mapping[str, Sequence[Embedded]],
) -> None:
    audiences = {id: row["audience_id"] for id, row in _rows(workspace).items()}
    changes: dict[str, list[Entry]] = {id: [] for id in held if id not in read or not read[id].ok}
    for id, parts in vectors.items():
        changes[id] = entries_of(read[id].row | {"audience_id": audiences[id]}, parts)
    for part in _portions(changes):
        index.replace(part)
    index.assign({id: audiences[id] for id in held if id not in changes and held[id].audience != audiences[id]})
    index.settle()


def entries_of(row: Mapping[str, Any], parts: Sequence[Embedded]) -> list[Entry]:
    """What the index holds of a document with this row."""
    about = {"title": row["title"], "revision": row["artefact"], "format": row["format"], "modified": row["modified"]}
    return [Entry(one.chunk, text=one.text, vector=one.vector, audience=row["audience_id"], **about) for one in parts]


def _portions(changes: Mapping[str, list[Entry]]) -> Iterator[dict[str, list[Entry]]]:
    portion: dict[str, list[Entry]] = {}
    for id, entries in changes.items():
        portion[id] = entries
        if sum(map(len, portion.values())) >= _COMMIT:
            yield portion
            portion = {}
    if portion:
        yield portion


def _origin(workspace: Workspace, embedder: Embedder, writer: LanguageModel | None) -> dict[str, Any]:
    """All settings that every row of an index shares."""
    backend = workspace.config.index.backend
    of_index = {"backend": backend, "index": index_class(backend).layout}
    return of_index | origin_of(workspace, embedder=embedder, writer=writer)


def _rows(workspace: Workspace) -> dict[str, dict[str, Any]]:
    with workspace.database.connect() as connection:
        return {row["id"]: dict(row) for row in connection.execute(select(documents).order_by(documents.c.id)).mappings()}
