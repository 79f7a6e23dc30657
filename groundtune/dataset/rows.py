"""Files to rows with the line that each begins on: JSON lines, a JSON list, CSV, Parquet. Knows no format of examples."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundtune.dataset.extra import extra
from groundtune.dataset.read import BadRow, Problem, parse_row
from groundtune.errors import DataError, NotFound

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
FIELD_LIMIT = 16 << 20
"""Longest cell of a CSV file, in characters."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in its file."""

    line: int
    """1-based line that it begins on; in a Parquet file its number."""
    value: Any
    table: bool = False
    """Of a CSV or Parquet file: lists stand in cells as JSON, and there may be columns that nobody asked for."""


def read_rows(path: Path) -> tuple[list[Row], list[Problem]]:
    """The good rows in file order, and what is wrong with the others.

    What the file holds is told by its ending. Raises NotFound for a missing file, DataError for one that cannot be
    read at all or whose ending says nothing, MissingExtra for Parquet without pyarrow.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(
            "its ending says no format.", subject=str(path), remedy=f"Name it {', '.join(SUFFIXES[:-1])} or .parquet."
        )
    if suffix == ".parquet":
        return _parquet(path)
    try:
        data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except FileNotFoundError:
        raise NotFound("there is no such file.", subject=str(path), remedy="Give the path of a file of examples.") from None
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror}).", subject=str(path)) from error
    if suffix in (".csv", ".tsv"):
        return _csv(str(path), data.decode("utf-8", errors="surrogateescape"), "\t" if suffix == ".tsv" else "")
    if suffix == ".json" and data.lstrip()[:1] == b"[":
        return _json_list(str(path), data.decode("utf-8", errors="surrogateescape"))
    return _json_lines(str(path), data)


def _json_lines(name: str, data: bytes) -> tuple[list[Row], list[Problem]]:
    rows, problems = [], []
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if raw.strip():
            try:
                rows.append(Row(number, parse_row(raw)))
            except BadRow as error:
                problems.append(Problem(name, number, "", str(error)))
    return rows, problems


_AFTER = re.compile(r"[\s,]*")


def _json_list(name: str, text: str) -> tuple[list[Row], list[Problem]]:
    """The elements of a list one by one, so that a broken one costs no other; it goes on where the next element may begin."""
    rows: list[Row] = []
    problems: list[Problem] = []
    decoder = json.JSONDecoder()
    place, line, counted = text.index("[") + 1, 1, 0
    while True:
        place = _end(_AFTER.match(text, place), place)
        line, counted = line + text.count("\n", counted, place), place
        if place >= len(text) or text[place] == "]":
            if place >= len(text):
                problems.append(Problem(name, line, "", "the list has no end: ']' is missing."))
            return rows, problems
        try:
            _, end = decoder.raw_decode(text, place)
            rows.append(Row(line, parse_row(text[place:end].encode("utf-8", errors="surrogateescape"))))
        except (json.JSONDecodeError, RecursionError) as error:
            what = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"
            at = text.count("\n", 0, error.pos) + 1 if isinstance(error, json.JSONDecodeError) else line
            problems.append(Problem(name, line, "", f"not JSON: {what} at line {at}. Correct this element."))
            end = _next_element(text, place)
        except BadRow as error:
            problems.append(Problem(name, line, "", str(error)))
        place = end


def _next_element(text: str, place: int) -> int:
    """Where an element may begin after one that is broken: at the same indentation, or after `},` on the same line."""
    indent = re.search(r"[ \t]*$", text[text.rfind("\n", 0, place) + 1 : place])
    alone = indent is not None and place - len(indent[0]) == text.rfind("\n", 0, place) + 1
    pattern = rf"\n{indent[0] if indent else ''}(?=\{{)" if alone else r"\}\s*,\s*(?=\{)"
    found = re.compile(pattern).search(text, place + 1)
    return found.end() if found else len(text)


def _end(found: re.Match[str] | None, otherwise: int) -> int:
    return found.end() if found else otherwise


def _csv(name: str, text: str, delimiter: str) -> tuple[list[Row], list[Problem]]:
    """RFC 4180, strictly: after a row that does not fit, reading goes on at the next line, so that a stray quotation mark costs
    one row. The delimiter is what the first line holds most of."""
    lines = list(io.StringIO(text, newline=""))
    if not lines:
        return [], []
    delimiter = delimiter or max(",;\t|", key=lines[0].count)
    csv.field_size_limit(FIELD_LIMIT)
    header, start = _csv_row(lines, 0, delimiter)
    if isinstance(header, str) or len(set(header)) < len(header) or not all(one.strip() for one in header):
        what = header if isinstance(header, str) else "a column has no name, or two have the same"
        raise DataError(f"{what}.", subject=f"{name}:1", remedy="Name every column in the first line.")
    rows: list[Row] = []
    problems: list[Problem] = []
    while start < len(lines):
        cells, after = _csv_row(lines, start, delimiter)
        what = cells if isinstance(cells, str) else _misfit(cells, header)
        if what:
            problems.append(Problem(name, start + 1, "", what))
            after = start + 1
        elif cells:
            rows.append(Row(start + 1, dict(zip(map(str.strip, header), cells, strict=True)), table=True))
        start = after
    return rows, problems


def _csv_row(lines: Sequence[str], start: int, delimiter: str) -> tuple[list[str] | str, int]:
    """The cells of the row that begins on a line, or what is wrong with it; and the line after it."""
    reader = csv.reader(iter(lines[start : start + _LONGEST]), delimiter=delimiter, strict=True)
    try:
        return next(reader, []), start + reader.line_num
    except csv.Error as error:
        return (
            f"not CSV: {error}. Put a cell that holds a quotation mark, a line break or {delimiter!r} into quotation marks.",
            start,
        )


_LONGEST = 2000
"""Lines that one row of a CSV file may take."""


def _misfit(cells: Sequence[str], header: Sequence[str]) -> str:
    if cells and len(cells) != len(header):
        return f"{len(cells)} cells, and the first line names {len(header)} columns."
    if any("\udc80" <= letter <= "\udcff" for cell in cells for letter in cell):
        return "not UTF-8. Save the file as UTF-8."
    return ""


def _parquet(path: Path) -> tuple[list[Row], list[Problem]]:
    pyarrow, parquet = extra("pyarrow", wanted_by=str(path)), extra("pyarrow.parquet", wanted_by=str(path))
    try:
        file = parquet.ParquetFile(path)
    except FileNotFoundError:
        raise NotFound("there is no such file.", subject=str(path), remedy="Give the path of a file of examples.") from None
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"is no Parquet file ({str(error).splitlines()[0]}).", subject=str(path)) from error
    rows: list[Row] = []
    problems: list[Problem] = []
    number = 0
    for batch in _batches(file, pyarrow, path, problems):
        for place in range(batch.num_rows):
            number += 1
            try:
                rows.append(Row(number, batch.slice(place, 1).to_pylist()[0], table=True))
            except (UnicodeDecodeError, pyarrow.ArrowException):
                problems.append(Problem(str(path), number, "", "a cell is not UTF-8. Write the column as text."))
    return rows, problems


def _batches(file: Any, pyarrow: Any, path: Path, problems: list[Problem]) -> Iterator[Any]:
    """What can be read of it; a damaged row group costs no other."""
    for group in range(file.num_row_groups):
        try:
            yield from file.iter_batches(batch_size=1024, row_groups=[group])
        except (OSError, pyarrow.ArrowException) as error:
            problems.append(Problem(str(path), 0, "", f"row group {group + 1} is damaged ({str(error).splitlines()[0]})."))


def renamed(value: Any, columns: Mapping[str, str]) -> Any:
    """The row with its columns under our names. Raises BadRow for a column that it lacks."""
    if not isinstance(value, dict) or not columns:
        return value
    absent = sorted(set(columns.values()) - value.keys())
    if absent:
        raise BadRow(f"there is no column {absent[0]!r}. It has: {', '.join(map(str, value))}.")
    taken = set(columns.values())
    return {
        **{key: one for key, one in value.items() if key not in taken},
        **{ours: value[own] for ours, own in columns.items()},
    }
