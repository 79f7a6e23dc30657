"""Cached pure steps: the same inputs are never computed twice, and an interrupted run continues. Knows no step by name."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from sqlalchemy import delete, select

from groundtune.errors import NotFound
from groundtune.interfaces import Progress
from groundtune.store.artefacts import JSON, Artefacts, canonical_json
from groundtune.store.database import Database
from groundtune.store.tables import lineage, stages

_IN = 500  # values in one IN list; engines limit it


def digest(value: Any) -> str:
    """SHA-256, hex, of the value's canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


class Stages:
    """Runs steps whose result depends on nothing but their key.

    The artefact is stored first and its row after it, so a crash leaves at worst an artefact that no row names. Of two
    processes that compute the same key the first row wins and both return it.
    """

    def __init__(self, database: Database, artefacts: Artefacts) -> None:
        self.database = database
        self.artefacts = artefacts

    def run(
        self, stage: str, *, version: int, key: Mapping[str, Any], make: Callable[[], Any], parents: Iterable[str] = ()
    ) -> JSON:
        """The result of `make`, computed at most once for a key. `version` is raised when the step's code changes its results.

        What comes back is the stored JSON, also the first time: tuples are lists, dataclasses are tables. `parents` are what it
        came out of; the lineage keeps that.
        """
        address = digest({"stage": stage, "version": version, "key": key})
        stored = self._stored([address])
        found = stored[address] if address in stored else self._make(stage, version, address, make)
        self._descend([address], stage, sorted(set(parents)))
        return found

    def found(self, stage: str, *, version: int, keys: Mapping[str, Mapping[str, Any]]) -> dict[str, tuple[str, float]]:
        """Which of the keys have a stored result, without reading it: id -> artefact and when it was made."""
        addresses = {id: digest({"stage": stage, "version": version, "key": key}) for id, key in keys.items()}
        wanted = sorted(set(addresses.values()))
        rows: dict[str, tuple[str, float]] = {}
        with self.database.connect() as connection:
            for start in range(0, len(wanted), _IN):
                chosen = select(stages.c.key, stages.c.artefact, stages.c.created)
                for row in connection.execute(chosen.where(stages.c.key.in_(wanted[start : start + _IN]))):
                    rows[row.key] = (row.artefact, row.created)
        return {id: rows[address] for id, address in addresses.items() if address in rows}

    def map(
        self,
        stage: str,
        *,
        version: int,
        key: Mapping[str, Any],
        items: Mapping[str, Any],
        batch_size: int,
        compute: Callable[[list[str]], list[Any]],
        parents: Iterable[str] = (),
        progress: Progress | None = None,
    ) -> dict[str, JSON]:
        """Results by id, in order of id, computed in fixed batches that are cached one by one.

        `items` maps an id to the JSON of all that its result depends on besides `key`. Ids are sorted and cut every
        `batch_size`; a batch may change results, so its ids, their inputs and its size are part of its key, and a run that
        was interrupted continues with the very same batches. `parents` are what the items came out of; the lineage keeps that.
        """
        ids = sorted(items)
        batches = [ids[start : start + batch_size] for start in range(0, len(ids), batch_size)]
        settings = {"stage": stage, "version": version, "key": key, "batch_size": batch_size}
        addresses = [digest({**settings, "items": [(i, items[i]) for i in batch]}) for batch in batches]
        stored = self._stored(addresses)
        results: dict[str, JSON] = {}
        for batch, address in zip(batches, addresses, strict=True):
            values = stored.get(address)
            if values is None:
                values = self._make(stage, version, address, partial(_one_each, stage, batch, compute))
            results.update(zip(batch, values, strict=True))
            if progress is not None:
                progress(stage, len(results), len(ids))
        self._descend(addresses, stage, sorted(set(parents)))
        return results

    def _descend(self, addresses: list[str], stage: str, parents: list[str]) -> None:
        """Write into the lineage that the results at these addresses came out of `parents`."""
        if not parents:
            return
        with self.database.begin() as connection:
            for start in range(0, len(addresses), _IN):
                chosen = select(stages.c.artefact).where(stages.c.key.in_(addresses[start : start + _IN]))
                children = sorted(set(connection.scalars(chosen)))
                rows = [{"child": child, "parent": parent, "relation": stage} for child in children for parent in parents]
                self.database.insert_new(connection, lineage, rows)

    def drop(self, artefacts: Iterable[str]) -> None:
        """Forget these results and take them off the disk; whoever needs one again computes it again."""
        wanted = sorted(set(artefacts))
        with self.database.begin() as connection:
            for start in range(0, len(wanted), _IN):
                connection.execute(delete(stages).where(stages.c.artefact.in_(wanted[start : start + _IN])))
        for artefact in wanted:
            self.artefacts.remove(artefact)

    def _make(self, stage: str, version: int, address: str, make: Callable[[], Any]) -> JSON:
        started = time.perf_counter()
        data = canonical_json(make())
        row = {
            "key": address,
            "stage": stage,
            "version": version,
            "artefact": self.artefacts.put_bytes(data),
            "packages": json.dumps(package_versions(), sort_keys=True),
            "seconds": time.perf_counter() - started,
            "created": time.time(),
        }
        with self.database.begin() as connection:
            self.database.insert_new(connection, stages, [row])
        for found in self._stored([address]).values():
            return found
        with self.database.begin() as connection:  # an older row names an artefact that is lost
            self.database.upsert(connection, stages, [row])
        return json.loads(data)

    def _stored(self, addresses: list[str]) -> dict[str, JSON]:
        """The results that are there; a row whose artefact is lost or damaged counts as absent."""
        found: dict[str, JSON] = {}
        with self.database.connect() as connection:
            for start in range(0, len(addresses), _IN):
                chosen = stages.c.key.in_(addresses[start : start + _IN])
                rows = connection.execute(select(stages.c.key, stages.c.artefact).where(chosen)).all()
                for key, artefact in rows:
                    with suppress(NotFound):
                        found[key] = self.artefacts.get_json(artefact)
        return found


def _one_each(stage: str, batch: list[str], compute: Callable[[list[str]], list[Any]]) -> list[Any]:
    values = compute(batch)
    if len(values) != len(batch):
        raise ValueError(f"stage {stage!r} returned {len(values)} results for a batch of {len(batch)} items")
    return values


@cache
def package_versions() -> dict[str, str]:
    """Version of Python, of Groundtune and of each package that it may use and that is installed."""
    found = {"python": platform.python_version()}
    for requirement in ["groundtune", *(requires("groundtune") or [])]:
        name = re.match(r"[A-Za-z0-9._-]+", requirement)
        with suppress(PackageNotFoundError):
            found[name[0] if name else requirement] = version(name[0] if name else requirement)
    return found
