"""Writes what a training leaves behind: whole or not at all, and a failing disk is a named error. Knows no format."""

from __future__ import annotations

from pathlib import Path

from groundtune.store.artefacts import write_whole
from groundtune.store.failures import disk_failure


def write_file(path: Path, data: bytes) -> None:
    """Write `path`, its folder included. Raises WorkspaceError when the disk is full or read-only."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise disk_failure(error, path) from error
