"""A TOML file -> a typed tree; every fault with its line and the nearest known key. Knows no key by name."""

from __future__ import annotations

import difflib
import errno
import re
import tomllib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from groundtune.errors import ConfigError, NotFound

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """The file as a `model`. Raises NotFound without the file, else ConfigError naming file:line and key of every fault."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
            raise ConfigError(f"cannot be read: {error.strerror}.", subject=str(path)) from error
        raise NotFound("there is no such file.", subject=str(path), remedy="Run: groundtune init") from None
    try:
        text = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError("is not UTF-8 text.", subject=f"{path}:{line}", remedy="Save the file as UTF-8.") from error
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what, line = _syntax(str(error), text)
        raise ConfigError(f"is not TOML: {what}.", subject=f"{path}:{line}", remedy="Correct that line.") from error
    except RecursionError as error:
        raise ConfigError("is nested too deeply.", subject=f"{path}:1") from error
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        faults = sorted((_line(text, fault["loc"]), *_explain(dict(fault), model)) for fault in error.errors())
        (line, what, remedy), *others = faults
        rest = "".join(f"\n{path}:{number}: {other} {help_}".rstrip() for number, other, help_ in others)
        raise ConfigError(what, subject=f"{path}:{line}", remedy=remedy + rest) from error


def _syntax(message: str, text: str) -> tuple[str, int]:
    found = re.search(r" \(at line (\d+), column \d+\)$", message)
    if found:
        return message[: found.start()], int(found[1])
    return message.removesuffix(" (at end of document)"), text.rstrip("\n").count("\n") + 1


def _line(text: str, where: Sequence[str | int]) -> int:
    """1-based line of the statement that first names the key, or of its nearest enclosing table.

    That statement ends the shortest prefix of the file that holds the key. Once a prefix holds it every longer one does, so
    bisection finds it; a prefix that ends inside a value is cut back to the statements before it.
    """
    lines = text.split("\n")
    tree = tomllib.loads(text)
    while where and not _holds(tree, where):
        where = where[:-1]
    if not where:
        return 1
    end = bisect_left(range(len(lines) + 1), True, key=lambda count: _holds(_prefix(lines, count)[1], where))
    return _prefix(lines, end - 1)[0] + 1


def _prefix(lines: list[str], count: int) -> tuple[int, dict[str, Any]]:
    """The longest prefix of whole statements within `count` lines: its length and what it says."""
    for size in range(count, 0, -1):
        with suppress(tomllib.TOMLDecodeError):
            return size, tomllib.loads("\n".join(lines[:size]))
    return 0, {}


def _holds(tree: Any, where: Sequence[str | int]) -> bool:
    for step in where:
        if isinstance(step, int):
            if not isinstance(tree, list) or step >= len(tree):
                return False
        elif not isinstance(tree, dict) or step not in tree:
            return False
        tree = tree[step]
    return True


_EXPECTED = {
    "string_type": "a string in quotes",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}


def _explain(fault: Mapping[str, Any], model: type[BaseModel]) -> tuple[str, str]:
    """(what is wrong, what to do) for one fault that pydantic found."""
    kind, where, value = fault["type"], fault["loc"], fault["input"]
    name = _dotted(where)
    if kind == "extra_forbidden":
        return f"unknown key {name!r}.", _nearest(where, model)
    if kind == "missing":
        return f"{_dotted(where[:-1]) or 'the file'} lacks the key {str(where[-1])!r}.", "Add it."
    if kind == "value_error":
        return f"{name}: {fault['ctx']['error']}.", ""
    if kind == "literal_error":
        close = difflib.get_close_matches(str(value), re.findall("'([^']*)'", fault["ctx"]["expected"]), n=1, cutoff=0.4)
        hint = f"Did you mean {close[0]!r}?" if close else ""
        return f"{name}: expected {fault['ctx']['expected']}, found {shown(value)}.", hint
    if kind in _EXPECTED:
        return f"{name}: expected {_EXPECTED[kind]}, found {shown(value)}.", ""
    return f"{name}: {fault['msg'][:1].lower()}{fault['msg'][1:]}, found {shown(value)}.", ""


def _dotted(where: Sequence[str | int]) -> str:
    name = ""
    for step in where:
        if isinstance(step, int):
            name += f"[{step}]"
        else:
            bare = step if re.fullmatch(r"[A-Za-z0-9_-]+", step) else f'"{step}"'
            name += f".{bare}" if name else bare
    return name


def shown(value: Any) -> str:
    kinds = {bool: "the boolean", str: "the string", int: "the number", float: "the number"}
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"{kinds.get(type(value), 'a list' if isinstance(value, list | tuple) else 'a table')} {text}"


def _nearest(where: Sequence[str | int], model: type[BaseModel]) -> str:
    """The nearest known key: among its siblings first, then in the whole file."""
    unknown, table = str(where[-1]), model
    for step in where[:-1]:  # a position in a list, or a free key of a table, leads to no other model
        field = table.model_fields.get(str(step))
        table = next(_models(field.annotation), table) if field else table
    near = difflib.get_close_matches(unknown, table.model_fields, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {_dotted([*where[:-1], near[0]])!r}?"
    leaves = {key.rpartition(".")[2]: key for key in reversed(list(_keys(model)))}
    elsewhere = difflib.get_close_matches(unknown, leaves, n=1, cutoff=0.75)
    if elsewhere:
        return f"Did you mean {leaves[elsewhere[0]]!r}?"
    return f"Known here: {', '.join(sorted(table.model_fields))}."


def _keys(model: type[BaseModel], above: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield above + name
        for inner in _models(field.annotation):
            yield from _keys(inner, f"{above}{name}.")


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    for inner in (annotation, *get_args(annotation)):
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield inner
