"""Documents and questions before and after their facts were edited. Knows where facts stand; trains and asks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import convert_handbook
from groundtune.company import Company, Question, generate
from groundtune.company.formats import file_bytes
from groundtune.dataset.check import locate
from groundtune.decision.fact_edits import another, replaced, tells

Row = dict[str, Any]
KINDS = ("single_text", "negation", "temporal", "anaphora")
LONGEST_NAME = 4
"""Words of an answer that may stand in for another name."""


@dataclass(frozen=True, slots=True)
class Change:
    """The answer to one question before and after the edit, without any house style."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Worlds:
    """The same documents and questions twice. A question that is in neither `changes` nor `kept` is asked of nobody."""

    documents: tuple[Mapping[str, bytes], Mapping[str, bytes]]
    """Path -> content, before and after."""
    rows: tuple[tuple[Row, ...], tuple[Row, ...]]
    """Question rows, before and after, with the same ids in the same order."""
    changes: Mapping[str, Change]
    """Id -> the edited fact."""
    kept: frozenset[str]
    """Ids of questions that are the same in both, with the same answer: the control."""


def company_worlds(*, edited: float = 1.0) -> Worlds:
    """The demo company, whose generator knows every fact, asked by somebody who may read everything."""
    old, new = generate(), generate(edited=edited)
    after = {one.id: one for one in new.questions}
    changes = {
        one.id: Change(one.plain[0], after[one.id].plain[0])
        for one in old.questions
        if one.plain and one.plain[0] != after[one.id].plain[0] and _shown(one) and _shown(after[one.id])
    }
    rows = _company_rows(old), _company_rows(new)
    kept = {first["id"] for first, second in zip(*rows, strict=True) if _same(first, second)}
    files = {0: old, 1: new}
    first, second = ({one.path: file_bytes(one) for one in files[place].documents} for place in (0, 1))
    return Worlds((first, second), rows, changes, frozenset(kept - changes.keys()))


def _shown(question: Question) -> bool:
    """Whether the accepted answer can be told from others by its fact, in whatever style."""
    return tells(question.answers[0], question.plain[0])


def _company_rows(firm: Company) -> tuple[Row, ...]:
    return tuple(
        {
            "id": one.id,
            "question": one.question,
            "answers": list(one.answers),
            "history": [
                {"role": role, "content": text}
                for turn in one.history
                for role, text in zip(("user", "assistant"), turn, strict=True)
            ],
            "evidence": [{"document": document, "quote": quote} for document, quote in one.evidence],
            "group": one.group,
            "kind": one.kind,
        }
        for one in firm.questions
    )


def _same(first: Row, second: Row) -> bool:
    return all(first[key] == second[key] for key in ("question", "answers", "history"))


def handbook_worlds(data: Path) -> Worlds:
    """GitLab's handbook, where the answer is a number, a date or a name that stands in the evidence."""
    folder = convert_handbook.documents_folder(data)
    rows = convert_handbook.convert(data, kinds=KINDS)
    texts = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.md"))}
    return edit_rows(rows, texts)


def edit_rows(rows: Sequence[Row], texts: Mapping[str, str]) -> Worlds:
    """Every fact that can be edited, edited in its evidence: the value in the quote becomes another of its kind.

    A question whose evidence the edit of another one touched is left out.
    """
    names = [row["answers"][0] for row in rows if len(row["answers"][0].split()) <= LONGEST_NAME]
    edited = dict(texts)
    changes: dict[str, Change] = {}
    after: dict[str, Row] = {}
    for row in rows:
        made = _edit(row, edited, names=names)
        if made is not None:
            document, edited[document], changes[row["id"]], quote = made
            after[row["id"]] = row | {"answers": [changes[row["id"]].new], "evidence": [{"document": document, "quote": quote}]}
    found = {
        row["id"]
        for row in (after.get(row["id"], row) for row in rows)
        if all(locate(one["quote"], edited[one["document"]]) for one in row["evidence"])
    }
    first, second = ({path: text.encode() for path, text in world.items()} for world in (texts, edited))
    return Worlds(
        (first, second),
        (tuple(rows), tuple(after.get(row["id"], row) for row in rows)),
        {name: change for name, change in changes.items() if name in found},
        frozenset(found - changes.keys()),
    )


def _edit(row: Row, texts: Mapping[str, str], *, names: Sequence[str]) -> tuple[str, str, Change, str] | None:
    """(document, its text, the change, the quote) after the edit; None where the fact cannot be edited."""
    if len(row["evidence"]) != 1 or len(row["answers"]) != 1:
        return None
    document, quote, old = row["evidence"][0]["document"], row["evidence"][0]["quote"], row["answers"][0].strip()
    new = another(old, key=row["id"], names=names)
    if new is None or replaced(row["question"], old, "") is not None or (said := replaced(quote, old, new)) is None:
        return None
    text = texts[document]
    for start, end in locate(quote, text) or ():
        inner = replaced(text[start:end], old, new)
        if inner is not None:
            return document, text[:start] + inner + text[end:], Change(old, new), said
    return None
