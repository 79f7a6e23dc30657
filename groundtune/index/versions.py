"""Which index folder is the current one. Knows numbered folders and the number in the database; knows no rows."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from groundtune.errors import MissingExtra, WorkspaceError
from groundtune.interfaces import Index
from groundtune.plugins import load
from groundtune.store.artefacts import canonical_json, write_whole
from groundtune.store.database import Database

logger = logging.getLogger(__name__)

BACKENDS = {"lance": "groundtune.index.lance:LanceIndex", "sqlite": "groundtune.index.sqlite:SqliteIndex"}
"""`[index] backend` -> what makes an index of a folder."""

_SETTING = "index_version"
_ORIGIN = "made_from.json"


def index_class(backend: str) -> Any:
    """What makes an index of a folder. Raises MissingExtra where its package is not installed."""
    if backend == "lance" and find_spec("lancedb") is None:
        raise MissingExtra("lancedb", extra="lance", wanted_by='[index] backend = "lance"')
    return load(f"{backend}:index", group="groundtune.indexes", shipped=BACKENDS)


class IndexVersions:
    """Numbered index folders below `root`; the database names the current one, so that switching is one transaction."""

    def __init__(self, root: Path, *, database: Database) -> None:
        self.root = root
        self.database = database

    def current(self) -> int:
        """0 when nothing was ever indexed."""
        return self.database.setting(_SETTING)

    def origin(self, version: int) -> dict[str, Any]:
        """The settings that the version was made with; empty when they cannot be read."""
        try:
            origin = json.loads((self._folder(version) / _ORIGIN).read_bytes())
        except (OSError, ValueError):
            return {}
        return origin if isinstance(origin, dict) else {}

    def open(self, version: int, *, verify: bool = False) -> Index:
        """`verify` also reads from every file of the index. Raises WorkspaceError for one that cannot be opened or read."""
        origin = self.origin(version)
        try:
            index: Index = index_class(origin["backend"])(self._folder(version), dimensions=int(origin["dimensions"]))
            if verify:
                index.verify()
            return index
        except WorkspaceError:
            raise
        except (KeyError, OSError, RuntimeError, ValueError) as error:
            raise WorkspaceError(
                f"the index cannot be opened ({error}).", subject=str(self._folder(version)), remedy="Run: groundtune sync"
            ) from error

    def prepare(self, origin: Mapping[str, Any]) -> tuple[int, Index]:
        """The current version where it has this origin and is whole, else a new one beside it that `switch` makes current."""
        wanted = json.loads(canonical_json(origin))
        current = self.current()
        for version in (current, current + 1):  # the second: begun by a run that did not end
            if version and self.origin(version) == wanted:
                try:
                    return version, self.open(version, verify=True)
                except WorkspaceError as error:
                    logger.warning("%s It is built anew.", error.message)
        return self.begin(origin)

    def begin(self, origin: Mapping[str, Any]) -> tuple[int, Index]:
        """A new, empty version beside the current one, that `switch` makes current."""
        version = self.current() + 1
        folder = self._folder(version)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_whole(folder / _ORIGIN, canonical_json(origin))
        return version, self.open(version)

    def switch(self, version: int) -> None:
        """Make this version the current one and remove all others."""
        if self.current() != version:
            self.database.set_setting(_SETTING, version)
        for folder in self.root.iterdir():
            if folder != self._folder(version):
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, version: int) -> Path:
        return self.root / f"{version:06}"
