"""One candidate trained on old documents, asked about old and new ones, and with passages given. Compares nothing."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.cells import Cell, Done
from benchmarks.freshness_worlds import Change, Worlds
from benchmarks.harness import write_rows, write_settings
from groundtune.answer.assistant import Assistant
from groundtune.candidates.build import build, tune
from groundtune.candidates.open import open_workshop, weights_folder
from groundtune.candidates.workshop import Weights
from groundtune.cli import progress
from groundtune.config import FILE_NAME
from groundtune.decision.fact_edits import tells
from groundtune.decision.given_context import GivenContext, edited_hits
from groundtune.decision.probes import gold_hits
from groundtune.decision.setup import Setup, set_up
from groundtune.errors import DataError
from groundtune.evaluation.evaluate import evaluate
from groundtune.ingest.sync import sync
from groundtune.interfaces import Retriever
from groundtune.scoring.text import contains
from groundtune.store.workspace import Workspace
from groundtune.types import Answer, Example, Hit, Message, RetrievedContext, Score

METRICS = ("f1", "contains")
GIVEN = ("gold", "missing", "wrong", "conflicting")
"""Passages that are given: with the evidence, of another question, with the fact edited, both of these."""
WRITTEN = (1_760_000_000, 1_762_000_000)
"""Seconds since the epoch at which the old and the new documents were written: their age is a part of what a search knows."""


def workspace(
    worlds: Worlds, root: Path, *, settings: Mapping[str, str], candidates: str, model: str = "", embedder: str = ""
) -> Path:
    """A workspace of the old documents in `root`, made once; `settings` maps tables of groundtune.toml to further lines."""
    if (root / FILE_NAME).exists():
        return root
    questions = write_rows(root / "questions.jsonl", worlds.rows[0])
    write_settings(root, documents=root / "documents", questions=questions, settings=settings)
    text = (root / FILE_NAME).read_text(encoding="utf-8")
    for key, value in (("model", model), ("embedder", embedder)):
        text = re.sub(rf"^{key} = .*$", f"{key} = {json.dumps(value)}", text, flags=re.MULTILINE) if value else text
    (root / FILE_NAME).write_text(text + candidates, encoding="utf-8")
    return root


def show(worlds: Worlds, folder: Path, *, new: bool) -> None:
    """Make the folder hold exactly the old or the new documents."""
    documents = worlds.documents[new]
    for path in sorted(folder.rglob("*")) if folder.exists() else []:
        if path.is_file() and path.relative_to(folder).as_posix() not in documents:
            path.unlink()
    for name, content in documents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
        changed = content != worlds.documents[0].get(name)
        os.utime(path, (WRITTEN[changed], WRITTEN[changed]))


@dataclass(frozen=True)
class _Cell:
    """What asking one candidate needs."""

    name: str
    workspace: Workspace
    setup: Setup
    worlds: Worlds
    taught: frozenset[str]

    def measure(self, weights: Weights | None) -> list[Score]:
        task, candidate = self.setup.task, self.setup.candidates[0]
        by_id, fold = task.by_id(), task.folds[0]
        learned = [by_id[item] for item in fold.train]
        asked = [by_id[item] for item in (*fold.test, *fold.train) if item in self.worlds.changes or item in self.worlds.kept]
        old = build(candidate, workshop=self.setup.workshop, train_examples=learned, weights=weights)
        found = self._ask("before", old, asked)
        if isinstance(candidate.context, RetrievedContext) and self.setup.workshop.retriever is not None:
            given = given_hits(asked, self.worlds.changes, retriever=self.setup.workshop.retriever)
            for condition in GIVEN:
                shown = [one for one in asked if one.id in given[condition]]
                found += self._ask(condition, GivenContext(old, given[condition]), shown)
        show(self.worlds, self.workspace.documents, new=True)
        embedder = self.setup.workshop.embedder
        sync(self.workspace, embedder=embedder)
        workshop = replace(self.setup.workshop, retriever=open_workshop(self.workspace, embedder=embedder).retriever)
        new = build(candidate, workshop=workshop, train_examples=learned, weights=weights)
        rows = {row["id"]: row for row in self.worlds.rows[1]}
        return found + self._ask("after", new, [_afterwards(one, rows[one.id]) for one in asked])

    def _ask(self, condition: str, respondent: Assistant | GivenContext, asked: Sequence[Example]) -> list[Score]:
        """One row an item: right, tells the other value, abstained and F1; `kind` says condition, part and what was edited."""
        scores = evaluate(
            respondent,
            asked,
            candidate=self.name,
            metrics=METRICS,
            stages=self.workspace.stages,
            key=respondent.fingerprint,
            batch_size=self.workspace.config.decision.batch_size,
        )
        by_id = {example.id: example for example in asked}
        return [self._row(score, by_id[score.item], condition) for score in scores]

    def _row(self, score: Score, example: Example, condition: str) -> Score:
        change = self.worlds.changes.get(score.item)
        if change is None:
            right, other = contains(example, Answer(score.answer, abstained=score.abstained)), 0.0
        else:
            truth, lie = (change.new, change.old) if condition == "after" else (change.old, change.new)
            told, other = (float(not score.abstained and tells(score.answer, value)) for value in (truth, lie))
            right, other = told * (1 - other), other * (1 - told)
        part = "taught" if score.item in self.taught else "held_out"
        figures = {"right": right, "other": other, "abstained": float(score.abstained), "f1": score.metrics["f1"]}
        return replace(score, kind=f"{condition} {part} {'edited' if change else 'kept'}", metrics=figures)


def _afterwards(example: Example, row: Mapping[str, Any]) -> Example:
    history = tuple(Message(turn["role"], turn["content"]) for turn in row.get("history", ()))
    return replace(example, question=row["question"], answers=tuple(row["answers"]), history=history, evidence=())


def given_hits(
    examples: Sequence[Example], changes: Mapping[str, Change], *, retriever: Retriever
) -> dict[str, dict[str, Sequence[Hit]]]:
    """Condition -> item -> passages, of the items whose passage states the fact that is edited.

    In place of a missing passage stands that of the item of another group that follows next by id, and does not state the fact.
    Of two conflicting ones the true one is first for every other item.
    """
    found: dict[str, dict[str, Sequence[Hit]]] = {condition: {} for condition in GIVEN}
    gold = {one.id: gold_hits(one, retriever=retriever) for one in sorted(examples, key=lambda one: one.id)}
    groups, ids = {one.id: one.group for one in examples}, list(gold)
    for number, example in enumerate(sorted(examples, key=lambda one: one.id)):
        change = changes.get(example.id)
        wrong = edited_hits(example, gold[example.id], old=change.old, new=change.new) if change else None
        if change is None or wrong is None:
            continue
        others = (gold[name] for name in (*ids[number + 1 :], *ids[:number]) if groups[name] != example.group and gold[name])
        missing = next((hits for hits in others if not any(tells(hit.chunk.text, change.old) for hit in hits)), None)
        if missing is None:
            continue
        true = gold[example.id]
        both = (*true, *wrong) if number % 2 else (*wrong, *true)
        for condition, hits in zip(GIVEN, (true, missing, wrong, both), strict=True):
            found[condition][example.id] = tuple(hits)
    return found


def measure(cell: Cell, root: Path, worlds: Worlds) -> Done:
    """Train on the old documents, ask, edit the documents, sync, ask again. What an earlier call finished is found again."""
    started = time.monotonic()
    show(worlds, root / "documents", new=False)
    with Workspace.open(root) as opened, opened.lock(), progress.shown(as_json=False) as shown:
        setup = set_up(opened, names=[cell.candidate], progress=shown)
        if not setup.candidates:
            raise DataError(f"{setup.not_applicable[cell.candidate]}.", subject=cell.name)
        recipe, by_id, fold = setup.candidates[0], setup.task.by_id(), setup.task.folds[0]
        weights = None
        if recipe.tuning is not None:
            weights = tune(
                recipe,
                workshop=setup.workshop,
                train_examples=[by_id[item] for item in fold.train],
                folder=weights_folder(opened),
                seed=cell.seed,
                progress=shown,
            )
        scores = _Cell(cell.candidate, opened, setup, worlds, frozenset(fold.train)).measure(weights)
    taken = {} if weights is None else {"steps": weights.result.steps, "seconds": weights.result.seconds}
    return Done(cell, tuple(scores), time.monotonic() - started, weights.pairs if weights else 0, taken)
