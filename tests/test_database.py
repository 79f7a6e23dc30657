from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, event, func, inspect, make_url, select, text
from sqlalchemy.exc import IntegrityError

import groundtune.store.migrations
from groundtune.access.register import AccessRegister
from groundtune.errors import WorkspaceError
from groundtune.installation import upgrade_command
from groundtune.store.artefacts import Artefacts
from groundtune.store.database import NEWEST, Database
from groundtune.store.lineage import ancestors, record
from groundtune.store.stages import Stages
from groundtune.store.tables import documents, metadata, settings
from groundtune.types import Audience, Caller

POSTGRES = os.environ.get("GROUNDTUNE_TEST_POSTGRES")
"""URL of an empty PostgreSQL database in which these tests may make schemas, for those who run one."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.skipif(not POSTGRES, reason="no server named"))])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        opened = Database.at(tmp_path / "groundtune.db")
    else:
        admin = Database(POSTGRES or "")
        schema = f"test_{random.randrange(10**9)}"
        with admin.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        admin.close()
        opened = Database(make_url(POSTGRES or "").update_query_dict({"options": f"-csearch_path={schema}"}))
    yield opened
    opened.close()


def test_migrations_lead_to_the_declared_tables(database: Database) -> None:
    with database.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == NEWEST


def test_migrations_lead_to_the_declared_defaults(tmp_path: Path) -> None:
    migrated, declared = Database.at(tmp_path / "groundtune.db"), create_engine("sqlite://")
    metadata.create_all(declared)
    for table in metadata.tables:
        wanted = [(column["name"], column["default"], column["nullable"]) for column in inspect(declared).get_columns(table)]
        assert [(c["name"], c["default"], c["nullable"]) for c in inspect(migrated.engine).get_columns(table)] == wanted
    declared.dispose()
    migrated.close()


def test_the_newest_revision_is_the_last_one_shipped() -> None:
    folder = str(Path(groundtune.store.migrations.__file__).parent)
    assert ScriptDirectory(folder, version_locations=[folder]).get_current_head() == NEWEST


def test_an_up_to_date_database_is_opened_without_alembic(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.db"
    Database.at(path).close()
    program = "import sys; from pathlib import Path; from groundtune.store.database import Database; "
    program += f"Database.at(Path({str(path)!r})).close(); sys.exit('alembic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_state_made_by_a_newer_version_is_left_alone(database: Database) -> None:
    with database.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(WorkspaceError, match="newer Groundtune") as caught:
        Database(database.url)
    assert caught.value.remedy == f"Run: {upgrade_command()}"
    with database.connect() as connection:
        assert connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_a_migration_that_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE lineage (x)")  # in the way of the fifth table
    raw.close()
    with pytest.raises(WorkspaceError, match="already exists"):
        Database.at(path)
    with sqlite3.connect(path) as raw:
        assert [name for (name,) in raw.execute("SELECT name FROM sqlite_master")] == ["lineage"]
    raw.close()


def test_rows_are_changed_in_the_given_columns_only(database: Database) -> None:
    with database.begin() as connection:
        database.upsert(connection, documents, [{"id": "a", "title": "A", "size": 1}, {"id": "b", "title": "B", "size": 2}])
        database.upsert(connection, documents, [{"id": "a", "size": 3}])
        database.upsert(connection, documents, [{"id": "b"}])
        database.insert_new(connection, documents, [{"id": "a", "title": "no"}, {"id": "c", "title": "C"}])
        database.upsert(connection, documents, [])
        database.insert_new(connection, documents, [])
    with database.connect() as connection:
        rows = connection.execute(
            select(documents.c.id, documents.c.title, documents.c.size, documents.c.status).order_by("id")
        )
        assert rows.all() == [("a", "A", 3, "pending"), ("b", "B", 2, "pending"), ("c", "C", 0, "pending")]


def test_an_exception_undoes_everything(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.begin() as connection:
        database.insert_new(connection, documents, [{"id": "a"}])
        raise ZeroDivisionError
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(documents)) == 0


def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(IntegrityError), database.begin() as connection:
        database.insert_new(connection, documents, [{"id": "a", "audience_id": 77}])


def test_settings_are_numbers(database: Database) -> None:
    assert (database.setting("index_version"), database.setting("policy_version"), database.setting("unknown")) == (0, 0, 0)
    database.set_setting("index_version", 3)
    assert database.setting("index_version") == 3


def test_a_reader_sees_one_moment_and_never_waits(database: Database) -> None:
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL reads statement by statement")
    version = select(settings.c.value).where(settings.c.key == "index_version")
    with database.connect() as reader:
        assert reader.scalar(version) == 0
        database.set_setting("index_version", 1)
        assert reader.scalar(version) == 0
    with database.begin(), database.connect() as reader:
        assert reader.scalar(version) == 1


def test_the_whole_store_works_on_either_engine(database: Database, tmp_path: Path) -> None:
    register, other = AccessRegister(database), AccessRegister(database)
    strange = "\x00'; DROP TABLE documents; --"
    assert register.assign({f"d{i}": Audience.of(f"u{i % 3}", strange) for i in range(9)}) == 9
    assert other.readable([f"d{i}" for i in range(12)], Caller.of("u1")) == {"d1", "d4", "d7"}
    assert other.readable(["d1", "d2"], Caller.of(strange)) == {"d1", "d2"}
    assert (register.assign({"d1": Audience.of("u2")}), other.may_read("d1", Caller.of("u1"))) == (1, False)
    record(database, child="weights", parents=["dataset", "dataset"], relation="trained on")
    record(database, child="dataset", parents=["d1", "weights"], relation="built from")
    assert ancestors(database, "weights") == {"dataset", "d1", "weights"}
    stages = Stages(database, Artefacts(tmp_path / "artefacts"))
    for _ in range(2):
        assert stages.run("x", version=1, key={}, make=lambda: [1]) == [1]


# --- what can go wrong with the file --------------------------------------------------------------------------------------


def test_a_locked_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.db"
    Database.at(path).close()
    database = Database.at(path, timeout=0.01)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(WorkspaceError, match=r"groundtune\.db: is locked by another process\. Wait"), database.begin():
        pass
    other.close()
    database.set_setting("index_version", 1)
    database.close()


@pytest.mark.parametrize("content", [b"this is no database at all " * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_named_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "groundtune.db"
    path.write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"groundtune\.db: is damaged\. Put back"):
        Database.at(path)
    assert path.read_bytes() == content


def test_a_page_damaged_within_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.db"
    database = Database.at(path)
    with database.begin() as connection:
        database.insert_new(connection, documents, [{"id": f"d{i}", "title": "x" * 500} for i in range(200)])
    database.close()
    raw = bytearray(path.read_bytes())
    raw[8192:] = os.urandom(len(raw) - 8192)
    path.write_bytes(raw)
    with pytest.raises(WorkspaceError, match="is damaged"):
        reopened = Database.at(path)
        with reopened.connect() as connection:
            connection.execute(select(documents)).all()


def test_a_fault_in_the_file_is_found(tmp_path: Path) -> None:
    path = tmp_path / "groundtune.db"
    database = Database.at(path)
    with database.begin() as connection:
        database.insert_new(connection, documents, [{"id": f"d{i}", "title": "x" * 500} for i in range(200)])
    assert database.fault() == ""
    database.close()
    raw = bytearray(path.read_bytes())
    raw[-8192:] = bytes(8192)
    path.write_bytes(raw)
    database = Database.at(path)
    assert database.fault() != ""
    database.close()


def test_a_full_disk_is_named_and_loses_nothing(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "groundtune.db")
    database.set_setting("index_version", 1)
    database.close()

    def small(connection: sqlite3.Connection, _: object) -> None:
        connection.execute("PRAGMA max_page_count = 1")  # SQLite then answers as on a full disk

    event.listen(database.engine, "connect", small)
    with (
        pytest.raises(WorkspaceError, match="the disk is full; nothing that was stored before is lost"),
        database.begin() as connection,
    ):
        database.insert_new(connection, documents, [{"id": f"d{i}", "title": "x" * 5000} for i in range(50)])
    assert database.setting("index_version") == 1
    database.close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"absent/groundtune\.db: cannot be written"):
        Database.at(tmp_path / "absent" / "groundtune.db")


def test_a_password_is_never_shown() -> None:
    psycopg = pytest.importorskip("psycopg")
    assert psycopg
    with pytest.raises(WorkspaceError, match="cannot be reached") as caught:
        Database("postgresql+psycopg://someone:hunter2@127.0.0.1:1/none")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "100%", "what?x=1", "a#b", "ä", "file:x"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    database = Database.at(tmp_path / name / "groundtune.db")
    database.close()
    assert (tmp_path / name / "groundtune.db").exists()
