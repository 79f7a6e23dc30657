from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select

from groundtune.store.database import Database
from groundtune.store.lineage import ancestors, descendants, record
from groundtune.store.tables import lineage

nodes = st.sampled_from(["document:a.md", "parse:1", "chunk:'; --", "vector", "dataset", "weights"])


def closure(edges: set[tuple[str, str]], start: str) -> set[str]:
    """All ends reached from `start` by following (from, to) again and again."""
    reached = {end for begin, end in edges if begin == start}
    while more := {end for begin, end in edges if begin in reached} - reached:
        reached |= more
    return reached


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(edges=st.sets(st.tuples(nodes, nodes), max_size=9))
def test_walks_both_ways_and_through_cycles(tmp_path: Path, edges: set[tuple[str, str]]) -> None:
    database = Database.at(tmp_path / "groundtune.db")
    with database.begin() as connection:
        connection.execute(delete(lineage))
    for child, parent in edges:
        record(database, child=child, parents=[parent], relation="made from")
    for start in ("document:a.md", "parse:1", "weights", "unknown"):
        assert ancestors(database, start) == closure(edges, start)
        assert descendants(database, start) == closure({(parent, child) for child, parent in edges}, start)
    database.close()


def test_saying_it_twice_changes_nothing(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "groundtune.db")
    for _ in range(2):
        record(database, child="weights", parents=["b", "a", "a"], relation="trained on")
    record(database, child="weights", parents=["a"], relation="stopped by")
    record(database, child="alone", parents=[], relation="made from")
    with database.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(lineage)) == 3
    assert (ancestors(database, "weights"), ancestors(database, "alone")) == ({"a", "b"}, set())
    database.close()


def test_a_long_chain_and_a_wide_fan_are_walked(tmp_path: Path) -> None:
    database = Database.at(tmp_path / "groundtune.db")
    record(database, child="step 0", parents=[f"document {number}" for number in range(3_000)], relation="made from")
    with database.begin() as connection:
        rows = [{"child": f"step {n + 1}", "parent": f"step {n}", "relation": "made from"} for n in range(2_000)]
        database.insert_new(connection, lineage, rows)
    assert len(ancestors(database, "step 2000")) == 5_000
    assert len(descendants(database, "document 7")) == 2_001
    database.close()
