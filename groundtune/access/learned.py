"""What was learned from documents: datasets and weights, who may use them now, and why they were withdrawn. Knows no file."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, delete, exists, select, update

from groundtune.access.audience import conjoin, from_json, implies
from groundtune.errors import DataError, Withdrawn
from groundtune.store.database import Database
from groundtune.store.tables import audiences, datasets, documents, learned, settings, weights, withdrawals
from groundtune.types import NOBODY, Audience

_IN = 500  # values in one IN list; engines limit it

Change = Literal["deleted", "narrowed", "erased"]
_WHAT: Mapping[Change, str] = {
    "deleted": "was deleted",
    "narrowed": "may be read by fewer than when it was learned",
    "erased": "was erased",
}
_AGAIN = {
    "weights": "Train again without it: groundtune train, or groundtune decide",
    "dataset": "Gather it again: groundtune dataset check",
}
_TABLES = {"weights": weights, "dataset": datasets}

# Made once: they are asked at every request.
_VERSION = select(settings.c.value).where(settings.c.key == "policy_version")
_LOST = (
    select(withdrawals.c.change, withdrawals.c.created)
    .where(withdrawals.c.artefact == bindparam("artefact"))
    .order_by(withdrawals.c.created, withdrawals.c.document)
    .limit(1)
)
_STATUS = {
    kind: select(table.c.reason).where(table.c.id == bindparam("id"), table.c.status == "withdrawn")
    for kind, table in _TABLES.items()
}
_READ_BY = (
    select(documents.c.id, documents.c.audience_id, audiences.c.json)
    .join(audiences)
    .where(documents.c.id.in_(bindparam("names", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class Loss:
    """A document that something was learned from, and what became of it."""

    document: str
    """Empty once it is erased: its name is not kept either."""
    change: Change
    before: Audience
    """Who could read it when it was learned; nobody where that is not known."""
    after: Audience
    created: float
    """Seconds since the epoch."""


class UsersNow:
    """Who may use weights, asked at every request: those who could read all of it then and may read each document now.

    Raises Withdrawn from the moment on at which the deletion or narrowing of a document is committed, by whichever process.
    """

    def __init__(self, database: Database, artefact: str, *, audience: Audience, documents: Sequence[str]) -> None:
        self._database = database
        self._artefact = artefact
        self._audience = audience
        self._documents = documents
        self._known = (-1, audience)

    def __call__(self) -> Audience:
        with self._database.connect() as connection:
            refuse_withdrawn(connection, self._artefact)
            version = connection.scalar(_VERSION) or 0
            if version != self._known[0]:
                present = _present(connection, self._documents)
                now = {present[name][1] if name in present else NOBODY for name in self._documents}
                self._known = (version, conjoin([self._audience, *now]))
            return self._known[1]


def enter(database: Database, connection: Connection, artefact: str, *, audience: Audience, documents: Collection[str]) -> None:
    """Say that `artefact` (`weights:ID` or `dataset:ID`) is made from these documents for `audience`, before it is made.

    From here on it is withdrawn when one of them goes or narrows; one that was withdrawn may be made again. Raises DataError
    when a document is readable by fewer than `audience` by now: its text was taken before that.
    """
    connection.execute(_VERSION.with_for_update())  # changes of audiences wait, also on PostgreSQL
    present = _present(connection, documents)
    for name in sorted(documents):
        if name not in present or not implies(audience, present[name][1]):
            raise DataError(
                "who may read this document changed while it was being learned from.",
                subject=name,
                remedy="Run the same command again.",
            )
    kind, _, id = artefact.partition(":")
    table = _TABLES[kind]
    connection.execute(delete(withdrawals).where(withdrawals.c.artefact == artefact))
    connection.execute(delete(table).where(table.c.id == id, table.c.status == "withdrawn"))
    connection.execute(delete(learned).where(learned.c.artefact == artefact))
    rows = [{"artefact": artefact, "document": name, "audience_id": number} for name, (number, _) in present.items()]
    database.insert_new(connection, learned, rows)


def withdraw_narrowed(
    database: Database, connection: Connection, changes: Mapping[str, tuple[int, Audience]], *, deleted: Collection[str]
) -> None:
    """Withdraw whatever was learned from a document that somebody could read then and may not now; in the caller's transaction.

    `changes`: document -> (id of its audience, its audience) from now on; `deleted` are those among them that are gone. One
    query for 500 documents, and none where nothing was learned.
    """
    if not connection.scalar(select(exists().select_from(learned))):
        return
    chosen = select(learned.c.artefact, learned.c.document, learned.c.audience_id, audiences.c.json).join(audiences)
    narrower: dict[tuple[int, int], bool] = {}
    lost = []
    for names in _portions(changes):
        for artefact, document, before, text in connection.execute(chosen.where(learned.c.document.in_(names))):
            after, audience = changes[document]
            if (before, after) not in narrower:
                narrower[before, after] = not implies(from_json(text), audience)
            if narrower[before, after]:
                change: Change = "deleted" if document in deleted else "narrowed"
                lost.append(_line(artefact, document, change, before, after))
    _withdraw(database, connection, lost)


def withdraw_erased(database: Database, names: Collection[str], *, made_of: Iterable[str] = ()) -> tuple[str, ...]:
    """Withdraw whatever was learned from these documents, for good and without naming them; returns the artefacts, sorted.

    `made_of` are further artefacts that are known to be made of them.
    """
    with database.begin() as connection:
        found = set(made_of)
        for some in _portions(names):
            found |= set(connection.scalars(select(learned.c.artefact).where(learned.c.document.in_(some))))
            found |= set(connection.scalars(select(withdrawals.c.artefact).where(withdrawals.c.document.in_(some))))
            connection.execute(delete(learned).where(learned.c.document.in_(some)))
            connection.execute(delete(withdrawals).where(withdrawals.c.document.in_(some)))
        _withdraw(database, connection, [_line(artefact, "", "erased", None, None) for artefact in sorted(found)])
    return tuple(sorted(found))


def refuse_withdrawn(connection: Connection, artefact: str) -> None:
    """Raises Withdrawn, which names no document: whoever asks may not be allowed to know that there was one."""
    kind, _, id = artefact.partition(":")
    row = connection.execute(_LOST, {"artefact": artefact}).first()
    if row is not None:
        when = f" on {time.strftime('%Y-%m-%d', time.localtime(row.created))}"
        raise _withdrawn(artefact, when=when, reason=_reason(row.change))
    reason = connection.scalar(_STATUS[kind], {"id": id})
    if reason is not None:
        raise _withdrawn(artefact, when="", reason=reason or "no reason was kept")


def losses(connection: Connection) -> dict[str, tuple[Loss, ...]]:
    """Artefact -> why it was withdrawn, the first loss first; for the operator, as it names documents."""
    texts = dict(connection.execute(select(audiences.c.id, audiences.c.json)).all())
    found: dict[str, list[Loss]] = {}
    for row in connection.execute(select(withdrawals).order_by(withdrawals.c.created, withdrawals.c.document)).mappings():
        before, after = (from_json(texts[row[key]]) if row[key] is not None else NOBODY for key in ("before_id", "after_id"))
        found.setdefault(row["artefact"], []).append(
            Loss(row["document"], row["change"], before=before, after=after, created=row["created"])
        )
    return {artefact: tuple(lost) for artefact, lost in found.items()}


# --- steps --------------------------------------------------------------------------------------------------------------


def _withdrawn(artefact: str, *, when: str, reason: str) -> Withdrawn:
    again = _AGAIN[artefact.partition(":")[0]]
    remedy = f"{again}. To see which document: groundtune learned"
    return Withdrawn(f"withdrawn{when}: {reason}.", subject=artefact, remedy=remedy)


def _reason(change: Change) -> str:
    return f"a document that it was learned from {_WHAT[change]}"


def _line(artefact: str, document: str, change: Change, before: int | None, after: int | None) -> dict[str, Any]:
    line = {"artefact": artefact, "document": document, "change": change, "before_id": before, "after_id": after}
    return line | {"created": time.time()}


def _withdraw(database: Database, connection: Connection, lost: Sequence[Mapping[str, Any]]) -> None:
    """Enter the losses and set the status of all that lost something; what is known already stays."""
    database.insert_new(connection, withdrawals, lost)
    of: dict[tuple[str, Change], set[str]] = {}
    for line in lost:
        kind, _, id = line["artefact"].partition(":")
        of.setdefault((kind, line["change"]), set()).add(id)
    for (kind, change), ids in of.items():
        table = _TABLES[kind]
        for some in _portions(ids):
            changed = update(table).where(table.c.id.in_(some))
            connection.execute(changed.values(status="withdrawn", reason=_reason(change)))


def _present(connection: Connection, names: Collection[str]) -> dict[str, tuple[int, Audience]]:
    """Document -> (id of its audience, its audience) now; without those that are unknown or were never assigned."""
    read_by: dict[int, Audience] = {}
    found = {}
    for some in _portions(names):
        for name, number, text in connection.execute(_READ_BY, {"names": some}):
            if number not in read_by:
                read_by[number] = from_json(text)
            found[name] = (number, read_by[number])
    return found


def _portions(names: Iterable[str]) -> Iterator[list[str]]:
    wanted = sorted(names)
    for start in range(0, len(wanted), _IN):
        yield wanted[start : start + _IN]
