"""Turns failures of the disk and of the database into WorkspaceErrors that say what to do. Raises nothing itself."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
from pathlib import Path

from groundtune.errors import WorkspaceError

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)
_NO_RIGHT = (errno.EROFS, errno.EACCES, errno.EPERM)
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")  # as Rust's standard library writes it
_NEARLY_NOTHING = 1 << 20  # bytes
_READ_ONLY = "cannot be written."
_MAY_WRITE = "Give this user the right to write there, or use a folder elsewhere."
_FULL = "the disk is full; nothing that was stored before is lost."
_FREE = "Free some space and run the same command again: it continues."


def refused(error: OSError) -> bool:
    """Whether the disk refused it: no space, no right, or a fault."""
    return error.errno in (*_NO_SPACE, *_NO_RIGHT, errno.EIO)


def disk_failure(error: OSError, subject: object) -> WorkspaceError:
    """The WorkspaceError for an OSError met while using `subject` (a path)."""
    if error.errno in _NO_SPACE:
        return WorkspaceError(_FULL, subject=str(subject), remedy=_FREE)
    if error.errno in _NO_RIGHT:
        return WorkspaceError(_READ_ONLY, subject=str(subject), remedy=_MAY_WRITE)
    remedy = "See whether the disk is healthy, then run the same command again: it continues."
    return WorkspaceError(f"cannot be used: {error.strerror or error}.", subject=str(subject), remedy=remedy)


def engine_failure(error: BaseException, subject: object) -> WorkspaceError | None:
    """The WorkspaceError for an engine's error that tells the system's in its text alone; None when it tells none."""
    number = _SYSTEM_ERROR.search(str(error))
    if number is None:
        return None
    told = OSError(int(number[1]), os.strerror(int(number[1])))
    return disk_failure(told, subject) if refused(told) else None


def full_disk(folder: Path) -> WorkspaceError | None:
    """The WorkspaceError of a full disk where `folder` lies on one: for failures whose text tells nothing."""
    if shutil.disk_usage(folder).free >= _NEARLY_NOTHING:
        return None
    return disk_failure(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), folder)


_MADE_ANEW = (
    "Put back a copy of it; or move it away, with the -wal and -shm beside it, and run the same command again: trained "
    "weights are found again, documents are read and questions answered anew, and looks are counted from one."
)


def database_failure(error: BaseException, subject: object, *, when_damaged: str = _MADE_ANEW) -> WorkspaceError:
    """The WorkspaceError for a failure of the database driver; `when_damaged` is the remedy for a file that is no database."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        what, remedy = "is locked by another process.", "Wait until that process ends, or end it, and run the command again."
    elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        what, remedy = _READ_ONLY, _MAY_WRITE
    elif name.startswith("SQLITE_FULL"):
        what, remedy = _FULL, _FREE
    elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        what, remedy = "is damaged.", when_damaged
    elif isinstance(error, sqlite3.Error):
        what, remedy = f"failed: {error}.", "See whether the disk is healthy and has space."
    else:
        what, remedy = f"cannot be reached: {error}.", "See whether the database server runs and accepts this user."
    return WorkspaceError(what, subject=str(subject), remedy=remedy)
