"""SQL by execution: equal results by cases written by hand, alternatives, and queries that mean harm."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from groundtune.errors import ConfigError, DataError
from groundtune.interfaces import Metric
from groundtune.scoring import metric
from groundtune.scoring import sql as rules
from groundtune.scoring.settings import Settings
from groundtune.scoring.sql import accepted_queries, bare_query, orders, same_result
from groundtune.types import Answer, Example

ROWS = [(1, "Ann", 3.5, "Rome"), (2, "Bob", 2.0, "Oslo"), (3, "Cid", 2.0, "Rome"), (4, "Bob", None, "Oslo")]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "a b#c?.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE person (id INTEGER, name TEXT, score REAL, city TEXT)")
        connection.executemany("INSERT INTO person VALUES (?, ?, ?, ?)", ROWS)
    return path


@pytest.fixture
def execution(database: Path) -> Metric:
    return metric("sql_execution", settings=Settings(database=database))


def item(*accepted: str) -> Example:
    return Example("q7", "?", accepted, origin="q.jsonl:7")


@pytest.mark.parametrize(
    ("accepted", "given", "score"),
    [
        ("SELECT name FROM person", "select p.name from person p order by id desc;", 1),
        ("SELECT name FROM person ORDER BY id", "SELECT name FROM person ORDER BY id DESC", 0),
        ("SELECT name FROM person ORDER BY id", "SELECT name FROM person ORDER BY score IS NULL, id", 1),
        ("SELECT DISTINCT name FROM person", "SELECT name FROM person", 0),
        ("SELECT id, name FROM person", "SELECT name AS n, id FROM person", 1),
        ("SELECT id FROM person", "SELECT id, name FROM person", 0),
        ("SELECT avg(score) FROM person", "SELECT 7.5 / 3", 1),
        ("SELECT count(*) FROM person", "SELECT 4.0", 1),
        ("SELECT count(*) FROM person", "SELECT '4'", 0),
        ("SELECT score FROM person WHERE id = 4", "SELECT NULL", 1),
        ("SELECT score FROM person WHERE id = 4", "SELECT 0", 0),
        ("SELECT '02.50|   x'", "SELECT printf('%05.2f|%*s', 2.5, 4, 'x')", 1),
        ("SELECT NULL", "SELECT printf()", 1),
        ("SELECT name FROM person WHERE id = 9", "SELECT name FROM person WHERE id = 8", 1),
        ("SELECT name FROM person WHERE id = 1", "```sql\nSELECT 'Ann';\n```", 1),
        ("SELECT name FROM person WHERE id = 1", "The query is SELECT 'Ann'", 0),
        ("SELECT name FROM person WHERE id = 1", "SELECT nme FROM person", 0),
        ("SELECT name FROM person WHERE id = 1", "", 0),
        ("SELECT {id, name} FROM person", "SELECT name FROM person", 1),
        ("SELECT {id, name} FROM person", "SELECT id, name FROM person", 1),
        ("SELECT {id, name} FROM person", "SELECT city FROM person", 0),
        ("SELECT {city, city AS town}, count(*) FROM person GROUP BY {}", "SELECT count(*), city FROM person GROUP BY 2", 1),
        ("SELECT id FROM person; SELECT name FROM person;", "SELECT name FROM person", 1),
        ("SELECT 'a;b{c}' ; SELECT id FROM person", "SELECT 'a;b{c}'", 1),
    ],
)
def test_results_are_compared(execution: Metric, accepted: str, given: str, score: float) -> None:
    assert execution(item(accepted), Answer(given)) == score


def test_any_reference_is_accepted_and_abstaining_is_right_where_there_is_none(execution: Metric) -> None:
    assert execution(item("SELECT id FROM person", "SELECT name FROM person"), Answer("SELECT name FROM person")) == 1
    assert execution(item(), Answer("Not in the documents.", abstained=True)) == 1
    assert execution(item(), Answer("SELECT 1")) == 0
    assert execution(item("SELECT 1"), Answer("SELECT 1", abstained=True)) == 0


HOSTILE = [
    "DELETE FROM person",
    "INSERT INTO person VALUES (9, 'x', 1, 'y')",
    "UPDATE person SET name = 'x' RETURNING 1",
    "DROP TABLE person",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP TABLE t (a)",
    "ATTACH DATABASE '{folder}/new.sqlite' AS n",
    "VACUUM INTO '{folder}/new.sqlite'",
    "PRAGMA writable_schema = 1",
    "PRAGMA table_info(person)",
    "SELECT * FROM pragma_database_list",
    "SELECT load_extension('x')",
    "SELECT readfile('/etc/passwd')",
    "BEGIN",
    "EXPLAIN SELECT 1",
    "SELECT 1; DROP TABLE person",
    "SELECT 1 --\n; DELETE FROM person",
    "WITH d AS (SELECT 1) DELETE FROM person",
    "SELECT \x00 1",
    "SELECT '\ud800'",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT x FROM c",
    "WITH RECURSIVE c(x) AS (SELECT zeroblob(200000) UNION ALL SELECT x FROM c) SELECT x FROM c ORDER BY x",
    "SELECT randomblob(1000000000)",
    "SELECT printf('%.*c', 900000000, 'x')",
    "SELECT printf('%.*c', '900000000', 'x')",
    "SELECT format('%900000000d', 1)",
    "SELECT replace(hex(zeroblob(100000)), '0', hex(zeroblob(100000)))",
    "SELECT max(instr(hex(zeroblob(120000)), hex(zeroblob(60000)) || '1')), id FROM person GROUP BY id",
    "SELECT a.id FROM " + ", ".join(f"person {letter}" for letter in "abcdefghijklmno"),
]


@pytest.mark.parametrize("query", HOSTILE)
def test_hostile_queries_score_nothing_and_change_nothing(
    query: str, database: Path, execution: Metric, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a twentieth of the instructions, to be quick."""
    monkeypatch.setattr(rules, "INSTRUCTIONS", rules.INSTRUCTIONS // 20)
    before = database.read_bytes()
    assert execution(item("SELECT 1"), Answer(query.replace("{folder}", str(database.parent)))) == 0
    assert database.read_bytes() == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]
    assert execution(item("SELECT 1"), Answer("SELECT 1")) == 1


def test_the_number_of_instructions_decides_and_not_the_clock(execution: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    long = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 100000) SELECT count(*) FROM c"
    assert execution(item("SELECT 100000"), Answer(long)) == 1
    monkeypatch.setattr(rules, "INSTRUCTIONS", 100_000)
    assert execution(item("SELECT 100000"), Answer(long)) == 0


def test_a_result_may_be_as_large_as_the_limit(execution: Metric) -> None:
    rows = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT {}) SELECT x FROM c"
    assert execution(item(rows.format(rules.ROWS)), Answer(rows.format(rules.ROWS) + " ORDER BY x DESC")) == 1
    with pytest.raises(DataError, match="larger than"):
        execution(item(rows.format(rules.ROWS + 1)), Answer("SELECT 1"))


def test_an_item_whose_queries_all_fail_is_named(execution: Metric) -> None:
    assert execution(item("SELECT nme FROM person; SELECT 1"), Answer("SELECT 1")) == 1
    with pytest.raises(DataError, match=r"q\.jsonl:7.*nme"):
        execution(item("SELECT nme FROM person"), Answer("SELECT 1"))


def test_a_missing_database_and_one_that_is_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, " * 100)
    with pytest.raises(ConfigError, match=r"scoring\.database"):
        metric("sql_execution")
    for name in ("absent.sqlite", "text"):
        with pytest.raises(ConfigError, match=name):
            metric("sql_execution", settings=Settings(database=tmp_path / name))
    assert not (tmp_path / "absent.sqlite").exists()


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM t order\n /* x */ by a LIMIT 1", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a)", False),
        ("SELECT rank() OVER (ORDER BY a) FROM t", False),
        ("SELECT 'x order by y' FROM t -- order by", False),
        ('SELECT "order" by FROM t', False),
    ],
)
def test_what_orders_a_result(query: str, ordered: bool) -> None:
    assert orders(query) is ordered


def test_selections_of_columns() -> None:
    assert accepted_queries("SELECT {a AS x, f(b, c)} FROM t GROUP BY {}, {d, e}; SELECT 1") == [
        "SELECT a AS x FROM t GROUP BY a, d",
        "SELECT a AS x FROM t GROUP BY a, e",
        "SELECT a AS x FROM t GROUP BY a, d, e",
        "SELECT f(b, c) FROM t GROUP BY f(b, c), d",
        "SELECT f(b, c) FROM t GROUP BY f(b, c), e",
        "SELECT f(b, c) FROM t GROUP BY f(b, c), d, e",
        "SELECT a AS x, f(b, c) FROM t GROUP BY a, f(b, c), d",
        "SELECT a AS x, f(b, c) FROM t GROUP BY a, f(b, c), e",
        "SELECT a AS x, f(b, c) FROM t GROUP BY a, f(b, c), d, e",
        "SELECT 1",
    ]
    with pytest.raises(DataError, match="alternatives"):
        accepted_queries("SELECT {a, b, c, d, e, f, g, h, i} FROM t")


def test_columns_are_matched_together_and_not_one_by_one() -> None:
    """Each column holds the same values, the rows do not."""
    assert same_result(((1, 2), (2, 1)), ((2, 1), (1, 2)), ordered=True)
    assert not same_result(((1, 2), (2, 1)), ((1, 1), (2, 2)), ordered=False)
    wide = tuple(tuple(range(30)) for _ in range(5))
    assert same_result(wide, tuple(tuple(reversed(row)) for row in wide), ordered=True)
    same = tuple((1,) * 30 for _ in range(5))
    assert same_result(same, same, ordered=False)


def test_a_fence_is_taken_off_only_when_it_holds_everything() -> None:
    assert bare_query("```sqlite\nSELECT 1;\n```\n") == "SELECT 1"
    assert bare_query("Here: ```SELECT 1```") == "Here: ```SELECT 1```"
