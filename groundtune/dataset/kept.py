"""Datasets as a workspace keeps them: manifest and examples as artefacts, a row, a line of descent. Knows no check."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from groundtune.access.audience import from_json, to_json
from groundtune.access.learned import enter, refuse_withdrawn
from groundtune.dataset.read import question_of
from groundtune.errors import NotFound, UsageError
from groundtune.store import lineage
from groundtune.store.artefacts import JSON
from groundtune.store.datasets import dataset_name
from groundtune.store.tables import datasets
from groundtune.store.workspace import Workspace
from groundtune.types import Audience, Example

NEWEST = "newest"
SHORTEST = 6
"""Characters of an id that name a dataset."""


def keep(
    workspace: Workspace,
    *,
    manifest: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    audience: Audience,
    documents: Collection[str],
) -> str:
    """Store a dataset and return its id, the hash of its manifest with the hash of its rows; the same one is stored once.

    One that was withdrawn is ready again: its documents may be read and learned from now. Raises DataError when one of
    `documents` may be read by fewer than `audience` by now.
    """
    database, artefacts = workspace.database, workspace.artefacts
    held = artefacts.put_json(rows)
    id = artefacts.put_json({**manifest, "rows": held})
    row = {"id": id, "rows": held, "audience": to_json(audience), "status": "ready", "reason": "", "created": time.time()}
    parents = [f"document:{name}" for name in documents]
    lineage.record(database, child=dataset_name(id), parents=parents, relation="gathered from")
    with database.begin() as connection:
        enter(database, connection, dataset_name(id), audience=audience, documents=documents)
        database.upsert(connection, datasets, [row])
    return id


@dataclass(frozen=True, slots=True)
class Kept:
    """A dataset as training reads it."""

    id: str
    examples: tuple[Example, ...]
    audience: Audience
    """Who may use what learns from it."""


def load_dataset(workspace: Workspace, name: str) -> Kept:
    """The dataset whose id begins with `name` (six characters at least), or the `newest` one that is in use.

    Raises Withdrawn, NotFound when there is none, UsageError when several begin so.
    """
    with workspace.database.connect() as connection:
        rows = connection.execute(select(datasets).order_by(datasets.c.created.desc())).mappings().all()
    found = [row for row in rows if row["id"].startswith(name)] if len(name) >= SHORTEST else []
    if name == NEWEST:
        found = [row for row in rows if row["status"] == "ready"][:1]
    if len(found) > 1:
        raise UsageError("several datasets begin so.", subject=name, remedy="Give more characters; see: groundtune learned")
    id = found[0]["id"] if found else name
    manifest_of(workspace, id)
    held = workspace.artefacts.get_json(found[0]["rows"])
    examples = tuple(question_of(value, origin=f"dataset {id[:12]}") for value in held)
    return Kept(id, examples, from_json(found[0]["audience"]))


def manifest_of(workspace: Workspace, id: str) -> JSON:
    """Raises Withdrawn, or NotFound for a dataset that is unknown."""
    with workspace.database.connect() as connection:
        refuse_withdrawn(connection, dataset_name(id))
        if connection.scalar(select(datasets.c.id).where(datasets.c.id == id)) is None:
            raise NotFound("this dataset is not known.", subject=id, remedy="Run: groundtune dataset check")
    return workspace.artefacts.get_json(id)
