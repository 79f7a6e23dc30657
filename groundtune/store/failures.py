"""Turns failures of the disk and of the database into WorkspaceErrors that say what to do. Raises nothing itself."""

from __future__ import annotations

import errno
import sqlite3

from groundtune.errors import WorkspaceError

_READ_ONLY = "cannot be written."
_MAY_WRITE = "Give this user the right to write there, or use a folder elsewhere."
_FULL = "the disk is full; nothing that was stored before is lost."
_FREE = "Free some space and run the same command again: it continues."


def disk_failure(error: OSError, subject: object) -> WorkspaceError:
    """The WorkspaceError for an OSError met while using `subject` (a path)."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkspaceError(_FULL, subject=str(subject), remedy=_FREE)
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return WorkspaceError(_READ_ONLY, subject=str(subject), remedy=_MAY_WRITE)
    return WorkspaceError(f"cannot be used: {error.strerror or error}.", subject=str(subject))


def database_failure(error: BaseException, subject: object) -> WorkspaceError:
    """The WorkspaceError for a failure of the database driver."""
    name = str(getattr(error, "sqlite_errorname", ""))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        what, remedy = "is locked by another process.", "Wait until that process ends, or end it, and run the command again."
    elif name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")):
        what, remedy = _READ_ONLY, _MAY_WRITE
    elif name.startswith("SQLITE_FULL"):
        what, remedy = _FULL, _FREE
    elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        what = "is damaged."
        remedy = "Put back a copy of it, or move its folder away and run: groundtune sync"
    elif isinstance(error, sqlite3.Error):
        what, remedy = f"failed: {error}.", "See whether the disk is healthy and has space."
    else:
        what, remedy = f"cannot be reached: {error}.", "See whether the database server runs and accepts this user."
    return WorkspaceError(what, subject=str(subject), remedy=remedy)
