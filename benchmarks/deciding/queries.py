"""sql_defog in one database: the seven schemas that load in SQLite, each table under its schema's name. Knows that data set.

A task has one database, and tables of several schemas have the same name (`author`, `city`), so each becomes SCHEMA_TABLE in
the data, in the questions' list of tables and in the accepted queries. What does not return the same as before is left out.
"""

from __future__ import annotations

import csv
import re
import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from benchmarks.learning_tasks import Row, digest
from groundtune.scoring.sql import Database, Refused, accepted_queries

SCHEMAS = ("academic", "advising", "atis", "geography", "restaurants", "scholar", "yelp")

FILE = "defog.sqlite"

TODAY = "2025-01-01"
"""A few rows lie so long ago that they are counted from the day of loading; this day makes them the same on every machine."""

POSTGRES = (
    (r"::\w+", ""),
    (r"CURRENT_DATE - INTERVAL '([^']+)'", rf"date('{TODAY}', '-\1')"),
    (r"EXTRACT\(YEAR FROM (date\([^)]*\))\)", r"CAST(strftime('%Y', \1) AS INTEGER)"),
    (r"TO_CHAR\((date\([^)]*\)), 'Month'\)", r"strftime('%m', \1)"),
)
"""Pattern -> what stands in its place."""


def merged(data: Path, folder: Path) -> Path:
    """The database of all schemas, made anew; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as connection:
        for schema in SCHEMAS:
            _load(connection, data, schema, prefix=f"{schema}_")
        connection.commit()
    return path


def rows(data: Path, folder: Path) -> list[Row]:
    """Questions, each with the tables of its schema; in `folder` every query is run on its own schema and on all together."""
    database = Database(merged(data, folder))
    single, names = {}, {}
    for schema in SCHEMAS:
        path = folder / f"{schema}.sqlite"
        path.unlink(missing_ok=True)
        with closing(sqlite3.connect(path)) as connection:
            _load(connection, data, schema)
            connection.commit()
        single[schema], names[schema] = Database(path), _tables(path)
    found = []
    with (data / "data" / "questions_gen_sqlite.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            schema = row["db_name"]
            if schema not in single:
                continue
            kept = [
                renamed
                for query in accepted_queries(row["query"])
                if _same(single[schema], query, database, renamed := _renamed(query, schema, names[schema]))
            ]
            if kept:
                listed = "; ".join(f"{schema}_{table}({', '.join(columns)})" for table, columns in names[schema].items())
                question = f"Tables: {listed}.\n{row['question'].strip()}"
                found.append({"id": digest(question), "question": question, "answers": kept, "kind": schema})
    return found


def _load(connection: sqlite3.Connection, data: Path, schema: str, *, prefix: str = "") -> None:
    """Create and fill the schema's tables; what only PostgreSQL knows is left out or said in SQLite's words."""
    script = (data / "defog_data" / schema / f"{schema}.sql").read_text(encoding="utf-8")
    for pattern, plain in POSTGRES:
        script = re.sub(pattern, plain, script)
    connection.executescript(re.sub(r"\bpublic\.(\w+)", lambda match: f'"{prefix}{match[1]}"', script))


def _tables(path: Path) -> dict[str, list[str]]:
    tables: defaultdict[str, list[str]] = defaultdict(list)
    with closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
            tables[table] = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    return dict(tables)


def _renamed(query: str, schema: str, tables: dict[str, list[str]]) -> str:
    """Tables where a query names them: after FROM, JOIN or a comma between them, and before a dot."""
    names = "|".join(sorted(map(re.escape, tables), key=len, reverse=True))
    source = re.compile(rf"(\b(?:FROM|JOIN)\s+|\bFROM\s+[\w\s,]*?,\s*)({names})\b(?!\s*\.)", re.IGNORECASE)
    dotted = re.compile(rf"(?<![\w.])({names})\.", re.IGNORECASE)
    renamed = source.sub(lambda match: f"{match[1]}{schema}_{match[2].lower()}", query)
    aliases = {match.lower() for match in re.findall(r"\bAS\s+(\w+)", renamed, re.IGNORECASE)}

    def qualified(match: re.Match[str]) -> str:
        return match[0] if match[1].lower() in aliases else f"{schema}_{match[1].lower()}."

    return dotted.sub(qualified, renamed)


def _same(first: Database, query: str, second: Database, renamed: str) -> bool:
    try:
        return first.select(query) == second.select(renamed)
    except Refused:
        return False
