"""The texts that a report may show: questions, answers and evidence that its named readers may see now. Knows who may read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import select

from groundtune.access.audience import from_json, may_read, to_json
from groundtune.access.register import AccessRegister
from groundtune.candidates.build import users_of
from groundtune.candidates.open import find_weights
from groundtune.dataset.check import audience_of_example, locate
from groundtune.errors import NotFound, Withdrawn
from groundtune.ingest.reading import stored_document
from groundtune.reporting.choice import reference
from groundtune.reporting.lost import Lost, Passage, choose, losses, marked, questions
from groundtune.store.artefacts import write_whole
from groundtune.store.tables import documents as documents_table
from groundtune.store.workspace import Workspace
from groundtune.types import LOCAL, Audience, Caller, Evidence, Example, Message

QUESTIONS = "questions.jsonl"
"""In the folder of a run, beside its scores."""
NOBODY_NAMED = (
    "No text is shown, because nobody is named as a reader. Name in decision.report_audience of groundtune.toml the principals "
    "of those who will read the report, and run: groundtune report"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of a run."""

    example: Example
    then: Audience
    """Who might see it with its answer when the run was made."""


def write_questions(folder: Path, examples: Sequence[Example], audience_of: Callable[[Example], Audience]) -> None:
    """The questions of a run as they were asked, with the evidence as it was located and who might see them then."""
    rows = [asdict(example) | {"audience": to_json(audience_of(example))} for example in examples]
    write_whole(folder / QUESTIONS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def lost_questions(workspace: Workspace, report: Mapping[str, Any], scores: Sequence[Mapping[str, Any]]) -> Lost:
    """What the section on lost questions shows to the readers of `decision.report_audience`: what every one of them may see.

    A question is shown when they may read its evidence and whatever its asker may read; an answer, when they may read besides
    all that it may rest on: what was retrieved for it, the examples that its asker might be shown, what its weights learned.
    All of it is asked of the register now.
    """
    readers = readers_of(workspace)
    asked = _read_questions((workspace.root / report["scores"]).with_name(QUESTIONS))
    rights = _Rights(workspace, [Caller.of(*reader) for reader in readers], asked)
    seen = {one.example.id: one.example for one in asked if rights.may_see(one.example)} if readers else {}
    chosen = choose(report, scores, reference=reference(report), allowed=seen.keys())
    examples = [seen[item] for item in chosen.items]
    shown = questions(
        report,
        scores,
        examples=examples,
        passages={example.id: _passages(example, workspace) for example in examples},
        hidden=rights.hidden(report, scores, examples),
    )
    scored = {score["item"] for score in scores}
    why = "" if shown else NOBODY_NAMED if not readers else "No question that its readers may see was lost by any candidate."
    return Lost(
        questions=shown,
        losses=losses(chosen, shown),
        nobody=chosen.nobody,
        readers=tuple(" and ".join(reader) for reader in readers) if shown else (),
        withheld=len(scored - seen.keys()) if readers and asked else 0,
        why=why if asked else "The questions of this run are not at hand.",
    )


def readers_of(workspace: Workspace) -> tuple[tuple[str, ...], ...]:
    """The principals that each reader of the report holds; where everything belongs to `local`, that one."""
    named = workspace.config.decision.report_audience
    if named is None:
        return ((LOCAL,),) if workspace.config.access.single else ()
    return named


class _Rights:
    """What every one of some readers may see of a run, at the newest policy."""

    def __init__(self, workspace: Workspace, readers: Sequence[Caller], asked: Sequence[Asked]) -> None:
        self._workspace, self._readers = workspace, readers
        self._register = AccessRegister(workspace.database)
        self._now = {one.example.id: audience_of_example(one.example, self._register.audience) for one in asked}
        self._audiences = {(one.then, self._now[one.example.id]) for one in asked}
        self._as_much = cache(self._reads_as_much)
        self._all_examples = cache(self._reads_all_examples)

    def may_see(self, example: Example) -> bool:
        return self._read(self._now[example.id]) and self._as_much(example.principals)

    def hidden(
        self, report: Mapping[str, Any], scores: Sequence[Mapping[str, Any]], examples: Sequence[Example]
    ) -> set[tuple[str, str]]:
        """(candidate, question) of the answers that may rest on what some reader may not see."""
        by_id = {example.id: example for example in examples}
        mine = [score for score in scores if score["item"] in by_id]
        rested = {chunk.rpartition("#")[0] for score in mine for chunk in score["context"]}
        rested |= {citation["document"] for score in mine for citation in score["citations"]}
        readable = set.intersection(rested, *(self._register.readable(rested, reader) for reader in self._readers))
        recipes = {one["name"]: one["recipe"] for one in report["candidates"]}
        weights = {one["name"] for one in report["candidates"] if not self._may_use(one["weights"])}
        return {
            (score["candidate"], score["item"])
            for score in mine
            if score["candidate"] in weights
            or (recipes.get(score["candidate"], {}).get("examples") and not self._all_examples(by_id[score["item"]].principals))
            or not {chunk.rpartition("#")[0] for chunk in score["context"]} <= readable
            or not {citation["document"] for citation in score["citations"]} <= readable
        }

    def _reads_as_much(self, principals: tuple[str, ...]) -> bool:
        """Whether the readers may read all that an asker with these principals may."""
        asker = Caller.of(*principals)
        allowed = self._register.allowed(asker)
        return all(self._read(now) for _, now in self._audiences if may_read(now, asker)) and all(
            allowed <= self._register.allowed(reader) for reader in self._readers
        )

    def _reads_all_examples(self, principals: tuple[str, ...]) -> bool:
        """Whether the readers may see every example that such an asker might be shown in the run."""
        asker = Caller.of(*principals)
        return all(self._read(now) for then, now in self._audiences if may_read(then, asker))

    def _may_use(self, weights: Sequence[Mapping[str, Any]]) -> bool:
        """Whether the readers belong to the audience of all these weights; withdrawn ones are for nobody."""
        for made in weights:
            try:
                users = users_of(find_weights(self._workspace, made["id"]), self._workspace.database)()
            except (NotFound, Withdrawn):
                return False
            if not self._read(users):
                return False
        return True

    def _read(self, audience: Audience) -> bool:
        return all(may_read(audience, reader) for reader in self._readers)


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


def _read_questions(path: Path) -> list[Asked]:
    """The questions of a run; none when the file is gone."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [_asked(json.loads(line)) for line in lines]


def _asked(row: Mapping[str, Any]) -> Asked:
    evidence = tuple(
        Evidence(one["document"], one["quote"], tuple((start, end) for start, end in one["spans"]), tuple(one["sections"]))
        for one in row["evidence"]
    )
    example = Example(
        row["id"],
        row["question"],
        answers=tuple(row["answers"]),
        history=tuple(Message(**message) for message in row["history"]),
        evidence=evidence,
        facts=tuple(row["facts"]),
        group=row["group"],
        kind=row["kind"],
        principals=tuple(row["principals"]),
        origin=row["origin"],
    )
    return Asked(example, from_json(row["audience"]))
