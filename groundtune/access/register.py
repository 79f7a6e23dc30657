"""Who may read which document now. Knows audiences, their interned ids and the database, the only truth; knows no text."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import Connection, bindparam, select, update

from groundtune.access.audience import from_json, may_read, to_json
from groundtune.access.clauses import ClauseIndex
from groundtune.access.learned import withdraw_narrowed
from groundtune.errors import DataError
from groundtune.store.database import Database
from groundtune.store.tables import audiences, documents, settings
from groundtune.types import NOBODY, Audience, Caller

_IN = 500  # values in one IN list; engines limit it
_CACHED_CALLERS = 1_000
_CACHED_IDS = 1_000_000  # ids in all cached sets together

# Made once: every search asks them, and making a statement costs as much as running it.
_VERSION = select(settings.c.value).where(settings.c.key == "policy_version")
_HELD = select(documents.c.id, documents.c.audience_id).where(documents.c.id.in_(bindparam("names", expanding=True)))


class AccessRegister:
    """Document -> audience, and caller -> allowed audience ids, at the newest policy version.

    The policy version rises with every change of who may read what, in the same transaction. Everything is answered from the
    database at the moment of asking; in memory are only audiences by id, which never change, and allowed ids by (principals,
    policy version). So several processes see each other's changes at once.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._guard = threading.Lock()
        self._index = ClauseIndex()
        self._cache: OrderedDict[frozenset[str], frozenset[int]] = OrderedDict()
        self._cached_version = -1
        self._cached_ids = 0

    def policy_version(self) -> int:
        with self.database.connect() as connection:
            return _version(connection)

    def intern(self, audience: Audience) -> int:
        """The id of an audience, given on first use and kept for ever."""
        with self.database.connect() as connection:
            known = _ids(connection, {audience})
        if known:
            return known[audience]
        with self.database.begin() as connection:
            _raise_version(connection)  # first: other writers wait, so that ids appear in order, also on PostgreSQL
            return self._interned(connection, {audience})[audience]

    def assign(self, changes: Mapping[str, Audience], *, deleted: Collection[str] = ()) -> int:
        """Say who may read these documents; returns how many changed. The policy version rises once if any did.

        A document that is not known yet is entered as pending. NOBODY takes every reader away. Datasets and weights that came
        out of a document which fewer may read by now are withdrawn in the same transaction; the reason for `deleted` ones is
        that they are gone. Raises DataError for an id that is not Unicode text.
        """
        for document in changes:
            if not _storable(document):
                raise DataError("a document id is not Unicode text.", subject=ascii(document), remedy="Rename that file.")
        with self.database.begin() as connection:
            _version(connection, hold=True)  # other writers wait, so that ids appear in order, also on PostgreSQL
            held = _held(connection, changes)
            interned = _ids(connection, set(changes.values()))
            changed = [name for name, new in changes.items() if held.get(name) is None or held[name] != interned.get(new)]
            if changed:
                _raise_version(connection)
                interned |= self._interned(connection, {changes[name] for name in changed} - interned.keys())
                rows = [{"id": name, "audience_id": interned[changes[name]]} for name in changed]
                self.database.upsert(connection, documents, rows)
                narrowed = {name: (interned[changes[name]], changes[name]) for name in changed}
                withdraw_narrowed(self.database, connection, narrowed, deleted=deleted)
        return len(changed)

    def audience(self, document: str) -> Audience:
        """Who may read it now; NOBODY when it is unknown."""
        if not _storable(document):
            return NOBODY
        chosen = select(audiences.c.json).join(documents).where(documents.c.id == document)
        with self.database.connect() as connection:
            text = connection.scalar(chosen)
        return NOBODY if text is None else from_json(text)

    def may_read(self, document: str, caller: Caller) -> bool:
        return may_read(self.audience(document), caller)

    def readable(self, names: Iterable[str], caller: Caller) -> set[str]:
        """Those of the named documents that the caller may read now; unknown ones are left out like forbidden ones."""
        wanted = sorted({name for name in names if _storable(name)})
        if not wanted:
            return set()
        with self.database.connect() as connection:
            allowed = self._allowed(connection, caller)
            return {name for name, audience in _held(connection, wanted).items() if audience in allowed}

    def allowed(self, caller: Caller) -> frozenset[int]:
        """Ids of the audiences that the caller belongs to, at the newest policy version."""
        with self.database.connect() as connection:
            return self._allowed(connection, caller)

    def _allowed(self, connection: Connection, caller: Caller) -> frozenset[int]:
        version = _version(connection)
        with self._guard:
            if version > self._cached_version:
                self._cache.clear()
                self._cached_version, self._cached_ids = version, 0
            found = self._cache.get(caller.principals)
            if found is not None:
                self._cache.move_to_end(caller.principals)
                return found
            rows = select(audiences.c.id, audiences.c.json).where(audiences.c.id > self._index.newest).order_by(audiences.c.id)
            for number, text in connection.execute(rows):
                self._index.add(number, from_json(text))
            found = self._index.allowed(caller.principals)
            if len(found) <= _CACHED_IDS:
                self._cache[caller.principals] = found
                self._cached_ids += len(found)
            while len(self._cache) > _CACHED_CALLERS or self._cached_ids > _CACHED_IDS:
                _, oldest = self._cache.popitem(last=False)
                self._cached_ids -= len(oldest)
            return found

    def _interned(self, connection: Connection, new: set[Audience]) -> dict[Audience, int]:
        """Ids of audiences, entering those that are missing; the caller has raised the policy version."""
        texts = sorted(map(to_json, new))
        self.database.insert_new(connection, audiences, [{"digest": _digest(text), "json": text} for text in texts])
        return _ids(connection, new)


def _ids(connection: Connection, wanted: set[Audience]) -> dict[Audience, int]:
    """Ids of those that are interned."""
    by_digest = {_digest(to_json(audience)): audience for audience in wanted}
    digests = sorted(by_digest)
    found = {}
    for start in range(0, len(digests), _IN):
        chosen = audiences.c.digest.in_(digests[start : start + _IN])
        for digest, number in connection.execute(select(audiences.c.digest, audiences.c.id).where(chosen)):
            found[by_digest[digest]] = number
    return found


def _held(connection: Connection, names: Iterable[str]) -> dict[str, int | None]:
    """Audience ids of those of the documents that are known; None where nobody was ever named."""
    names = list(names)
    held: dict[str, int | None] = {}
    for start in range(0, len(names), _IN):
        held |= dict(connection.execute(_HELD, {"names": names[start : start + _IN]}).all())
    return held


def _version(connection: Connection, *, hold: bool = False) -> int:
    return connection.scalar(_VERSION.with_for_update() if hold else _VERSION) or 0


def _raise_version(connection: Connection) -> None:
    connection.execute(update(settings).where(settings.c.key == "policy_version").values(value=settings.c.value + 1))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _storable(name: str) -> bool:
    try:
        return "\0" not in name.encode().decode()
    except UnicodeEncodeError:
        return False
