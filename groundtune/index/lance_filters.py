"""Filters as LanceDB's typed expressions, so that no value is ever part of a string. Knows columns; knows no table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from operator import and_, or_
from typing import Any

from lancedb.expr import Expr, col, lit

from groundtune.index.filters import literals
from groundtune.types import Filter


def any_of(column: str, values: Collection[str] | Collection[int]) -> Expr:
    """The column holds one of `values`."""
    ordered: list[Any] = sorted(values)
    return col(column).isin(ordered)


def in_runs(column: str, runs: Sequence[tuple[int, int]]) -> Expr:
    """The column lies in one of these ranges, both ends included."""
    single = [low for low, high in runs if low == high]
    ranges = [(col(column) >= lit(low)) & (col(column) <= lit(high)) for low, high in runs if low != high]
    return _joined([*([any_of(column, single)] if single else []), *ranges], or_)


def condition(filter: Filter) -> Expr | None:
    """What LanceDB can tell of the filter: every row that the filter lets through meets it, some others may. None: nothing."""
    parts: list[Expr] = []
    if filter.formats:
        parts.append(any_of("format", filter.formats))
    if filter.sources:
        parts.append(any_of("source", filter.sources))
    if filter.since is not None:
        parts.append(col("modified") >= lit(float(filter.since)))
    if filter.before is not None:
        parts.append(col("modified") < lit(float(filter.before)))
    if filter.title.isascii() and filter.title:
        parts.append(col("title").lower().contains(lit(filter.title.lower())))
    globs = [_of_glob(glob) for glob in filter.paths]
    known = [glob for glob in globs if glob is not None]
    if known and len(known) == len(globs):
        parts.append(_joined(known, or_))
    return _joined(parts, and_) if parts else None


def _of_glob(glob: str) -> Expr | None:
    beginning, pieces = literals(glob)
    parts = [col("document").contains(lit(piece)) for piece in pieces]
    if beginning:
        end = beginning[:-1] + chr(ord(beginning[-1]) + 1)
        parts.append((col("document") >= lit(beginning)) & (col("document") < lit(end)))
    return _joined(parts, and_) if parts else None


def _joined(parts: Sequence[Expr], join: Callable[[Expr, Expr], Expr]) -> Expr:
    """As a balanced tree: a chain of thousands overflows LanceDB's stack and ends the process."""
    if len(parts) == 1:
        return parts[0]
    middle = len(parts) // 2
    return join(_joined(parts[:middle], join), _joined(parts[middle:], join))
