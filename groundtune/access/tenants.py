"""Customers with nothing shared: each is a workspace of its own below one folder. Knows names and folders; opens one at a time.

A tenant's database, index, artefacts and weights lie below its own folder, and ids, audiences and principals of one mean
nothing in another: the same principal in two tenants is two people. The machine's cache of models is shared; what it holds of
tuned weights is found by nobody who does not hold the adapter.
"""

from __future__ import annotations

import re
from pathlib import Path

from groundtune.config import FILE_NAME
from groundtune.errors import NotFound, UsageError
from groundtune.store.workspace import Workspace

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Tenants:
    """The workspaces below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> tuple[str, ...]:
        """Of those that exist, sorted."""
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        return tuple(sorted(path.name for path in found if _NAME.fullmatch(path.name) and self._is_tenant(path)))

    def create(self, name: str, *, config_text: str) -> Workspace:
        """A new tenant, open. Raises UsageError for a name that cannot be one and for a tenant that exists."""
        return Workspace.create(self._folder(name), config_text=config_text)

    def open(self, name: str) -> Workspace:
        """Raises NotFound as `root` does."""
        return Workspace.open(self.root(name))

    def root(self, name: str) -> Path:
        """A tenant's folder, for the calls that take one; `name` may come from anybody.

        Raises NotFound, with the same words, for a name that is none and for a tenant that does not exist.
        """
        try:
            folder = self._folder(name)
        except UsageError:
            folder = None
        if folder is None or not self._is_tenant(folder):
            raise NotFound("there is no such tenant.", subject=name, remedy="Check its name, or create it.")
        return folder

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise UsageError(
                "is no name of a tenant.", subject=ascii(name), remedy="Use up to 63 lower-case letters, digits and '-'."
            )
        return self.folder / name

    def _is_tenant(self, folder: Path) -> bool:
        """A real folder: a link could lead into another tenant."""
        return not folder.is_symlink() and (folder / FILE_NAME).is_file()
