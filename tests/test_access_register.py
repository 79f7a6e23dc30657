from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from groundtune.access import register as register_module
from groundtune.access.clauses import ClauseIndex
from groundtune.access.register import AccessRegister
from groundtune.errors import DataError
from groundtune.store.database import Database
from groundtune.store.tables import audiences, documents
from groundtune.types import EVERYONE, NOBODY, Audience, Caller

principals = st.sampled_from(["a", "b", "c", EVERYONE, "", "\x00", "\ud800", "'; DROP TABLE audiences; --"])
some_audiences = st.builds(
    Audience, st.frozensets(st.frozensets(principals, max_size=3), max_size=3), st.frozensets(principals, max_size=2)
)
callers = st.builds(Caller, st.frozensets(principals, max_size=3))
names = st.sampled_from(["a.md", "hr/b.md", "%", "_", "'; DROP TABLE documents; --", "ä"])
changes = st.dictionaries(names, some_audiences, max_size=4)


def reads(audience: Audience, caller: Caller) -> bool:
    """The definition, one principal at a time."""
    met = [any(principal in clause for principal in caller.principals) for clause in audience.clauses]
    return len(met) > 0 and False not in met and not [p for p in caller.principals if p in audience.denied]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.at(tmp_path / "groundtune.db")
    yield opened
    opened.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(steps=st.lists(changes, min_size=1, max_size=4), asking=st.lists(callers, min_size=1, max_size=3))
def test_every_answer_is_that_of_brute_force_at_the_newest_policy(
    database: Database, steps: list[dict[str, Audience]], asking: list[Caller]
) -> None:
    with database.begin() as connection:
        connection.execute(delete(documents))
    writer, reader = AccessRegister(database), AccessRegister(database)  # the reader caches while the writer changes
    truth: dict[str, Audience] = {}
    for step in steps:
        before = writer.policy_version()
        changed = {name for name, audience in step.items() if name not in truth or truth[name] != audience}
        assert writer.assign(step) == len(changed)
        assert writer.policy_version() == before + bool(changed)
        truth |= step
        for caller in asking:
            readable = {name for name, audience in truth.items() if reads(audience, caller)}
            assert reader.readable([*truth, "unknown"], caller) == readable
            assert {name for name in [*truth, "unknown"] if reader.may_read(name, caller)} == readable
            allowed = reader.allowed(caller)
            for name, audience in truth.items():
                assert (reader.intern(audience) in allowed) == (name in readable)
    assert {name: reader.audience(name) for name in truth} == truth


@given(st.lists(some_audiences, max_size=12), callers)
def test_the_clause_index_is_brute_force(given_: list[Audience], caller: Caller) -> None:
    index = ClauseIndex()
    for number, audience in enumerate(given_, start=1):
        index.add(number, audience)
    assert index.allowed(caller.principals) == {n for n, audience in enumerate(given_, start=1) if reads(audience, caller)}


def test_what_is_unknown_is_readable_by_nobody(database: Database) -> None:
    register = AccessRegister(database)
    with database.begin() as connection:
        database.insert_new(connection, documents, [{"id": "no audience.md"}])
    for name in ("no audience.md", "unknown.md", "\ud800", "\x00", ""):
        assert register.audience(name) == NOBODY
        assert not register.may_read(name, Caller.of("a", "local"))
        assert register.readable([name], Caller.of("a")) == set()
    assert register.readable([], Caller()) == set()
    assert register.allowed(Caller()) == frozenset()


def test_the_same_audience_has_one_id_for_ever(database: Database) -> None:
    register = AccessRegister(database)
    number = register.intern(Audience.of("a", "b"))
    version = register.policy_version()
    assert AccessRegister(database).intern(Audience.of("b", "a")) == number
    assert register.policy_version() == version
    assert register.intern(Audience.of("a", denied=("b",))) != number
    assert register.intern(NOBODY) not in register.allowed(Caller.of("a", "b"))
    assert number in register.allowed(Caller.of("b"))


def test_the_policy_version_rises_once_for_a_change_and_not_for_none(database: Database) -> None:
    register = AccessRegister(database)
    assert register.policy_version() == 0
    many = {f"{number}.md": Audience.of(f"user {number}") for number in range(1_300)}
    assert (register.assign(many), register.policy_version()) == (1_300, 1)
    assert (register.assign(many), register.policy_version()) == (0, 1)
    assert (register.assign({**many, "7.md": NOBODY}), register.policy_version()) == (1, 2)
    assert (register.assign({}), register.policy_version()) == (0, 2)
    assert register.readable(many, Caller.of("user 7", "user 8")) == {"8.md"}


def test_a_document_keeps_what_else_is_known_of_it(database: Database) -> None:
    register = AccessRegister(database)
    with database.begin() as connection:
        database.insert_new(connection, documents, [{"id": "a.md", "title": "A", "status": "ok"}])
    register.assign({"a.md": Audience.of("x"), "b.md": Audience.of("x")})
    with database.connect() as connection:
        rows = connection.execute(select(documents.c.id, documents.c.title, documents.c.status).order_by(documents.c.id)).all()
    assert [tuple(row) for row in rows] == [("a.md", "A", "ok"), ("b.md", "", "pending")]


@pytest.mark.parametrize("name", ["\ud800.md", "a\x00b"])
def test_an_id_that_is_no_text_is_refused_and_nothing_is_changed(database: Database, name: str) -> None:
    register = AccessRegister(database)
    with pytest.raises(DataError, match="not Unicode text"):
        register.assign({"good.md": Audience.of("a"), name: Audience.of("a")})
    assert (register.policy_version(), register.audience("good.md")) == (0, NOBODY)


REVOKE = """
import sys
from pathlib import Path
from groundtune.access.register import AccessRegister
from groundtune.store.database import Database
from groundtune.types import Audience
database = Database.at(Path(sys.argv[1]))
AccessRegister(database).assign({"pay.md": Audience.of("board"), "new.md": Audience.of("hr", "new group")})
database.close()
"""


def test_a_change_by_another_process_is_seen_at_once(database: Database, tmp_path: Path) -> None:
    register = AccessRegister(database)
    register.assign({"pay.md": Audience.of("hr"), "faq.md": Audience.of(EVERYONE)})
    hr = Caller.of("hr")
    assert register.readable(["pay.md", "faq.md", "new.md"], hr) == {"pay.md", "faq.md"}
    before = register.allowed(hr)
    subprocess.run([sys.executable, "-c", REVOKE, str(tmp_path / "groundtune.db")], check=True, timeout=60)
    assert not register.may_read("pay.md", hr)
    assert register.readable(["pay.md", "faq.md", "new.md"], hr) == {"faq.md", "new.md"}
    assert len(register.allowed(hr)) == len(before) + 1


def test_allowed_ids_are_cached_until_the_policy_changes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    register, computed = AccessRegister(database), []
    resolve = ClauseIndex.allowed

    def counted(self: ClauseIndex, held: frozenset[str]) -> frozenset[int]:
        computed.append(held)
        return resolve(self, held)

    monkeypatch.setattr(ClauseIndex, "allowed", counted)
    register.assign({"a.md": Audience.of("a")})
    for _ in range(3):
        register.allowed(Caller.of("a"))
        register.allowed(Caller.of("b"))
    assert len(computed) == 2
    register.assign({"b.md": Audience.of("a")})
    register.allowed(Caller.of("a"))
    assert len(computed) == 3


@pytest.mark.parametrize(("callers_kept", "ids_kept"), [(5, 10_000), (1_000, 40), (1_000, 0)])
def test_the_cache_is_bounded_and_forgets_the_oldest(
    database: Database, monkeypatch: pytest.MonkeyPatch, callers_kept: int, ids_kept: int
) -> None:
    monkeypatch.setattr(register_module, "_CACHED_CALLERS", callers_kept)
    monkeypatch.setattr(register_module, "_CACHED_IDS", ids_kept)
    register = AccessRegister(database)
    register.assign({f"{number}.md": Audience.of(EVERYONE, f"user {number}") for number in range(10)})
    for number in range(30):
        assert len(register.allowed(Caller.of(f"user {number}"))) == 10
    held = register._cache
    assert len(held) == min(callers_kept, ids_kept // 10)
    assert [caller for caller in held if Caller.of("user 29").principals == caller] == list(held)[-1:]


def test_threads_that_ask_and_change_at_once_never_see_a_revoked_document(database: Database) -> None:
    register, failures = AccessRegister(database), []
    register.assign({"pay.md": Audience.of("a"), "other.md": Audience.of("a")})
    revoked = threading.Event()

    def ask() -> None:
        for _ in range(60):
            certain = revoked.is_set()
            if "pay.md" in register.readable(["pay.md", "other.md"], Caller.of("a")) and certain:
                failures.append("leak")

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(5):
        register.assign({"more.md": Audience.of(f"g{number}")})
    register.assign({"pay.md": Audience.of("b")})
    revoked.set()
    ask()
    for thread in threads:
        thread.join()
    assert failures == []


def test_writers_at_once_intern_each_audience_once(database: Database, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def write(worker: int) -> None:
        mine = Database.at(tmp_path / "groundtune.db")
        try:
            for number in range(5):
                AccessRegister(mine).assign({f"{worker} {number}.md": Audience.of(f"group {number}")})
        except BaseException as error:
            failures.append(error)
        finally:
            mine.close()

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(audiences)) == 5
    register = AccessRegister(database)
    assert register.policy_version() == 20
    assert register.readable([f"{w} {n}.md" for w in range(4) for n in range(5)], Caller.of("group 3")) == {
        f"{w} 3.md" for w in range(4)
    }
