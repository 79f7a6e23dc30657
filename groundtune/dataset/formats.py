"""Files of examples in the formats that teams have: questions, chats, instructions, tickets. Knows rows, not where they go."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from groundtune.dataset.read import (
    BadRow,
    Problem,
    Reading,
    derived_id,
    identity_in,
    kind_of,
    question_of,
    refuse_double,
    text_in,
)
from groundtune.dataset.rows import Row, read_rows, renamed
from groundtune.dataset.threads import looks_like_a_message, looks_like_a_ticket, threads, ticket
from groundtune.errors import DataError, UsageError
from groundtune.types import Example, Message

Format = Literal["questions", "openai", "sharegpt", "alpaca", "pairs", "tickets", "messages"]
"""What rows may be. `openai`, `sharegpt`: conversations; `alpaca`: instruction, input, output; `pairs`: prompt, completion;
`tickets`: a problem with its accepted answer; `messages`: one message of a ticket or a chat a row."""
FORMATS: tuple[str, ...] = get_args(Format)

NO_COLUMNS: Mapping[str, str] = {}

Role = Literal["system", "user", "assistant"]
Said = tuple[Role, str, bool]
"""Speaker, text, and whether a reply is to be learned."""

_SPEAKERS: Mapping[Role, tuple[str, ...]] = {
    "user": ("user", "human", "prompter"),
    "assistant": ("assistant", "gpt", "model", "bot", "chatbot"),
    "system": ("system", "developer"),
}
_LISTS = ("answers", "history", "evidence", "facts", "principals", "messages", "comments", "conversations")
"""Fields that a cell of a table holds as JSON."""


def read_examples(path: Path, *, format: str = "", columns: Mapping[str, str] = NO_COLUMNS) -> Reading:
    """Read JSONL, JSON, CSV or Parquet in any of FORMATS; a bad row becomes a problem and the rest is kept.

    Without `format` it is told by the fields of the rows. `columns` maps our field to the file's own column. A conversation
    gives one example for each reply of the assistant, all in one group. Of rows with the same id, and of equal conversations,
    the first is kept. Raises as `read_rows`, UsageError for an unknown format, DataError for a file without one usable row.
    """
    path, name = Path(path), str(path)
    if format and format not in FORMATS:
        raise UsageError(f"there is no format {format!r}.", subject=name, remedy=f"Formats: {', '.join(FORMATS)}.")
    rows, problems = read_rows(path)
    named: list[Row] = []
    for row in rows:
        try:
            named.append(replace(row, value=renamed(row.value, columns)))
        except BadRow as error:
            problems.append(Problem(name, row.line, "", str(error)))
    chosen = format or _told(named, name)
    if chosen == "messages":
        named, open_threads = threads(named, name)
        problems += open_threads
    examples: dict[str, Example] = {}
    for row in named:
        try:
            for example in _READERS[chosen](row, f"{name}:{row.line}"):
                if example.id in examples:
                    refuse_double(example, examples[example.id], given=_has_id(row.value))
                examples[example.id] = example
        except BadRow as error:
            identity = row.value.get("id") if isinstance(row.value, dict) else None
            problems.append(Problem(name, row.line, str(identity) if isinstance(identity, str | int) else "", str(error)))
    problems.sort(key=lambda problem: problem.line)
    if not examples:
        raise DataError(
            f"{len(problems)} rows, and none can be used." if problems else "the file holds no rows.",
            subject=f"{name}:{problems[0].line}" if problems else name,
            remedy=f"The first problem: {problems[0].what}" if problems else "",
        )
    return Reading(tuple(examples.values()), tuple(problems))


def _told(rows: Sequence[Row], name: str) -> str:
    """The format of the first row whose fields say one."""
    for row in rows:
        value = row.value if isinstance(row.value, dict) else {}
        for format, says in _TELLS.items():
            if says(value):
                return format
    fields = next((", ".join(map(str, row.value)) for row in rows if isinstance(row.value, dict)), "none")
    raise DataError(
        f"the fields of its rows ({fields}) are those of no known format.",
        subject=name,
        remedy=f"Formats: {', '.join(FORMATS)}. Name one, and say which column is which: see docs/datasets.md.",
    )


def _has(*names: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda value: all(name in value for name in names)


_TELLS: Mapping[str, Callable[[Mapping[str, Any]], bool]] = {
    "sharegpt": _has("conversations"),
    "openai": lambda value: isinstance(value.get("messages"), list | str) and not looks_like_a_ticket(value),
    "alpaca": _has("instruction", "output"),
    "pairs": _has("prompt", "completion"),
    "questions": lambda value: "question" in value and bool({"answers", "answer"} & value.keys()) and not _answered(value),
    "messages": looks_like_a_message,
    "tickets": looks_like_a_ticket,
}


def _answered(value: Mapping[str, Any]) -> bool:
    return bool({"comments", "messages", "accepted_answer", "accepted_answer_id", "subject"} & value.keys())


def _has_id(value: Any) -> bool:
    return isinstance(value, dict) and value.get("id") is not None


# --- one row of each format ---------------------------------------------------------------------------------------------


def _questions(row: Row, origin: str) -> Iterable[Example]:
    if not isinstance(row.value, dict):
        raise BadRow(f"a row must be an object, got {kind_of(row.value)}.")
    value = dict(row.value)
    if "answer" in value and "answers" not in value:
        value["answers"] = value.pop("answer")
    if row.table:
        value = {key: one for key, one in _cells(value).items() if key in _QUESTION_FIELDS and one not in ("", None)}
        if "answers" not in value:
            raise BadRow("the cell of the answer is empty. Write [] for a question that the documents do not answer.")
        if not isinstance(value["answers"], str | list):
            value["answers"] = str(value["answers"])
    return [question_of(value, origin=origin)]


_QUESTION_FIELDS = ("id", "question", "answers", "history", "evidence", "facts", "group", "kind", "principals")


def _cells(value: Mapping[str, Any]) -> dict[str, Any]:
    """A table's row with the lists that stand in its cells as JSON."""
    found = dict(value)
    for name in _LISTS:
        cell = found.get(name)
        if isinstance(cell, str) and cell.lstrip()[:1] == "[":
            try:
                found[name] = json.loads(cell)
            except ValueError as error:
                raise BadRow(f"column {name!r} begins like a JSON list and is none ({error}).") from None
    return found


def _openai(row: Row, origin: str) -> Iterable[Example]:
    """`{"messages": [{"role": ..., "content": ...}]}`; text or text parts; `weight` 0 is not learned."""
    value = _object(row)
    said: list[Said] = []
    for number, turn in enumerate(_turns(value, "messages")):
        where = f"messages[{number}]"
        if not isinstance(turn, dict):
            raise BadRow(f"{where} must be an object with role and content, got {kind_of(turn)}.")
        if turn.get("tool_calls") or turn.get("function_call") or turn.get("role") in ("tool", "function"):
            raise BadRow(f"{where} calls a tool, which is not read. Leave such conversations out.")
        said.append((_speaker(turn.get("role"), where), _content(turn.get("content"), where), turn.get("weight", 1) != 0))
    return _conversation(said, value, origin)


def _sharegpt(row: Row, origin: str) -> Iterable[Example]:
    """`{"conversations": [{"from": "human", "value": ...}, {"from": "gpt", "value": ...}]}`, with or without `system`."""
    value = _object(row)
    said: list[Said] = []
    if isinstance(value.get("system"), str) and value["system"].strip():
        said.append(("system", value["system"], True))
    for number, turn in enumerate(_turns(value, "conversations")):
        where = f"conversations[{number}]"
        if not isinstance(turn, dict):
            raise BadRow(f"{where} must be an object with from and value, got {kind_of(turn)}.")
        speaker, text = turn.get("from", turn.get("role")), turn.get("value", turn.get("content"))
        said.append((_speaker(speaker, where), text_in(text, f"{where}.value"), True))
    return _conversation(said, value, origin)


def _alpaca(row: Row, origin: str) -> Iterable[Example]:
    """`{"instruction": ..., "input": ..., "output": ...}`, also `system` and `history` (pairs)."""
    value = _object(row)
    said: list[Said] = []
    if isinstance(value.get("system"), str) and value["system"].strip():
        said.append(("system", value["system"], True))
    for number, pair in enumerate(value.get("history") or ()):
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise BadRow(f"history[{number}] must be a pair of question and answer.")
        asked, replied = (text_in(text, f"history[{number}]") for text in pair)
        said += [("user", asked, True), ("assistant", replied, False)]
    asked = text_in(value.get("instruction"), "instruction")
    more = value.get("input")
    if isinstance(more, str) and more.strip():
        asked += f"\n\n{more}"
    said += [("user", asked, True), ("assistant", text_in(value.get("output"), "output"), True)]
    return _conversation(said, value, origin)


def _pairs(row: Row, origin: str) -> Iterable[Example]:
    """`{"prompt": ..., "completion": ...}`, each text or a list of messages."""
    value = _object(row)
    said: list[Said] = []
    sides: tuple[tuple[str, Role], ...] = (("prompt", "user"), ("completion", "assistant"))
    for name, role in sides:
        part = value.get(name)
        if isinstance(part, list):
            turns = [turn if isinstance(turn, dict) else {} for turn in part]
            said += [
                (_speaker(turn.get("role"), name), _content(turn.get("content"), name), name == "completion") for turn in turns
            ]
        else:
            said.append((role, text_in(part, name).strip(), True))
    return _conversation(said, value, origin)


def _tickets(row: Row, origin: str) -> Iterable[Example]:
    return [ticket(_cells(row.value) if row.table else _object(row), origin=origin)]


_READERS: Mapping[str, Callable[[Row, str], Iterable[Example]]] = {
    "questions": _questions,
    "openai": _openai,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "pairs": _pairs,
    "tickets": _tickets,
    "messages": _tickets,
}

# --- conversations ------------------------------------------------------------------------------------------------------


def _object(row: Row) -> dict[str, Any]:
    if not isinstance(row.value, dict):
        raise BadRow(f"a row must be an object, got {kind_of(row.value)}.")
    return _cells(row.value) if row.table else row.value


def _turns(value: Mapping[str, Any], name: str) -> Sequence[Any]:
    turns = value.get(name)
    if not isinstance(turns, list) or not turns:
        raise BadRow(f"field {name!r} must be a list of messages, got {kind_of(turns) if turns != [] else 'an empty list'}.")
    return turns


def _speaker(role: Any, where: str) -> Role:
    for ours, names in _SPEAKERS.items():
        if isinstance(role, str) and role.lower() in names:
            return ours
    raise BadRow(f"{where}: {role!r} is no known speaker. Write user, assistant or system.")


def _content(content: Any, where: str) -> str:
    if isinstance(content, list):
        texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in content]
        if not all(isinstance(text, str) for text in texts):
            raise BadRow(f"{where}.content holds a part that is not text. Leave such conversations out.")
        content = "\n".join(str(text) for text in texts)
    return text_in(content, f"{where}.content")


def _conversation(said: Sequence[Said], value: Mapping[str, Any], origin: str) -> list[Example]:
    """An example for each reply of the assistant that is to be learned."""
    history: list[Message] = []
    found: list[Example] = []
    for place, (role, text, learned) in enumerate(said):
        if role == "assistant" and learned:
            if not history or history[-1].role != "user":
                raise BadRow(f"turn {place + 1} is a reply to nobody. Put what the user said before it.")
            found.append(Example("", history[-1].content, (text,), history=tuple(history[:-1])))
        history.append(Message(role, text))
    if not found:
        raise BadRow("the assistant says nothing that could be learned.")
    whole = derived_id("\n".join(text for _, text, _ in said), (), ()).replace("q-", "c-")
    name = identity_in(value["id"]) if value.get("id") is not None else whole
    kind = value.get("kind", value.get("category", ""))
    return [
        replace(
            one,
            id=name if len(found) == 1 else f"{name}/{number}",
            group=name,
            kind=kind if isinstance(kind, str) else "",
            origin=origin,
        )
        for number, one in enumerate(found, start=1)
    ]
