"""Question files (JSONL) <-> examples. Knows the row format; nothing of documents, audiences or splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from groundtune.errors import DataError, NotFound
from groundtune.types import Evidence, Example, Message

FIELDS = ("id", "question", "answers", "history", "evidence", "facts", "group", "kind", "principals")
"""Every field of a row; only `question` and `answers` are required, and an empty `answers` means unanswerable."""

_ROLES = ("system", "user", "assistant")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with one row or item, and where."""

    file: str
    line: int
    """1-based; 0 when the item did not come from a file."""
    id: str
    """The item's id, empty where the row has none that could be read."""
    what: str
    """What is wrong and what to write instead."""

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        head = " ".join(part for part in (place, f"({self.id})" if self.id else "") if part)
        return f"{head}: {self.what}" if head else self.what


@dataclass(frozen=True, slots=True)
class Reading:
    """The good rows in file order, and what was wrong with the others."""

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]


class BadRow(ValueError):
    """One row cannot be used; the message says why."""


def read_questions(path: Path) -> Reading:
    """Read a JSONL file of questions; a bad row becomes a problem and the rest is kept.

    A row without `id` gets one derived from its question, history and principals, so that ids survive reordering. Of rows with
    the same id the first is kept. Raises NotFound for a missing file, DataError for one without a single usable row.
    """
    path = Path(path)
    name = str(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise NotFound("there is no such file.", subject=name, remedy="Give the path of a JSONL file of questions.") from None
    except OSError as error:
        raise DataError(
            f"the file cannot be read ({error.strerror}).", subject=name, remedy="Give a readable JSONL file."
        ) from error
    examples: dict[str, Example] = {}
    problems: list[Problem] = []
    for number, raw in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not raw.strip():
            continue
        row: Any = None
        try:
            row = parse_row(raw)
            example = question_of(row, origin=f"{name}:{number}")
            if example.id in examples:
                refuse_double(example, examples[example.id], given=row.get("id") is not None)
            examples[example.id] = example
        except BadRow as error:
            identity = row.get("id") if isinstance(row, dict) else None
            problems.append(Problem(name, number, str(identity) if isinstance(identity, str | int) else "", str(error)))
    if not examples:
        first = f" The first problem: {problems[0].what}" if problems else ""
        raise DataError(
            f"{len(problems)} rows, and none can be used.{first}" if problems else "the file is empty.",
            subject=str(problems[0]).split(": ", 1)[0] if problems else name,
            remedy='Write one object a line: {"question": "...", "answers": ["..."]}.',
        )
    return Reading(tuple(examples.values()), tuple(problems))


def write_questions(path: Path, examples: Iterable[Example]) -> None:
    """Write examples as rows that `read_questions` reads back; empty fields are left out. The file's folder must exist."""
    Path(path).write_text(
        "".join(json.dumps(row(example), ensure_ascii=False) + "\n" for example in examples), encoding="utf-8"
    )


def row(example: Example) -> dict[str, Any]:
    """The row of an example: its fields in the order of FIELDS, without the optional ones that are empty."""
    full: dict[str, Any] = {
        "id": example.id,
        "question": example.question,
        "answers": list(example.answers),
        "history": [{"role": message.role, "content": message.content} for message in example.history],
        "evidence": [{"document": evidence.document, "quote": evidence.quote} for evidence in example.evidence],
        "facts": list(example.facts),
        "group": example.group,
        "kind": example.kind,
        "principals": list(example.principals),
    }
    return {name: value for name, value in full.items() if value or name in ("id", "question", "answers")}


# --- one row ------------------------------------------------------------------------------------------------------------


def parse_row(raw: bytes) -> Any:
    try:
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise BadRow(f"not JSON: {error.msg} at column {error.colno}. Write one object a line.") from None
    except UnicodeDecodeError as error:
        raise BadRow(f"not UTF-8 at byte {error.start + 1}. Save the file as UTF-8.") from None
    except UnicodeEncodeError:
        raise BadRow("holds half of a surrogate pair (\\ud800 to \\udfff). Write the character itself.") from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, BadRow):
            raise
        raise BadRow("nested too deeply, or a number of too many digits.") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    doubles = sorted({name for name in names if names.count(name) > 1})
    if doubles:
        raise BadRow(f"field {doubles[0]!r} occurs twice. Keep one.")
    return dict(pairs)


def question_of(value: Any, *, origin: str) -> Example:
    if not isinstance(value, dict):
        raise BadRow(f"a row must be an object, got {kind_of(value)}.")
    _known(value, FIELDS)
    value = {name: field for name, field in value.items() if field is not None or name in ("question", "answers")}
    for name in ("question", "answers"):
        if name not in value:
            raise BadRow(f"field {name!r} is missing.")
    question = text_in(value["question"], "question")
    history = tuple(_list(value.get("history", []), "history", message_in))
    principals = texts_in(value.get("principals", []), "principals")
    return Example(
        id=identity_in(value["id"]) if "id" in value else derived_id(question, history, principals),
        question=question,
        answers=_answers(value["answers"]),
        history=history,
        evidence=tuple(_list(value.get("evidence", []), "evidence", _evidence)),
        facts=texts_in(value.get("facts", []), "facts"),
        group=text_in(value["group"], "group", empty=True) if "group" in value else "",
        kind=text_in(value["kind"], "kind", empty=True) if "kind" in value else "",
        principals=principals,
        origin=origin,
    )


def _answers(value: Any) -> tuple[str, ...]:
    if value is None:
        raise BadRow("field 'answers' is null. Write [] for a question that the documents do not answer.")
    return (text_in(value, "answers"),) if isinstance(value, str) else texts_in(value, "answers")


def identity_in(value: Any) -> str:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text_in(value, "id")


def derived_id(question: str, history: tuple[Message, ...], principals: tuple[str, ...]) -> str:
    content = [question, [[message.role, message.content] for message in history], sorted(principals)]
    return "q-" + hashlib.sha256(json.dumps(content, ensure_ascii=False).encode("utf-8")).hexdigest()[:12]


def message_in(value: Any, where: str) -> Message:
    fields = _object(value, where, ("role", "content"))
    role = fields["role"]
    if role not in _ROLES:
        raise BadRow(f"{where}.role is {role!r}. Write one of {', '.join(_ROLES)}.")
    return Message(role, text_in(fields["content"], f"{where}.content", empty=True))


def _evidence(value: Any, where: str) -> Evidence:
    fields = _object(value, where, ("document", "quote"))
    return Evidence(
        text_in(fields["document"], f"{where}.document").removeprefix("./"),
        text_in(fields["quote"], f"{where}.quote"),
    )


def _object(value: Any, where: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BadRow(f"{where} must be an object with {' and '.join(names)}, got {kind_of(value)}.")
    _known(value, names, where=where)
    for name in names:
        if name not in value:
            raise BadRow(f"{where} lacks {name!r}.")
    return value


def _known(value: Mapping[str, Any], names: tuple[str, ...], *, where: str = "") -> None:
    for name in value:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Fields: {', '.join(names)}."
            raise BadRow(f"unknown field {name!r}{f' in {where}' if where else ''}. {hint}")


def text_in(value: Any, where: str, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise BadRow(f"{where} must be text, got {kind_of(value)}.")
    if not empty and not value.strip():
        raise BadRow(f"{where} is empty.")
    return value


def texts_in(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_list(value, where, text_in))


def _list(value: Any, where: str, read: Callable[[Any, str], T]) -> list[T]:
    if not isinstance(value, list):
        raise BadRow(f"{where} must be a list, got {kind_of(value)}.")
    return [read(one, f"{where}[{position}]") for position, one in enumerate(value)]


def kind_of(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), "null")


def refuse_double(example: Example, first: Example, *, given: bool) -> NoReturn:
    if given:
        raise BadRow(f"id {example.id!r} is taken by {first.origin}. Give it another id.")
    raise BadRow(f"the same question as {first.origin}. Give both an id, or put all accepted answers into one row.")
