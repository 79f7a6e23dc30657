"""Content-addressed files: bytes in, SHA-256 out. Knows nothing of what they hold or who made them."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from groundtune.errors import NotFound
from groundtune.store.failures import disk_failure

JSON: TypeAlias = Any
"""What `json.loads` returns: None, bool, int, float, str, lists and dicts with string keys."""

PARTIAL = ".partial-"
"""Begins the name of a file that is being written; one that stays was left by a process that was killed."""

logger = logging.getLogger(__name__)


def canonical_json(value: Any) -> bytes:
    """The one spelling of a value: sorted keys, no spaces, ASCII, no NaN. Dataclasses become tables, sets sorted lists."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False, default=_plain).encode()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, set | frozenset):
        return sorted(value, key=canonical_json)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


class Artefacts:
    """Files below `root` named by the SHA-256 of their bytes. A name that is there holds the whole content, crash or not."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, sha: str) -> Path:
        """Where the artefact lies, present or not."""
        return self.root / sha[:2] / sha[2:]

    def put_bytes(self, data: bytes) -> str:
        """Store and return the hash; a damaged one is put right. Raises WorkspaceError when the disk is full or read-only."""
        sha = hashlib.sha256(data).hexdigest()
        path = self.path(sha)
        try:
            if path.exists() and path.read_bytes() == data:
                return sha
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
        except OSError as error:
            raise disk_failure(error, path) from error
        return sha

    def get_bytes(self, sha: str) -> bytes:
        """Raises NotFound when the artefact is absent or was damaged (a damaged one is removed, so that it is made again)."""
        path = self.path(sha)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise NotFound("this artefact is not stored.", subject=sha) from None
        except OSError as error:
            raise disk_failure(error, path) from error
        if hashlib.sha256(data).hexdigest() != sha:
            logger.warning("%s was damaged on disk and is removed; it will be made again", path)
            path.unlink(missing_ok=True)
            raise NotFound("this artefact was damaged on disk.", subject=sha, remedy="Run the command again.")
        return data

    def names(self) -> Iterator[str]:
        """The hashes of all that is stored."""
        for folder in sorted(self.root.glob("[0-9a-f][0-9a-f]")):
            yield from (folder.name + path.name for path in sorted(folder.iterdir()) if not path.name.startswith("."))

    def remove(self, sha: str) -> None:
        """Take it off the disk, present or not."""
        self.path(sha).unlink(missing_ok=True)

    def put_json(self, value: Any) -> str:
        return self.put_bytes(canonical_json(value))

    def get_json(self, sha: str) -> JSON:
        return json.loads(self.get_bytes(sha))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a crash leaves the old content or the new, never a part. Raises OSError."""
    with whole(path) as draft:
        draft.write_bytes(data)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A draft to write beside `path`, which takes its place at the end; a crash leaves the old content or the new."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=PARTIAL)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        bring_to_disk(draft)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    with contextlib.suppress(OSError):  # the new name itself; some file systems cannot
        bring_to_disk(path.parent)


def age(path: Path) -> float:
    """Seconds since `path` was changed. A date in the future was given by a clock that was put back since: it is old."""
    return abs(time.time() - path.stat().st_mtime)


def bring_to_disk(path: Path) -> None:
    """Have a file's bytes, or a folder's names, outlast a power cut. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
