"""The texts that a report may show: questions, answers and evidence that its named readers may see now. Knows who may read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select

from groundtune.access.audience import conjoin, may_read
from groundtune.access.register import AccessRegister
from groundtune.candidates.open import find_weights
from groundtune.dataset.check import audience_of_example, locate
from groundtune.errors import NotFound
from groundtune.ingest.sync import stored_document
from groundtune.reporting.choice import reference
from groundtune.reporting.lost import Lost, Passage, choose, losses, marked, questions
from groundtune.store.tables import documents as documents_table
from groundtune.store.workspace import Workspace
from groundtune.types import LOCAL, Caller, Evidence, Example, Message

QUESTIONS = "questions.jsonl"
"""In the folder of a run, beside its scores."""
NOBODY_NAMED = (
    "No text is shown, because nobody is named as a reader. Name in decision.report_audience of groundtune.toml the principals "
    "of those who will read the report, and run: groundtune report"
)


def lost_questions(workspace: Workspace, report: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]) -> Lost:
    """What the section on lost questions shows to a reader who holds every principal of `decision.report_audience`.

    A question is shown when the reader may read its evidence, and everything that its asker may read: documents and other
    questions. Answers of tuned candidates need the audience of their weights besides. All of it is asked of the register now.
    """
    readers = readers_of(workspace)
    examples = _read_questions((workspace.root / report["scores"]).with_name(QUESTIONS))
    register = AccessRegister(workspace.database)
    reader = Caller.of(*readers)
    seen = _visible(examples, reader=reader, register=register) if readers else {}
    chosen = choose(report, scores, reference=reference(report), allowed=seen.keys())
    shown = questions(
        report,
        scores,
        examples=[seen[item] for item in chosen.items],
        passages={item: _passages(seen[item], workspace) for item in chosen.items},
        hidden=[one["name"] for one in report["candidates"] if not _may_use(one["weights"], reader, workspace, register)],
    )
    scored = {score["item"] for score in scores}
    why = "" if shown else NOBODY_NAMED if not readers else "No question is shown."
    if not examples:
        why = "The questions of this run are not at hand."
    elif not shown and readers and scored & seen.keys():
        why = "No candidate scored higher than another on any question."
    return Lost(
        questions=shown,
        losses=losses(chosen, shown),
        nobody=chosen.nobody,
        readers=readers if shown else (),
        withheld=len(scored - seen.keys()) if readers and examples else 0,
        why=why,
    )


def readers_of(workspace: Workspace) -> tuple[str, ...]:
    """Principals that a reader of the report holds; where everything belongs to `local`, that one."""
    named = workspace.config.decision.report_audience
    if named is None:
        return (LOCAL,) if workspace.config.access.single else ()
    return named


def _visible(examples: Sequence[Example], *, reader: Caller, register: AccessRegister) -> dict[str, Example]:
    """Those that the reader may see: nothing that went into them or their answers lies beyond what the reader may read."""
    audiences = {example.id: audience_of_example(example, register.audience) for example in examples}
    distinct = set(audiences.values())
    allowed = register.allowed(reader)
    equal: dict[tuple[str, ...], bool] = {}
    for example in examples:
        if example.principals not in equal:
            asker = Caller.of(*example.principals)
            beyond = any(may_read(one, asker) and not may_read(one, reader) for one in distinct)
            equal[example.principals] = not beyond and register.allowed(asker) <= allowed
    return {
        example.id: example for example in examples if equal[example.principals] and may_read(audiences[example.id], reader)
    }


def _may_use(weights: Sequence[Mapping[str, Any]], reader: Caller, workspace: Workspace, register: AccessRegister) -> bool:
    """Whether the reader belongs to the audience of all these weights; withdrawn ones are for nobody."""
    for made in weights:
        try:
            found = find_weights(workspace, made["id"])
        except NotFound:
            return False
        if not may_read(conjoin([found.audience, *map(register.audience, found.documents)]), reader):
            return False
    return True


def _passages(example: Example, workspace: Workspace) -> tuple[Passage, ...]:
    return tuple(_passage(evidence, lambda name: _text(workspace, name)) for evidence in example.evidence)


def _passage(evidence: Evidence, text_of: Callable[[str], str | None]) -> Passage:
    """The evidence where it stands in the document as it is now; the quote alone where it stands there no more."""
    text = text_of(evidence.document)
    spans = locate(evidence.quote, text) if text is not None else None
    if text is None or not spans:
        return Passage(evidence.document, ((evidence.quote, True),), "the quote does not stand in the document as it is now")
    return Passage(evidence.document, marked(text, spans))


def _text(workspace: Workspace, name: str) -> str | None:
    chosen = select(documents_table).where(documents_table.c.id == name, documents_table.c.status == "ok")
    with workspace.database.connect() as connection:
        row = connection.execute(chosen).mappings().first()
    return None if row is None else stored_document(workspace, dict(row)).text


def _read_questions(path: Path) -> list[Example]:
    """The questions of a run; none when the file is gone."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [_example(json.loads(line)) for line in lines]


def _example(row: dict[str, Any]) -> Example:
    history = tuple(Message(**message) for message in row.pop("history"))
    evidence = tuple(
        Evidence(one["document"], one["quote"], tuple(map(tuple, one["spans"])), tuple(one["sections"]))
        for one in row.pop("evidence")
    )
    lists = {name: tuple(row.pop(name)) for name in ("answers", "facts", "principals")}
    return Example(**row, **lists, history=history, evidence=evidence)
