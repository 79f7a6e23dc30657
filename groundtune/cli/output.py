"""What is printed: results on standard output, errors on standard error, one JSON document when asked. Knows no command."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from groundtune.errors import GroundtuneError


def plain(value: Any) -> Any:
    """The value as JSON holds it: dataclasses become objects, sets sorted lists, and a number that is not finite null."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def document(value: Any) -> None:
    """One JSON document on standard output."""
    line(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def line(text: str = "") -> None:
    """One line of a result. A reader that has left, such as `head`, wants no more: the rest goes nowhere, without an error."""
    piece(f"{text}\n")


def piece(text: str) -> None:
    """Part of a line of a result."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def toml(value: str | float | None) -> str:
    """A value as groundtune.toml holds it."""
    return json.dumps(value)


def counted(number: int, noun: str) -> str:
    """`1 chunk`, `2 chunks`, `no chunks`."""
    return f"{f'{number:,}' if number else 'no'} {noun}{'' if number == 1 else 's'}"


def note(text: str) -> None:
    """One line that is not part of the result."""
    print(text, file=sys.stderr, flush=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns; a column whose cells are all numbers is set right."""
    cells = [list(headings), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    right = [all(_is_number(row[column]) for row in cells[1:]) for column in range(len(headings))]

    def drawn(row: Sequence[str]) -> str:
        pairs = zip(row, widths, right, strict=True)
        return "  ".join(cell.rjust(width) if flush else cell.ljust(width) for cell, width, flush in pairs).rstrip()

    return "\n".join([drawn(cells[0]), drawn(["-" * width for width in widths]), *map(drawn, cells[1:])])


def _is_number(cell: str) -> bool:
    return not cell or cell[0].isdigit() or cell[0] in "+-."


def shown(error: GroundtuneError) -> str:
    """The error and what to do about it, a line each."""
    head = f"{error.subject}: {error.message}" if error.subject else error.message
    return f"error: {head}" + (f"\nwhat to do: {error.remedy}" if error.remedy else "")


def fail(error: GroundtuneError, *, as_json: bool, trace: str = "") -> int:
    """Print the error and what to do about it, and return its exit code."""
    if trace:
        note(trace.rstrip())
    note(shown(error))
    if as_json:
        document(
            {
                "error": {
                    "kind": type(error).__name__,
                    "message": error.message,
                    "subject": error.subject,
                    "remedy": error.remedy,
                    "exit_code": error.exit_code,
                }
            }
        )
    return error.exit_code
