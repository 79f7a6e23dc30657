"""What a workspace lacks or waits for: documents, index, questions, database, lock, disk. Reads; changes nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import func, select

from groundtune.dataset.read import read_questions
from groundtune.errors import GroundtuneError
from groundtune.index.versions import IndexVersions
from groundtune.interfaces import Held
from groundtune.sources.files import FileItem, FilesSource
from groundtune.store.database import NEWEST
from groundtune.store.tables import documents, looks, runs
from groundtune.store.workspace import Workspace
from groundtune.verbs.machine_checks import FREE_BYTES, Finding, failing, size_of, space

PARTS = ("artefacts", "weights", "index", "runs")


def inside(workspace: Workspace) -> Iterator[Finding]:
    """Findings about an open workspace, whose configuration is therefore valid."""
    where = f"-w {workspace.root}"
    yield Finding("workspace", True, f"{workspace.root}: groundtune.toml is valid")
    try:
        yield _database(workspace)
    except GroundtuneError as error:
        yield failing("database", error)
        return
    writer = workspace.writer
    yield Finding("writer", True, f"{writer} writes it now" if writer else "nobody writes it now")
    if workspace.config.documents:
        yield _documents(workspace, f"Run: groundtune sync {where}")
        yield _index(workspace, f"Run: groundtune sync {where}")
    yield _questions(workspace)
    yield space("workspace disk", workspace.state, FREE_BYTES, "Free some space, or move the workspace to another disk.")


def workspace_disk(workspace: Workspace) -> dict[str, int]:
    """Bytes of each part of the workspace."""
    found = {f"workspace: {part}": size_of(workspace.state / part) for part in PARTS}
    found["workspace: database"] = sum(size_of(path) for path in workspace.state.glob("groundtune.db*"))
    if workspace.config.documents:
        found["workspace: documents"] = size_of(workspace.documents)
    return found


def _database(workspace: Workspace) -> Finding:
    fault = workspace.database.fault()
    with workspace.database.connect() as connection:
        decided = connection.scalar(select(func.count()).select_from(runs).where(runs.c.verb == "decide")) or 0
        looked = connection.scalar(select(func.count()).select_from(looks)) or 0
    detail = f"version {NEWEST}, {decided} decisions, {looked} looks at scored questions"
    remedy = "Put back a copy of .groundtune/groundtune.db, or move it away and run the last command again."
    return Finding("database", not fault, f"damaged: {fault}" if fault else detail, remedy if fault else "")


def _documents(workspace: Workspace, remedy: str) -> Finding:
    """Whether the database holds the documents as they are now. Only files of another size or date are read."""
    with workspace.database.connect() as connection:
        rows = {row["id"]: dict(row) for row in connection.execute(select(documents)).mappings()}
    try:
        items = list(FilesSource(workspace.documents).scan())
    except GroundtuneError as error:
        return failing("documents", error)
    new = sum(item.id not in rows for item in items)
    gone = len(rows.keys() - {item.id for item in items})
    changed = sum(item.id in rows and _changed(item, rows[item.id]) for item in items)
    failed = sum(row["status"] == "failed" for row in rows.values())
    detail = f"{len(items)} files, {new} new, {changed} changed, {gone} removed since the last sync; {failed} without text"
    return Finding("documents", not (new or gone or changed), detail, remedy if new or gone or changed else "", needed=False)


def _changed(item: FileItem, row: Mapping[str, Any]) -> bool:
    if (item.size, item.modified) == (row["size"], row["modified"]):
        return False
    try:
        return bool(hashlib.sha256(item.path.read_bytes()).hexdigest() != row["content_hash"])
    except OSError:
        return True


def _index(workspace: Workspace, remedy: str) -> Finding:
    """Whether the index holds the very text that the database says is the current one."""
    versions = IndexVersions(workspace.state / "index", database=workspace.database)
    number = versions.current()
    if not number:
        return Finding("index", False, "nothing was synced yet", remedy, needed=False)
    try:
        index = versions.open(number, verify=True)
        held, chunks = index.held(), index.count()
    except GroundtuneError as error:
        return failing("index", error)
    stored = documents.c
    chosen = select(stored.id, stored.artefact, stored.audience_id, stored.modified).where(stored.status == "ok")
    with workspace.database.connect() as connection:
        wanted = {row.id: Held(row.artefact, row.audience_id, row.modified) for row in connection.execute(chosen)}
    astray = sum(held.get(id) != value for id, value in wanted.items()) + len(held.keys() - wanted.keys())
    detail = f"version {number}, {chunks} chunks of {len(held)} documents"
    if astray:
        detail += f"; {astray} documents are not in step"
    return Finding("index", not astray, detail, remedy if astray else "", needed=False)


def _questions(workspace: Workspace) -> Finding:
    try:
        reading = read_questions(workspace.questions)
    except GroundtuneError as error:
        return failing("questions", error)
    detail = f"{len(reading.examples)} questions in {workspace.questions.name}"
    if reading.problems:
        detail += f"; {len(reading.problems)} lines cannot be used, the first: {reading.problems[0]}"
    return Finding("questions", not reading.problems, detail, "Mend these lines." if reading.problems else "", needed=False)
