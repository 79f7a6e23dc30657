"""A workspace: the folder with groundtune.toml and its state in `.groundtune/`. Knows where things lie, not what they mean."""

from __future__ import annotations

import os
import platform
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from groundtune.config import FILE_NAME, Config, load_config
from groundtune.errors import GroundtuneError, NotFound, UsageError, WorkspaceError
from groundtune.store.artefacts import PARTIAL, Artefacts, age, write_whole
from groundtune.store.database import Database
from groundtune.store.failures import database_failure, disk_failure, refused
from groundtune.store.stages import Stages

STATE = ".groundtune"

_ABANDONED = 600.0
"""Seconds after which a half-written file is nobody's."""


class Workspace:
    """An open workspace; close it, or use it as a context manager."""

    def __init__(self, root: Path, *, config: Config) -> None:
        self.root = root
        self.config = config
        self.state = root / STATE
        try:
            _make_state(self.state)
        except OSError as error:
            raise disk_failure(error, self.state) from error
        self.database = Database.at(self.state / "groundtune.db")
        self.artefacts = Artefacts(self.state / "artefacts")
        self.stages = Stages(self.database, self.artefacts)
        self._holder = 0
        self._depth = 0

    @classmethod
    def open(cls, root: Path | str = ".") -> Self:
        """Raises NotFound without groundtune.toml, ConfigError for its faults, WorkspaceError when the state cannot be used."""
        root = Path(root).resolve()
        path = root / FILE_NAME
        if not path.exists():
            raise NotFound(
                f"there is no {FILE_NAME}, so this is not a workspace.", subject=str(root), remedy="Run there: groundtune init"
            )
        return cls(root, config=load_config(path))

    @classmethod
    def create(cls, root: Path | str, *, config_text: str) -> Self:
        """Make the folder a workspace and open it. Raises UsageError when it is one, ConfigError when the text is faulty."""
        root = Path(root).resolve()
        path = root / FILE_NAME
        if path.exists():
            raise UsageError("is a workspace already.", subject=str(path), remedy="Edit that file, or choose another folder.")
        try:
            root.mkdir(parents=True, exist_ok=True)
            write_whole(path, config_text.encode())
        except OSError as error:
            raise disk_failure(error, root) from error
        try:
            return cls.open(root)
        except BaseException:
            path.unlink(missing_ok=True)
            raise

    @property
    def documents(self) -> Path:
        """The folder of documents; it may be absent. Raises NotFound when the configuration says that there are none."""
        if not self.config.documents:
            raise NotFound("this workspace has no documents.", subject=str(self.root), remedy=f"Set documents in {FILE_NAME}.")
        return self.root / self.config.documents

    @property
    def questions(self) -> Path:
        """The file of questions; it may be absent."""
        return self.root / self.config.questions

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer of this workspace; within it the same thread may lock again.

        Raises WorkspaceError naming the process that writes now. The system holds the lock for the process, and frees it when
        the process ends in whatever way: none is ever left over, and no process id is trusted. What a killed one left half
        written is removed.
        """
        if self._depth and self._holder == threading.get_ident():
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        note = self.state / "writer.pid"
        try:
            connection = _seize(self.state / "writer.lock")
        except sqlite3.Error as error:
            if not _held(error):
                raise database_failure(error, self.state / "writer.lock") from error
            raise WorkspaceError(
                f"is being written by {_writer(note)}.",
                subject=str(self.root),
                remedy="Wait until it ends, or end it, and run the command again.",
            ) from None
        try:
            try:
                note.write_text(f"{os.getpid()} {platform.node()}")
                _remove_partial(self.state)
            except OSError as error:
                raise disk_failure(error, note) from error
            self._holder, self._depth = threading.get_ident(), 1
            try:
                yield
            finally:
                self._depth = 0
        finally:
            connection.close()

    @property
    def writer(self) -> str:
        """Who writes this workspace now, as `process 123 on thatmachine`; empty when nobody does."""
        try:
            _seize(self.state / "writer.lock").close()
        except sqlite3.Error as error:
            return _writer(self.state / "writer.pid") if _held(error) else ""
        return ""

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Whatever the disk refuses inside leaves as a WorkspaceError that says what to do."""
        self.close()
        if isinstance(error, OSError) and not isinstance(error, GroundtuneError) and refused(error):
            raise disk_failure(error, error.filename or self.root) from error


def _make_state(state: Path) -> None:
    """The folder of the state: for its owner's eyes, as it holds the documents' text, and never under version control."""
    state.mkdir(mode=0o700, exist_ok=True)
    ignore = state / ".gitignore"
    if not ignore.exists():
        write_whole(ignore, b"*\n")


def _seize(lock: Path) -> sqlite3.Connection:
    """An exclusive SQLite transaction: a file lock on every platform, and one that the end of a process always frees."""
    connection = sqlite3.connect(lock, timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("BEGIN EXCLUSIVE")
    except BaseException:
        connection.close()
        raise
    return connection


def _held(error: sqlite3.Error) -> bool:
    return error.sqlite_errorname.startswith("SQLITE_BUSY")


def _remove_partial(state: Path) -> None:
    """Remove what processes that were killed left half written."""
    for folder in ("", "artefacts/*/", "weights/*/", "runs/*/"):
        for left in state.glob(f"{folder}{PARTIAL}*"):
            with suppress(FileNotFoundError):
                if age(left) > _ABANDONED:
                    left.unlink()


def _writer(note: Path) -> str:
    """The process that the lock's holder noted; on another machine its id says little, so the machine is named."""
    try:
        pid, _, machine = note.read_text().partition(" ")
    except OSError:
        return "another process"
    return f"process {pid}" if machine in ("", platform.node()) else f"process {pid} on {machine}"
