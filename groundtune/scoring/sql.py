"""SQL answers by what they return from a database. Knows one SQLite file, opened read-only, and queries that may be hostile.

A query may only select: an authorizer refuses everything else (writes, ATTACH, PRAGMA, extensions), and one that works too long
or returns too much is cut off. The first limit counts SQLite's own instructions, so that a busy machine changes no score.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import combinations, product
from math import prod
from pathlib import Path

from groundtune.errors import ConfigError, DataError
from groundtune.interfaces import Metric
from groundtune.scoring.settings import Settings
from groundtune.types import Answer, Example

INSTRUCTIONS = 50_000_000
"""Of SQLite's virtual machine; a few seconds."""
SECONDS = 30.0
"""Wall time, for single instructions that take long."""
ROWS = 10_000
CHARACTERS = 20_000_000
"""Of all the values of a result together."""
LONGEST_VALUE = 250_000
"""Bytes of a value, a row or a query."""
MEMORY = 256 * 2**20
"""Bytes that SQLite may hold in this process, sorting and recursion included; temporary tables stay in it."""

_ALLOWED = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
_STEP = 10_000
_WIDEST = 10_000
_FENCE = re.compile(r"\s*```[a-zA-Z]*\n(.*?)\n?```\s*", re.DOTALL)
_LEXEME = re.compile(r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|\[[^\]]*\]|\w+|\s+|.", re.DOTALL)
_MOST_ALTERNATIVES = 256

Value = str | int | float | bytes | None
Rows = tuple[tuple[Value, ...], ...]


class Refused(Exception):
    """Why a query gives no result, in words."""


class Database:
    """A SQLite file that can only be read."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when there is no such file or it is no SQLite database."""
        self._uri = f"{path.resolve().as_uri()}?mode=ro"
        try:
            with closing(sqlite3.connect(self._uri, uri=True)) as connection:
                connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except sqlite3.Error as error:
            raise ConfigError(
                f"this is no SQLite database that can be read ({error}).",
                subject=str(path),
                remedy="Name one in scoring.database of groundtune.toml.",
            ) from error

    def select(self, query: str) -> Rows:
        """All rows of one SELECT. Raises Refused for anything else, for errors, and past the limits."""
        began, steps = time.monotonic(), 0

        def too_long() -> bool:
            nonlocal steps
            steps += _STEP
            return steps > INSTRUCTIONS or time.monotonic() - began > SECONDS

        with closing(sqlite3.connect(self._uri, uri=True)) as connection:
            connection.text_factory = lambda raw: raw.decode(errors="replace")
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST_VALUE)
            connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, LONGEST_VALUE)
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.execute(f"PRAGMA hard_heap_limit = {MEMORY}")
            for name in ("printf", "format"):
                connection.create_function(name, -1, _printf)
            connection.set_authorizer(_authorize)
            connection.set_progress_handler(too_long, _STEP)
            try:
                return _fetched(connection.execute(query))
            except MemoryError as error:
                raise Refused("it needs too much memory") from error
            except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as error:
                raise Refused(str(error)) from error


def sql_execution(settings: Settings) -> Metric:
    """1 when the answer's query returns what an accepted query returns from the database, else 0; an error is 0.

    Every reference holds one or more accepted queries, parted by `;`, with alternatives in braces: see `accepted_queries`.
    Results are equal as in the execution accuracy of Zhong et al. 2020, "Semantic Evaluation for Text-to-SQL with Distilled
    Test Suites": the same rows the same number of times, in the same order only when the accepted query orders its result,
    whatever the names and the order of the columns. Numbers are compared to ten significant digits; ties of an ORDER BY are not
    resolved. A Markdown fence around the whole answer is taken off. Unanswerable items are right exactly when the assistant
    abstained. Raises ConfigError without `scoring.database`; the metric raises DataError for an item of which no accepted query
    runs.
    """
    if settings.database is None:
        raise ConfigError("sql_execution needs a database.", subject="scoring.database", remedy="Set it in groundtune.toml.")
    database = Database(settings.database)
    accepted: dict[str, list[tuple[Rows, bool]]] = {}
    returned: dict[str, Rows] = {}

    def results(example: Example) -> list[tuple[Rows, bool]]:
        found, faults = [], []
        for reference in example.answers:
            if reference not in accepted:
                accepted[reference] = []
                for query in accepted_queries(reference):
                    try:
                        returned[query] = database.select(query)
                        accepted[reference].append((returned[query], orders(query)))
                    except Refused as refused:
                        faults.append(f"{refused}: {query[:120]}")
            found += accepted[reference]
        if not found:
            raise DataError(
                f"no accepted query of this item runs ({'; '.join(faults) or 'there is none'}).",
                subject=example.origin or example.id,
                remedy="Correct its answers, or scoring.database.",
            )
        return found

    def execution(example: Example, answer: Answer) -> float:
        if not example.answers or answer.abstained:
            return float(answer.abstained and not example.answers)
        wanted = results(example)
        query = bare_query(answer.text)
        try:
            rows = returned[query] if query in returned else database.select(query)
        except Refused:
            return 0.0
        return float(any(same_result(rows, gold, ordered=ordered) for gold, ordered in wanted))

    return execution


def bare_query(text: str) -> str:
    """The query of an answer: without a Markdown fence around all of it, blank space and closing semicolons."""
    fenced = _FENCE.fullmatch(text)
    return (fenced[1] if fenced else text).strip().rstrip("; \t\r\n")


def accepted_queries(reference: str) -> list[str]:
    """The queries that a reference accepts: parted by `;`, and for `{a, b}` one for each selection of the columns.

    `SELECT {id, name} FROM t GROUP BY {}` accepts the columns id, name, and both; `{}` repeats the selection without its
    aliases. This is the notation of Defog's sql-eval. Raises DataError for more than 256 selections.
    """
    found: list[str] = []
    for query in _split(reference, ";"):
        pieces = _braces(query)
        choices = [_selections(inner) for _, inner in pieces[:-1] if inner.strip()]
        if prod(len(choice) for choice in choices) > _MOST_ALTERNATIVES:
            raise _too_many(query)
        for chosen in product(*choices):
            left, latest, text = list(chosen), "", ""
            for outside, inner in pieces[:-1]:
                if inner.strip():
                    latest = ", ".join(_without_alias(column) for column in left[0])
                    text += outside + ", ".join(left.pop(0))
                else:
                    text += outside + latest
            found.append(text + pieces[-1][0])
    return found


def orders(query: str) -> bool:
    """Whether the query orders its result: ORDER BY outside all brackets, strings and comments."""
    depth, last = 0, ""
    for lexeme in _LEXEME.findall(query):
        if lexeme.isspace() or lexeme.startswith(("--", "/*")):
            continue
        depth += (lexeme == "(") - (lexeme == ")")
        if depth == 0 and last == "order" and lexeme.lower() == "by":
            return True
        last = lexeme.lower()
    return False


def same_result(first: Rows, second: Rows, *, ordered: bool) -> bool:
    """Whether some order of the first's columns makes the two equal, as lists of rows when `ordered`, else as bags."""
    if len(first) != len(second) or (first and len(first[0]) != len(second[0])):
        return False
    if not first:
        return True
    left = [_canonical(column) for column in zip(*first, strict=True)]
    right = [_canonical(column) for column in zip(*second, strict=True)]
    compare = _as_list if ordered else _as_bag
    keys = {place: compare([column]) for place, column in enumerate(left)}
    wanted = [compare([column]) for column in right]

    def extend(chosen: tuple[int, ...]) -> bool:
        done = len(chosen)
        if chosen and compare([left[place] for place in chosen]) != compare(right[:done]):
            return False
        if done == len(right):
            return True
        tried: list[Sequence[Value]] = []
        for place, key in keys.items():
            if place not in chosen and key == wanted[done] and left[place] not in tried:
                tried.append(left[place])
                if extend((*chosen, place)):
                    return True
        return False

    return extend(())


def _authorize(action: int, _table: str | None, second: str | None, *_: str | None) -> int:
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in ("load_extension", "fts3_tokenizer"):
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


def _printf(*arguments: Value) -> Value:
    """SQLite's own printf, but never with a width or precision that would keep it busy: no limit is looked at inside it."""
    widths = [int(width) for width in re.findall(r"\d+", str(arguments[0]))] if arguments else []
    with closing(sqlite3.connect(":memory:")) as plain:
        if "*" in str(arguments[:1]):
            widths += [abs(plain.execute("SELECT CAST(? AS INTEGER)", (value,)).fetchone()[0] or 0) for value in arguments[1:]]
        if max(widths, default=0) > _WIDEST:
            raise ValueError("a width or precision is too large")
        value: Value = plain.execute(f"SELECT printf({', '.join('?' * len(arguments))})", arguments).fetchone()[0]
    return value


def _fetched(cursor: sqlite3.Cursor) -> Rows:
    rows, characters = [], 0
    if cursor.description is None:
        raise Refused("it returns no rows")
    for row in cursor:
        rows.append(row)
        characters += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        if len(rows) > ROWS or characters > CHARACTERS:
            raise Refused(f"its result is larger than {ROWS:,} rows or {CHARACTERS:,} characters")
    return tuple(rows)


def _canonical(column: Sequence[Value]) -> tuple[Value, ...]:
    return tuple(float(f"{value:.10g}") if isinstance(value, float) else value for value in column)


def _as_list(columns: Sequence[Sequence[Value]]) -> object:
    return list(zip(*columns, strict=True))


def _as_bag(columns: Sequence[Sequence[Value]]) -> object:
    return Counter(zip(*columns, strict=True))


def _split(text: str, mark: str) -> list[str]:
    """Parts between marks that stand outside strings, names and comments; empty parts are left out."""
    parts = [""]
    for lexeme in _LEXEME.findall(text):
        if lexeme == mark:
            parts.append("")
        else:
            parts[-1] += lexeme
    return [part.strip() for part in parts if part.strip()]


def _braces(query: str) -> list[tuple[str, str]]:
    """(text before a pair of braces, what is inside), the last with the rest of the query; braces in strings are text."""
    pieces, outside, inside = [], "", None
    for lexeme in _LEXEME.findall(query):
        if lexeme == "{" and inside is None:
            inside = ""
        elif lexeme == "}" and inside is not None:
            pieces.append((outside, inside))
            outside, inside = "", None
        elif inside is None:
            outside += lexeme
        else:
            inside += lexeme
    return [*pieces, (outside if inside is None else f"{outside}{{{inside}", "")]


def _selections(inner: str) -> list[tuple[str, ...]]:
    """Every non-empty selection of the columns, in their order."""
    depth, parts = 0, [""]
    for lexeme in _LEXEME.findall(inner):
        depth += (lexeme == "(") - (lexeme == ")")
        if lexeme == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += lexeme
    columns = [part.strip() for part in parts if part.strip()]
    if 2 ** len(columns) > _MOST_ALTERNATIVES:
        raise _too_many(inner)
    return [chosen for size in range(1, len(columns) + 1) for chosen in combinations(columns, size)]


def _too_many(text: str) -> DataError:
    return DataError("an accepted query has too many alternatives.", subject=text[:120], remedy="List fewer columns in braces.")


def _without_alias(column: str) -> str:
    return re.sub(r"\s+AS\s+\S+\s*$", "", column, flags=re.IGNORECASE)
