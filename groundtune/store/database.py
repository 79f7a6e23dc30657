"""One schema on two engines: SQLite in WAL mode, or PostgreSQL by URL. Knows connections and migrations, not what rows mean."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import URL, Connection, Engine, Table, bindparam, create_engine, event, inspect, make_url, select, text
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import OperationalError

from groundtune.errors import WorkspaceError
from groundtune.installation import upgrade_command
from groundtune.store.failures import database_failure
from groundtune.store.tables import settings

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql

NEWEST = "0003"
"""Revision that this package expects; a test holds it to `migrations/`."""

_WRITE = "groundtune_write"
_SETTING = select(settings.c.value).where(settings.c.key == bindparam("key"))
_MIGRATION_LOCK = 0x67726F756E64  # PostgreSQL advisory lock; "ground"


class Database:
    """Connections to a workspace's state, migrated to the newest revision on opening.

    `timeout`: seconds to wait for another writer. Raises WorkspaceError, here and in every use, when the file is locked,
    read-only or damaged, when the disk is full, or when a newer Groundtune made it.
    """

    def __init__(self, url: str | URL, *, timeout: float = 30.0) -> None:
        self.url = make_url(url)
        self.subject = self.url.database if self.url.get_backend_name() == "sqlite" else self.url.render_as_string()
        self.engine = create_engine(self.url)
        event.listen(self.engine, "handle_error", self._explain, retval=True)
        if self.engine.dialect.name == "sqlite":
            _set_up_sqlite(self.engine, timeout=timeout, subject=self.subject or "the database")
        try:
            self._migrate()
        except BaseException:
            self.close()
            raise

    @classmethod
    def at(cls, path: Path, *, timeout: float = 30.0) -> Self:
        """The SQLite file at `path`, made when absent."""
        return cls(URL.create("sqlite", database=str(path)), timeout=timeout)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection for reading: one snapshot from its first statement on."""
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """A connection for writing: committed at the end, undone by an exception; on SQLite the only writer from the start."""
        with self.engine.connect().execution_options(**{_WRITE: True}) as connection, connection.begin():
            yield connection

    def upsert(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows (all with the same keys) or, where the primary key exists, change just the given columns."""
        if rows:
            insert = self._insert(table)
            keys = [column.name for column in table.primary_key]
            changes = {name: insert.excluded[name] for name in rows[0] if name not in keys}
            if not changes:
                self.insert_new(connection, table, rows)
                return
            connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=changes), list(rows))

    def insert_new(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert rows (all with the same keys) and leave those that exist as they are."""
        if rows:
            connection.execute(self._insert(table).on_conflict_do_nothing(), list(rows))

    def setting(self, key: str) -> int:
        """A stored number, 0 when never set."""
        with self.connect() as connection:
            return connection.scalar(_SETTING, {"key": key}) or 0

    def set_setting(self, key: str, value: int) -> None:
        with self.begin() as connection:
            self.upsert(connection, settings, [{"key": key, "value": value}])

    def fault(self) -> str:
        """What is wrong inside an SQLite file, after reading all of it; empty when nothing is. Servers check themselves."""
        if self.engine.dialect.name != "sqlite":
            return ""
        with self.connect() as connection:
            first = str(connection.scalar(text("PRAGMA quick_check(1)")))
        return "" if first == "ok" else first

    def compact(self) -> None:
        """Take deleted rows off the disk too. PostgreSQL does so by itself, in its own time."""
        if self.engine.dialect.name == "sqlite":
            connection = self.engine.raw_connection()
            try:
                for statement in ("VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"):
                    connection.cursor().execute(statement)
            finally:
                connection.close()

    def close(self) -> None:
        self.engine.dispose()

    def _insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        if self.engine.dialect.name == "sqlite":
            return sqlite.insert(table)
        from sqlalchemy.dialects import postgresql  # a tenth of a second that `ask` on SQLite need not pay

        return postgresql.insert(table)

    def _explain(self, context: ExceptionContext) -> BaseException | None:
        original = context.original_exception
        of_sqlite = isinstance(original, sqlite3.DatabaseError) and not isinstance(
            original, sqlite3.IntegrityError | sqlite3.ProgrammingError
        )
        if of_sqlite or isinstance(context.sqlalchemy_exception, OperationalError):
            return database_failure(original, self.subject)
        return None

    def _revision(self, connection: Connection) -> str | None:
        if not inspect(connection).has_table("alembic_version"):
            return None
        revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
        return revision

    def _migrate(self) -> None:
        with self.connect() as connection:
            if self._revision(connection) == NEWEST:
                return
        with self.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            revision = self._revision(connection)  # another process may have been faster
            if revision is not None and revision > NEWEST:
                raise WorkspaceError(
                    f"was made by a newer Groundtune (revision {revision}, this one knows {NEWEST}).",
                    subject=str(self.subject),
                    remedy=f"Run: {upgrade_command()}",
                )
            if revision != NEWEST:
                _upgrade(connection)


def _upgrade(connection: Connection) -> None:
    """Run the missing migrations inside the caller's transaction. Alembic is imported only where there is something to do."""
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    folder = str(Path(__file__).parent / "migrations")
    script = ScriptDirectory(folder, version_locations=[folder])

    def missing(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)

    with EnvironmentContext(Config(), script, fn=missing) as environment:
        environment.configure(connection=connection, transactional_ddl=True)
        environment.run_migrations()


def _set_up_sqlite(engine: Engine, *, timeout: float, subject: str) -> None:
    """All that is particular to SQLite: write-ahead log, foreign keys, waiting, and real transactions."""

    def on_connect(connection: sqlite3.Connection, _: Any) -> None:
        connection.isolation_level = None  # the driver would begin transactions too late, and none before DDL
        try:
            connection.execute(f"PRAGMA busy_timeout = {int(timeout * 1000)}")
            connection.execute("PRAGMA foreign_keys = ON")
            _write_ahead(connection, timeout=timeout)
        except sqlite3.Error as error:
            connection.close()
            raise database_failure(error, subject) from error

    def on_begin(connection: Connection) -> None:
        # A writer that starts as a reader fails at once when another one was faster: take the lock first.
        writing = connection.get_execution_options().get(_WRITE)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")

    event.listen(engine, "connect", on_connect)
    event.listen(engine, "begin", on_begin)


def _write_ahead(connection: sqlite3.Connection, *, timeout: float) -> None:
    """Switch the file to its write-ahead log, once for ever. Two that switch at once are not made to wait by SQLite itself."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
