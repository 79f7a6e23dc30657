"""Files of preferences (JSONL or a JSON array) -> rated answers. Knows the row format; nothing of documents or audiences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundtune.dataset.read import Problem
from groundtune.errors import DataError, NotFound
from groundtune.types import Evidence, Example, Message

_ROLES = {"human": "user", "gpt": "assistant", "user": "user", "assistant": "assistant", "system": "system"}
"""Also as ShareGPT files call them."""

_PAIRS = '{"prompt": "...", "chosen": "...", "rejected": "..."}'
_THUMBS = '{"prompt": "...", "completion": "...", "label": true}'


@dataclass(frozen=True, slots=True)
class Rated:
    """One prompt with what people thought of its answers."""

    example: Example
    """The prompt: its last question, the turns before it, and what says who may see it."""
    answer: str
    """The better of two answers, or the only one."""
    rejected: str = ""
    """The worse one; empty for a thumb."""
    liked: bool = True
    """The thumb."""


@dataclass(frozen=True, slots=True)
class RatedReading:
    """The good rows in file order, and what was wrong with the others."""

    rows: tuple[Rated, ...]
    problems: tuple[Problem, ...]


class _BadRow(ValueError):
    """One row cannot be used; the message says why."""


def read_preferences(path: Path, *, pairs: bool) -> RatedReading:
    """Read a file of preferences; a bad row becomes a problem and the rest is kept.

    With `pairs` a row has `chosen` and `rejected`, else `completion` and `label` (true: liked). The prompt is `prompt`, or
    `messages` (role, content; also ShareGPT's `conversations` with from, value), whose last answer is the completion where the
    row has no other. `evidence` (document, quote) or `principals` say who may see it, as for questions.
    Raises NotFound for a missing file, DataError for one without a single usable row.
    """
    rows: dict[str, Rated] = {}
    problems: list[Problem] = []
    for line, value in _values(path):
        try:
            if isinstance(value, _BadRow):
                raise value
            rated = _rated(value, pairs=pairs, origin=f"{path}:{line}")
            if rated.example.id in rows:
                raise _BadRow(f"the id {rated.example.id!r} occurs before. Give each row its own, or none.")
            rows[rated.example.id] = rated
        except _BadRow as error:
            identity = value.get("id", "") if isinstance(value, dict) else ""
            problems.append(Problem(str(path), line, str(identity), str(error)))
    if not rows:
        first = f"none of its {len(problems)} rows can be used. The first: {problems[0].what}" if problems else "it is empty."
        raise DataError(
            first,
            subject=f"{path}:{problems[0].line}" if problems else str(path),
            remedy=f"Write one object a line: {_PAIRS if pairs else _THUMBS}.",
        )
    return RatedReading(tuple(rows.values()), tuple(problems))


def _values(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, object) of a JSONL file, (position, object) of a JSON array; a line that is no JSON gives a _BadRow."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFound("there is no such file.", subject=str(path), remedy="Correct tuning.data.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the file cannot be read as UTF-8 text: {error}.", subject=str(path)) from error
    if text.lstrip().startswith("["):
        try:
            yield from enumerate(json.loads(text), start=1)
        except (ValueError, RecursionError) as error:
            raise DataError(f"the file is no JSON array: {error}.", subject=str(path)) from error
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except (ValueError, RecursionError) as error:
                yield number, _BadRow(f"not JSON: {error}. Write one object a line.")


def _rated(row: Any, *, pairs: bool, origin: str) -> Rated:
    if not isinstance(row, dict):
        raise _BadRow("a row must be an object.")
    turns = _turns(row)
    if pairs:
        answer, rejected, liked = _answer(row, "chosen"), _answer(row, "rejected"), True
        if answer == rejected:
            raise _BadRow("chosen and rejected are the same answer. Leave the row out.")
    else:
        if not isinstance(row.get("label"), bool):
            raise _BadRow(f"field 'label' must be true or false. A row is {_THUMBS}.")
        if "completion" not in row and len(turns) > 1 and turns[-1].role == "assistant":
            row, turns = {**row, "completion": turns[-1].content}, turns[:-1]
        answer, rejected, liked = _answer(row, "completion"), "", row["label"]
    if turns[-1].role != "user":
        raise _BadRow("the conversation must end with a turn of the user.")
    seen_by = [row.get("evidence", []), row.get("principals", [])]
    identity = str(row.get("id") or _derived([[turn.role, turn.content] for turn in turns], answer, rejected, seen_by))
    example = Example(
        id=identity,
        question=turns[-1].content,
        answers=(answer,) if liked else (),
        history=tuple(turns[:-1]),
        evidence=_evidence(row),
        principals=tuple(_texts(row, "principals")),
        origin=origin,
    )
    return Rated(example, answer, rejected, liked)


def _turns(row: Mapping[str, Any]) -> list[Message]:
    if isinstance(row.get("prompt"), str) and row["prompt"].strip():
        return [Message("user", row["prompt"])]
    turns = row.get("messages", row.get("conversations", row.get("prompt")))
    if not isinstance(turns, list) or not turns:
        raise _BadRow("field 'prompt' (a text) or 'messages' (a list of role and content) is missing.")
    found = []
    for turn in turns:
        said = turn if isinstance(turn, dict) else {}
        role, content = _ROLES.get(str(said.get("role", said.get("from")))), said.get("content", said.get("value"))
        if role is None or not isinstance(content, str):
            raise _BadRow("a message must have a role (system, user, assistant) and a content.")
        found.append(Message(role, content))  # type: ignore[arg-type]  # one of the three
    return found


def _answer(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if isinstance(value, dict):  # a message
        value = value.get("content", value.get("value"))
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        value = value[0].get("content", value[0].get("value"))
    if not isinstance(value, str) or not value.strip():
        raise _BadRow(f"field {name!r} must be a text that is not empty.")
    return value


def _evidence(row: Mapping[str, Any]) -> tuple[Evidence, ...]:
    values = row.get("evidence", [])
    if not isinstance(values, list) or not all(
        isinstance(one, dict) and isinstance(one.get("document"), str) for one in values
    ):
        raise _BadRow("field 'evidence' must be a list of objects with document and quote.")
    return tuple(Evidence(one["document"], str(one.get("quote", ""))) for one in values)


def _texts(row: Mapping[str, Any], name: str) -> list[str]:
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _BadRow(f"field {name!r} must be a list of texts.")
    return value


def _derived(*parts: Any) -> str:
    """An id that follows the content, so that ids survive reordering."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
