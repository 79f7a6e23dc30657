"""The index of a workspace as it is now, opened anew when another version takes its place. Asks no question of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar

from groundtune.errors import NotFound, UsageError, WorkspaceError
from groundtune.index.versions import IndexVersions
from groundtune.interfaces import Embedder, Searched
from groundtune.store.workspace import Workspace

T = TypeVar("T")


class CurrentIndex:
    """The newest version of the workspace's index, or the one that is `given`."""

    def __init__(self, workspace: Workspace, *, embedder: Embedder, given: Searched | None = None) -> None:
        self._root, self._embedder, self._given = str(workspace.root), embedder, given
        self._versions = IndexVersions(workspace.state / "index", database=workspace.database)
        self._guard = threading.Lock()
        self._opened: tuple[int, Searched] | None = None

    def origin(self) -> dict[str, Any]:
        """What the newest version was made with."""
        return self._versions.origin(self._versions.current())

    def ask(self, search: Callable[[Searched], T]) -> T:
        """What `search` finds; it is tried once more when a sync took its files away meanwhile.

        Raises NotFound before the first sync, UsageError when the index was made with another embedder.
        """
        try:
            return search(self._index())
        except (OSError, RuntimeError):
            with self._guard:
                self._opened = None
        try:
            return search(self._index())
        except (OSError, RuntimeError) as error:
            if isinstance(error, WorkspaceError):
                raise
            raise WorkspaceError(
                f"the index cannot be searched ({error}).", subject=self._root, remedy="Run: groundtune sync"
            ) from error

    def _index(self) -> Searched:
        if self._given is not None:
            return self._given
        version = self._versions.current()
        with self._guard:
            if self._opened is None or self._opened[0] != version:
                if not version:
                    raise NotFound("its documents are not indexed yet.", subject=self._root, remedy="Run: groundtune sync")
                made_with = self._versions.origin(version).get("embedder")
                if made_with is not None and made_with != self._embedder.fingerprint:
                    raise UsageError(
                        f"the index was made with another embedder than {self._embedder.name}.",
                        subject=self._root,
                        remedy="Run: groundtune sync",
                    )
                self._opened = (version, self._versions.open(version))
            return self._opened[1]
