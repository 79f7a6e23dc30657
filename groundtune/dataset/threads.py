"""Tickets and chats to examples: the problem, what was said about it, and the answer that was accepted. Knows rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundtune.dataset.read import BadRow, Problem, identity_in, kind_of
from groundtune.dataset.rows import Row
from groundtune.types import Example, Message

_TITLE = ("subject", "title", "summary")
_PROBLEM = ("problem", "description", "body", "question")
_ANSWER = ("accepted_answer", "resolution", "solution", "answer")
_TALK = ("comments", "messages")
_TEXT = ("text", "body", "content", "message")
_AUTHOR = ("author", "from", "user", "sender", "role")
_REQUESTER = ("requester", "customer", "reporter", "author")
_CUSTOMERS = frozenset({"customer", "requester", "reporter", "user", "end-user", "end_user", "client"})
_THREAD = ("thread", "thread_id", "ticket", "ticket_id", "conversation", "conversation_id")
_TIME = ("time", "timestamp", "ts", "date", "created", "created_at")
_YES = frozenset({"true", "1", "yes", "y", "x"})


def looks_like_a_ticket(value: Mapping[str, Any]) -> bool:
    asks = bool({*_TITLE, *_PROBLEM} & value.keys())
    return asks and bool({*_ANSWER, "comments", "messages", "accepted_answer_id"} & value.keys())


def looks_like_a_message(value: Mapping[str, Any]) -> bool:
    return all(any(name in value for name in names) for names in (_THREAD, _AUTHOR, _TEXT))


def ticket(value: Mapping[str, Any], *, origin: str) -> Example:
    """One ticket as an example: what its requester asked last is the question, what was said before it the history.

    The accepted answer is `accepted_answer`, `resolution`, `solution` or `answer`, or the comment marked `accepted` or named by
    `accepted_answer_id`; comments after it and those marked `internal` or `public: false` are left out. Raises BadRow for a
    ticket without one: nothing says that any of its comments was right.
    """
    problem = "\n\n".join(dict.fromkeys(text for text in (_first(value, _TITLE), _first(value, _PROBLEM)) if text))
    if not problem:
        raise BadRow(f"the ticket tells no problem. Fill one of {', '.join((*_TITLE, *_PROBLEM))}.")
    requester = _first(value, _REQUESTER)
    talk, accepted = _talk(value, requester)
    answer = _first(value, _ANSWER) or accepted
    if not answer:
        raise BadRow("no answer was accepted. Fill 'accepted_answer', or mark the comment with \"accepted\": true.")
    turns = _joined([Message("user", problem), *talk])
    while turns[-1].role != "user":
        turns.pop()
    name = identity_in(value["id"]) if value.get("id") is not None else origin
    group, kind = value.get("group"), value.get("kind", value.get("category"))
    return Example(
        name,
        turns[-1].content,
        (answer,),
        history=tuple(turns[:-1]),
        group=str(group) if group else name,
        kind=kind if isinstance(kind, str) else "",
        origin=origin,
    )


def threads(rows: Sequence[Row], name: str) -> tuple[list[Row], list[Problem]]:
    """Messages, one a row, as one ticket a thread, in order of time where there is one; its first message is the problem."""
    problems: list[Problem] = []
    found: dict[str, list[Row]] = {}
    for row in rows:
        thread = _first(row.value, _THREAD) if isinstance(row.value, dict) else ""
        if not thread or not _first(row.value, _TEXT):
            problems.append(Problem(name, row.line, "", "a message needs a thread and a text."))
            continue
        found.setdefault(thread, []).append(row)
    tickets = []
    for thread, said in found.items():
        said.sort(key=lambda row: _when(row.value))
        first, *others = said
        value = {
            "id": thread,
            "problem": _first(first.value, _TEXT),
            "requester": _first(first.value, _AUTHOR),
            "comments": [row.value for row in others],
        }
        tickets.append(Row(first.line, value))
    return tickets, problems


def _talk(value: Mapping[str, Any], requester: str) -> tuple[list[Message], str]:
    """What was said up to the accepted answer, and that answer."""
    said: list[Message] = []
    chosen = value.get("accepted_answer_id")
    for name in _TALK:
        comments = value.get(name) or ()
        if not isinstance(comments, list | tuple):
            raise BadRow(f"field {name!r} must be a list, got {kind_of(comments)}.")
        for number, comment in enumerate(comments):
            if not isinstance(comment, dict):
                raise BadRow(f"{name}[{number}] must be an object, got {kind_of(comment)}.")
            if _true(comment.get("internal")) or _true(comment.get("private")) or comment.get("public") in (False, "false"):
                continue
            text, author = _first(comment, _TEXT), _first(comment, _AUTHOR)
            if not text:
                continue
            accepted = any(_true(comment.get(mark)) for mark in ("accepted", "is_accepted"))
            if accepted or (chosen is not None and comment.get("id") == chosen):
                return said, text
            asks = bool(requester and author == requester) or author.lower() in _CUSTOMERS
            said.append(Message("user" if asks else "assistant", text))
    return said, ""


def _joined(turns: Sequence[Message]) -> list[Message]:
    """Neighbouring turns of one speaker as one."""
    joined: list[Message] = []
    for turn in turns:
        if joined and joined[-1].role == turn.role:
            joined[-1] = Message(turn.role, f"{joined[-1].content}\n\n{turn.content}")
        else:
            joined.append(turn)
    return joined


def _first(value: Mapping[str, Any], names: Sequence[str]) -> str:
    """The first of these fields that holds text or a number, as text."""
    for name in names:
        field = value.get(name)
        if isinstance(field, str | int | float) and not isinstance(field, bool) and str(field).strip():
            return str(field).strip()
    return ""


def _true(value: Any) -> bool:
    return value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in _YES)


def _when(value: Mapping[str, Any]) -> tuple[int, float, str]:
    """Numbers by size, dates by their ISO text."""
    when = _first(value, _TIME)
    try:
        return 0, float(when), ""
    except ValueError:
        return 1, 0.0, when
