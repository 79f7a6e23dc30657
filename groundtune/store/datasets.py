"""The files of datasets, as whoever cleans up sees them. Knows artefacts and rows; `groundtune.dataset.kept` makes them."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select

from groundtune.store.artefacts import Artefacts
from groundtune.store.database import Database
from groundtune.store.tables import datasets


def dataset_name(id: str) -> str:
    """What the lineage calls a dataset."""
    return f"dataset:{id}"


def remove(database: Database, artefacts: Artefacts, ids: Collection[str]) -> None:
    """Take manifests and examples of withdrawn datasets off the disk; what a ready one shares stays."""
    with database.connect() as connection:
        rows = connection.execute(select(datasets.c.id, datasets.c.rows).where(datasets.c.status == "withdrawn")).all()
    kept = named(database)
    for row in rows:
        if row.id in ids:
            for artefact in {row.id, row.rows} - kept:
                artefacts.remove(artefact)


def named(database: Database) -> set[str]:
    """The artefacts of datasets that are not withdrawn."""
    with database.connect() as connection:
        rows = connection.execute(select(datasets.c.id, datasets.c.rows).where(datasets.c.status == "ready")).all()
    return {artefact for row in rows for artefact in (row.id, row.rows)}
