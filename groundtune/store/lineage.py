"""What came out of what. Knows ids as opaque strings; erasing a document walks from it to all that came out of it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, delete, select

from groundtune.store.database import Database
from groundtune.store.tables import lineage

_IN = 400  # values in one IN list; engines limit it


def record(database: Database, *, child: str, parents: Iterable[str], relation: str) -> None:
    """Say that `child` came out of each of `parents`; saying it again changes nothing."""
    rows = [{"child": child, "parent": parent, "relation": relation} for parent in sorted(set(parents))]
    with database.begin() as connection:
        database.insert_new(connection, lineage, rows)


def ancestors(database: Database, id: str) -> set[str]:
    """All that `id` came out of, directly or not; without `id` itself unless it lies on a cycle."""
    return _reached(database, id, start=lineage.c.child, end=lineage.c.parent)


def descendants(database: Database, id: str) -> set[str]:
    """All that came out of `id`, directly or not; without `id` itself unless it lies on a cycle."""
    return _reached(database, id, start=lineage.c.parent, end=lineage.c.child)


def forget(database: Database, ids: Iterable[str]) -> None:
    """Remove every line about these ids."""
    wanted = sorted(set(ids))
    with database.begin() as connection:
        for start in range(0, len(wanted), _IN):
            some = wanted[start : start + _IN]
            connection.execute(delete(lineage).where(lineage.c.child.in_(some) | lineage.c.parent.in_(some)))


def _reached(database: Database, origin: str, *, start: Column[str], end: Column[str]) -> set[str]:
    walk = select(end.label("id")).where(start == origin).cte("walk", recursive=True)
    walk = walk.union(select(end).join(walk, start == walk.c.id))  # a union, not union all: cycles end
    with database.connect() as connection:
        return set(connection.scalars(select(walk.c.id)))
