"""Files of a folder as source items. Knows paths; reads no content and knows nothing of formats or access."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundtune.errors import DataError, NotFound, WorkspaceError

SIDECARS = (".access.toml", ".password")
"""Endings of the files that name a document's audience or hold its passwords; they are no documents."""


@dataclass(frozen=True, slots=True)
class FileItem:
    """One file below the folder."""

    id: str
    """Path below the folder with forward slashes."""
    path: Path
    modified: float
    """Seconds since the epoch."""
    size: int
    """Bytes."""
    touched: float = 0.0
    """When anything of the file last changed, its name included; seconds since the epoch."""

    @property
    def passwords(self) -> Path:
        """The file beside it that holds its passwords, present or not."""
        return self.path.with_name(self.path.name + SIDECARS[1])


class FilesSource:
    """Every file below `root` except hidden ones, sidecars, and links that leave the folder or lead nowhere."""

    name = "files"

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def scan(self) -> Iterator[FileItem]:
        """Items sorted by id.

        Raises NotFound when the folder is absent, DataError when it is no folder or holds no document, WorkspaceError when a
        folder may not be read (a folder that cannot be listed must not look like one whose documents were deleted).
        """
        if not self.root.exists():
            raise NotFound(
                "the documents folder does not exist.",
                subject=str(self.root),
                remedy="Create it and put documents in, or point `documents` in groundtune.toml at another folder.",
            )
        if not self.root.is_dir():
            raise DataError("is a file; documents are read from a folder.", subject=str(self.root), remedy="Name its folder.")
        items = sorted(self._walk(self.root, self.root.resolve(), frozenset()), key=lambda item: item.id)
        if not items:
            raise DataError(
                "the documents folder holds no documents (hidden files, *.access.toml and *.password do not count).",
                subject=str(self.root),
                remedy="Put at least one document in.",
            )
        yield from items

    def _walk(self, folder: Path, top: Path, seen: frozenset[Path]) -> Iterator[FileItem]:
        real = folder.resolve()
        if real in seen:  # a link to a folder above
            return
        try:
            entries = sorted(folder.iterdir())
        except PermissionError as error:
            raise WorkspaceError("may not be listed.", subject=str(folder), remedy="Grant read access to it.") from error
        for path in entries:
            if path.name.startswith(".") or path.name.endswith(SIDECARS):
                continue
            if path.is_symlink() and not _inside(path, top):
                continue
            if path.is_dir():
                yield from self._walk(path, top, seen | {real})
            elif path.is_file():
                state = path.stat()
                touched = max(state.st_ctime, state.st_mtime)
                yield FileItem(path.relative_to(self.root).as_posix(), path, state.st_mtime, state.st_size, touched)


def _inside(link: Path, top: Path) -> bool:
    """Whether the link's target exists, lies below `top`, and no part of it there is hidden."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # dangling, or a loop of links
        return False
    return target.is_relative_to(top) and not any(part.startswith(".") for part in target.relative_to(top).parts)
