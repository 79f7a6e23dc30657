"""Datasets as a workspace keeps them: manifest and examples as artefacts, a row, a line of descent. Knows no check."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import select

from groundtune.access.audience import to_json
from groundtune.access.learned import enter, refuse_withdrawn
from groundtune.errors import NotFound
from groundtune.store import lineage
from groundtune.store.artefacts import JSON
from groundtune.store.datasets import dataset_name
from groundtune.store.tables import datasets
from groundtune.store.workspace import Workspace
from groundtune.types import Audience


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


def manifest_of(workspace: Workspace, id: str) -> JSON:
    """Raises Withdrawn, or NotFound for a dataset that is unknown."""
    with workspace.database.connect() as connection:
        refuse_withdrawn(connection, dataset_name(id))
        if connection.scalar(select(datasets.c.id).where(datasets.c.id == id)) is None:
            raise NotFound("this dataset is not known.", subject=id, remedy="Run: groundtune dataset check")
    return workspace.artefacts.get_json(id)
