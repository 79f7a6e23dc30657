"""learned: the datasets and weights of a workspace, who may use them, and which were withdrawn for what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Table, select

from groundtune.access.audience import from_json
from groundtune.access.learned import Loss, losses
from groundtune.errors import NotFound
from groundtune.store.tables import datasets, weights
from groundtune.store.tables import learned as learned_table
from groundtune.store.workspace import Workspace
from groundtune.types import Audience


@dataclass(frozen=True, slots=True)
class Learned:
    """A dataset, or weights, as it stands now."""

    kind: Literal["dataset", "weights"]
    id: str
    audience: Audience
    """Who may use it, or what is trained on it: every clause must be met. That of the time when it was made."""
    documents: tuple[str, ...]
    """What it was learned from, sorted; without what was erased."""
    created: float
    """Seconds since the epoch."""
    withdrawn: str
    """Why; empty while it may be used."""
    losses: tuple[Loss, ...]
    """The documents for which it was withdrawn."""


def learned(root: Path | str = ".", *, id: str | None = None) -> tuple[Learned, ...]:
    """What was learned in a workspace, oldest first, or the one with this id. For the operator: it names every document.

    Raises NotFound for an unknown id.
    """
    with Workspace.open(root) as workspace, workspace.database.connect() as connection:
        made_of: dict[str, list[str]] = {}
        for artefact, document in connection.execute(select(learned_table.c.artefact, learned_table.c.document)):
            made_of.setdefault(artefact, []).append(document)
        lost = losses(connection)
        found = [
            Learned(
                kind=kind,
                id=row["id"],
                audience=from_json(row["audience"]),
                documents=tuple(sorted(made_of.get(f"{kind}:{row['id']}", ()))),
                created=row["created"],
                withdrawn=row["reason"] if row["status"] == "withdrawn" else "",
                losses=lost.get(f"{kind}:{row['id']}", ()),
            )
            for kind, table in _TABLES
            for row in connection.execute(select(table)).mappings()
            if id is None or row["id"] == id
        ]
    if id is not None and not found:
        raise NotFound("there is no dataset and there are no weights of this id.", subject=id, remedy="Run: groundtune learned")
    return tuple(sorted(found, key=lambda one: (one.created, one.id)))


_TABLES: tuple[tuple[Literal["dataset", "weights"], Table], ...] = (("dataset", datasets), ("weights", weights))
