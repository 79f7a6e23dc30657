"""Datasets as the workspace keeps them: manifest and examples as artefacts, a row, a line of descent. Knows no check."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select, update

from groundtune.errors import NotFound
from groundtune.store import lineage
from groundtune.store.artefacts import JSON, Artefacts
from groundtune.store.database import Database
from groundtune.store.tables import datasets


def dataset_name(id: str) -> str:
    """What the lineage calls a dataset."""
    return f"dataset:{id}"


def keep(
    database: Database,
    artefacts: Artefacts,
    *,
    manifest: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    audience: str,
    documents: Iterable[str],
) -> str:
    """Store a dataset and return its id, the hash of its manifest with the hash of its rows; the same one is stored once.

    `documents` are the lineage's names of what it came out of; `audience` is JSON as in `audiences`. One that was withdrawn is
    ready again: its documents may be read and trained on now, else they would not have come here.
    """
    held = artefacts.put_json(rows)
    id = artefacts.put_json({**manifest, "rows": held})
    row = {"id": id, "rows": held, "audience": audience, "status": "ready", "reason": "", "created": time.time()}
    lineage.record(database, child=dataset_name(id), parents=documents, relation="gathered from")
    with database.begin() as connection:
        database.upsert(connection, datasets, [row])
    return id


def manifest_of(database: Database, artefacts: Artefacts, id: str) -> JSON:
    """Raises NotFound for a dataset that is unknown or withdrawn, with the reason."""
    with database.connect() as connection:
        row = connection.execute(select(datasets).where(datasets.c.id == id)).mappings().first()
    if row is None or row["status"] != "ready":
        reason = f"was withdrawn: {row['reason']}." if row is not None else "is not known."
        raise NotFound(f"this dataset {reason}", subject=id, remedy="Run: groundtune dataset check")
    return artefacts.get_json(id)


def withdraw(database: Database, artefacts: Artefacts, *, parents: Collection[str], reason: str) -> tuple[str, ...]:
    """Withdraw every dataset that came out of one of `parents`, and take its manifest and examples off the disk."""
    with database.connect() as connection:
        rows = connection.execute(select(datasets.c.id, datasets.c.rows).where(datasets.c.status == "ready")).all()
    found = [row for row in rows if lineage.ancestors(database, dataset_name(row.id)) & set(parents)]
    ids = tuple(sorted(row.id for row in found))
    with database.begin() as connection:
        for id in ids:
            connection.execute(update(datasets).where(datasets.c.id == id).values(status="withdrawn", reason=reason))
    kept = {row.rows for row in rows if row not in found}
    for row in found:
        artefacts.remove(row.id)
        if row.rows not in kept:
            artefacts.remove(row.rows)
    return ids


def named(database: Database) -> set[str]:
    """The artefacts that datasets hold."""
    with database.connect() as connection:
        rows = connection.execute(select(datasets.c.id, datasets.c.rows).where(datasets.c.status == "ready")).all()
    return {artefact for row in rows for artefact in (row.id, row.rows)}
