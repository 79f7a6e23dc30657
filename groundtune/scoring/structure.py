"""Answers that must be machine-readable. Knows JSON (RFC 8259) only."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from groundtune.types import Answer, Example


def json_valid(example: Example, answer: Answer) -> float | None:
    """1 when the whole answer is one JSON value, else 0; None unless a reference of the item is a JSON object or array.

    Strict (RFC 8259): no fence around it, no NaN or Infinity, no name twice in an object.
    """
    if not any(isinstance(_parse(reference), dict | list) for reference in example.answers):
        return None
    return float(_parse(answer.text) is not _INVALID)


_INVALID = object()


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError):  # also an integer of more digits than Python reads, and a tower of brackets
        return _INVALID


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name occurs twice")
    return value


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
