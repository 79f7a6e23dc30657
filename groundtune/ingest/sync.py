"""Brings a workspace's index up to its documents. Knows the order of the steps and what is safe when one is cut off."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any, Final

import numpy as np
from sqlalchemy import delete, select

from groundtune.access.policy import Policy
from groundtune.access.register import AccessRegister
from groundtune.errors import BadDocument, UsageError
from groundtune.index.versions import IndexVersions, index_class
from groundtune.ingest.chunk import CHUNK_VERSION, chunk, embedded_text
from groundtune.ingest.parse import LASTING, PARSE_VERSION, Limits, Parser, failure
from groundtune.interfaces import Embedder, Held, Index, Progress
from groundtune.sources.files import FileItem, FilesSource
from groundtune.store import lineage
from groundtune.store.tables import documents
from groundtune.store.workspace import Workspace
from groundtune.types import NOBODY, Chunk, Document, Entry

EMBED_VERSION: Final = 1
_BATCH = 32  # chunks of one document that are embedded together
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
    unreadable: tuple[str, ...]
    """Documents that nobody may read: no rule matches, or the sidecar is faulty."""
    problems: tuple[tuple[str, str], ...]
    """(document, what is wrong with its sidecar)."""
    documents: int
    """Documents that are searched."""
    chunks: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Read:
    """One document after reading: its row in the database, and whether it has text."""

    row: dict[str, Any]

    @property
    def ok(self) -> bool:
        return bool(self.row["status"] == "ok")


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
    show = progress or _unseen
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
        read = _read_all(workspace, items, limits or Limits(), show)
        versions = IndexVersions(workspace.state / "index", database=workspace.database)
        number, index = versions.prepare(_origin(workspace, embedder))
        held = index.held()
        stale = [id for id, one in read.items() if one.ok and _differs(held.get(id), one.row)]
        vectors = _embed(workspace, stale, read, embedder, show)
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
            unreadable=tuple(unreadable),
            problems=tuple(problems),
            documents=len(good),
            chunks=index.count(),
            seconds=time.perf_counter() - started,
        )


def _unseen(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


# --- steps --------------------------------------------------------------------------------------------------------------


def _settle_access(
    workspace: Workspace, items: Sequence[FileItem], gone: Sequence[str]
) -> tuple[list[str], list[tuple[str, str]]]:
    policy = Policy.from_config(workspace.config.access)
    rulings = {item.id: policy.ruling(item.id, item.path) for item in items}
    AccessRegister(workspace.database).assign(
        {id: ruling.audience for id, ruling in rulings.items()} | dict.fromkeys(gone, NOBODY)
    )
    unreadable = [id for id, ruling in rulings.items() if not ruling.origin or ruling.problem]
    return unreadable, [(id, ruling.problem) for id, ruling in rulings.items() if ruling.problem]


def _read_all(workspace: Workspace, items: Sequence[FileItem], limits: Limits, show: Progress) -> dict[str, _Read]:
    read = {}
    with Parser(limits) as parser:
        for done, item in enumerate(items, start=1):
            read[item.id] = _read(workspace, item, parser)
            show("parse", done, len(items))
    return read


def _read(workspace: Workspace, item: FileItem, parser: Parser) -> _Read:
    row = {
        "id": item.id,
        "title": "",
        "format": "",
        "content_hash": "",
        "modified": item.modified,
        "size": item.size,
        "status": "failed",
        "reason": "",
        "artefact": "",
    }
    try:
        data = _bytes(item, parser.limits)
        row["content_hash"] = hashlib.sha256(data).hexdigest()
        parsed = _parsed(workspace, item.id, data, parser)
    except BadDocument as error:
        return _Read(row | {"reason": f"{error.message} {error.remedy}"})
    if "reason" in parsed:
        return _Read(row | {"reason": parsed["reason"]})
    artefact = workspace.artefacts.put_json(parsed)
    return _Read(row | {"title": parsed["title"], "format": parsed["format"], "status": "ok", "artefact": artefact})


def _bytes(item: FileItem, limits: Limits) -> bytes:
    if item.size > limits.input:
        raise failure(item.id, "too large", f"{item.size:,} bytes; the limit is {limits.input:,}")
    try:
        return item.path.read_bytes()
    except OSError as error:
        raise failure(item.id, "unreadable", error.strerror or str(error)) from error


def _parsed(workspace: Workspace, id: str, data: bytes, parser: Parser) -> dict[str, Any]:
    """Title, text, format and metadata, or a reason that these bytes will always give; both are stored.

    Raises BadDocument for the reasons that another try may not give.
    """

    def make() -> dict[str, Any]:
        try:
            document = parser.parse_bytes(data, id=id)
        except BadDocument as error:
            if error.reason not in LASTING:
                raise
            return {"reason": f"{error.message} {error.remedy}"}
        return {
            "title": document.title,
            "text": document.text,
            "format": document.format,
            "metadata": dict(document.metadata),
        }

    key = {
        "content": hashlib.sha256(data).hexdigest(),
        "name": PurePosixPath(id).name,
        "limits": dataclasses.asdict(parser.limits),
        "parser": version("kreuzberg"),
    }
    parsed: dict[str, Any] = workspace.stages.run("parse", version=PARSE_VERSION, key=key, make=make)
    return parsed


def stored_document(workspace: Workspace, row: Mapping[str, Any]) -> Document:
    """The document of a row of the database, from its stored parse. Raises NotFound when the parse is gone or damaged."""
    parsed = workspace.artefacts.get_json(row["artefact"])
    return Document(
        id=row["id"],
        title=parsed["title"],
        text=parsed["text"],
        content_hash=row["content_hash"],
        format=parsed["format"],
        modified=row["modified"],
        metadata=parsed["metadata"],
    )


def _embed(
    workspace: Workspace, names: Sequence[str], read: Mapping[str, _Read], embedder: Embedder, show: Progress
) -> dict[str, list[tuple[Chunk, str, np.ndarray]]]:
    """Chunks of the named documents with the text that stands for them and its vector.

    Batches never cross documents, so that a vector depends on its document alone and not on what was synced with it.
    """
    settings = workspace.config.chunking
    cut: dict[str, list[Chunk]] = {}
    texts: dict[str, dict[str, str]] = {}
    for name in names:
        document = stored_document(workspace, read[name].row)
        cut[name] = chunk(document, tokens=settings.tokens, overlap=settings.overlap, count_tokens=embedder.count_tokens)
        texts[name] = {f"{number:07}": embedded_text(document.title, one) for number, one in enumerate(cut[name])}
    total = sum(map(len, cut.values()))
    done = 0
    embedded = {}
    for name in names:
        wanted = texts[name]

        def compute(ids: list[str], wanted: dict[str, str] = wanted) -> list[str]:
            return [_packed(vector) for vector in embedder.embed([wanted[id] for id in ids])]

        key = {"embedder": embedder.fingerprint}
        found = workspace.stages.map("embed", version=EMBED_VERSION, key=key, items=wanted, batch_size=_BATCH, compute=compute)
        embedded[name] = [(one, wanted[id], _unpacked(found[id])) for one, id in zip(cut[name], sorted(wanted), strict=True)]
        done += len(wanted)
        show("embed", done, total)
    return embedded


def _write_rows(workspace: Workspace, read: Mapping[str, _Read], gone: Sequence[str], before: Mapping[str, Any]) -> None:
    changed = [one.row for id, one in read.items() if not one.row.items() <= before.get(id, {}).items()]
    with workspace.database.begin() as connection:
        workspace.database.upsert(connection, documents, changed)
        for start in range(0, len(gone), 500):
            connection.execute(delete(documents).where(documents.c.id.in_(gone[start : start + 500])))
    for row in changed:
        if row["artefact"]:
            lineage.record(workspace.database, child=row["artefact"], parents=[row["id"]], relation="parsed from")


def _differs(held: Held | None, row: Mapping[str, Any]) -> bool:
    """Whether the index holds another text of the document than the row says, or another time of change."""
    return held is None or (held.revision, held.modified) != (row["artefact"], row["modified"])


def _update_index(
    index: Index,
    workspace: Workspace,
    read: Mapping[str, _Read],
    held: Mapping[str, Held],
    vectors: Mapping[str, Sequence[tuple[Chunk, str, np.ndarray]]],
) -> None:
    audiences = {id: row["audience_id"] for id, row in _rows(workspace).items()}
    changes: dict[str, list[Entry]] = {id: [] for id in held if id not in read or not read[id].ok}
    for id, parts in vectors.items():
        row = read[id].row
        about = {"revision": row["artefact"], "format": row["format"], "modified": row["modified"]}
        changes[id] = [
            Entry(one, row["title"], text, audience=audiences[id], vector=vector, **about) for one, text, vector in parts
        ]
    for part in _portions(changes):
        index.replace(part)
    index.assign({id: audiences[id] for id in held if id not in changes and held[id].audience != audiences[id]})
    index.settle()


def _portions(changes: Mapping[str, list[Entry]]) -> Iterator[dict[str, list[Entry]]]:
    portion: dict[str, list[Entry]] = {}
    for id, entries in changes.items():
        portion[id] = entries
        if sum(map(len, portion.values())) >= _COMMIT:
            yield portion
            portion = {}
    if portion:
        yield portion


def _origin(workspace: Workspace, embedder: Embedder) -> dict[str, Any]:
    """All settings that every row of an index shares."""
    return {
        "backend": workspace.config.index.backend,
        "index": index_class(workspace.config.index.backend).layout,
        "chunk": CHUNK_VERSION,
        "chunking": workspace.config.chunking.model_dump(),
        "embedder": embedder.fingerprint,
        "dimensions": embedder.dimensions,
    }


def _rows(workspace: Workspace) -> dict[str, dict[str, Any]]:
    with workspace.database.connect() as connection:
        return {row["id"]: dict(row) for row in connection.execute(select(documents).order_by(documents.c.id)).mappings()}


def _packed(vector: np.ndarray) -> str:
    return base64.b64encode(np.asarray(vector, dtype="<f4").tobytes()).decode("ascii")


def _unpacked(text: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), dtype="<f4")
