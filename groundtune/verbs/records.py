"""What a workspace keeps besides its lineage: rows, chunks, evidence, trainings, scored answers. Asks no caller."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from sqlalchemy import Column, select

from groundtune.candidates.open import newest
from groundtune.dataset.check import check_evidence
from groundtune.dataset.read import read_questions
from groundtune.decision.report import read_scores
from groundtune.errors import NotFound
from groundtune.index.versions import IndexVersions
from groundtune.ingest.reading import stored_document
from groundtune.store import tables
from groundtune.store.workspace import Workspace
from groundtune.training.trainer import ABOUT
from groundtune.types import Chunk, Example


class Records:
    """Opened for one walk; it does not notice what changes meanwhile."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self._chunks: dict[str, tuple[Chunk, ...]] = {}
        self._located: dict[str, Example] = {}

    def lines(self, of: Column[str], to: Column[str], name: str) -> list[tuple[str, str]]:
        """(relation, other end) of the stored lines at `name`, in the order of the other end."""
        chosen = select(tables.lineage.c.relation, to).where(of == name).order_by(to, tables.lineage.c.relation)
        with self.workspace.database.connect() as connection:
            return [(relation, other) for relation, other in connection.execute(chosen)]

    @cached_property
    def documents(self) -> dict[str, Mapping[str, Any]]:
        """By id."""
        return self._rows("documents")

    @cached_property
    def weights(self) -> dict[str, Mapping[str, Any]]:
        return self._rows("weights")

    @cached_property
    def datasets(self) -> dict[str, Mapping[str, Any]]:
        return self._rows("datasets") if "datasets" in tables.metadata.tables else {}

    @cached_property
    def stages(self) -> dict[str, str]:
        """Hash of a stored result -> what made it."""
        with self.workspace.database.connect() as connection:
            return dict(connection.execute(select(tables.stages.c.artefact, tables.stages.c.stage)).all())

    @cached_property
    def trainings(self) -> dict[str, dict[str, Any]]:
        """Weights that lie on the disk -> their training.json; `domain` learned no example, but documents alone."""
        found = {}
        for id, row in self.weights.items():
            path = self.workspace.state / row["path"] / ABOUT
            if path.exists():
                found[id] = json.loads(path.read_text(encoding="utf-8"))
                if found[id]["tuning"]["objective"] == "domain":
                    found[id]["examples"] = []
        return found

    @cached_property
    def decisions(self) -> dict[str, Mapping[str, Any]]:
        """Run -> its report; one whose report is lost is left out."""
        runs = tables.runs
        chosen = select(runs.c.id).where(runs.c.verb == "decide", runs.c.status == "done").order_by(runs.c.created)
        with self.workspace.database.connect() as connection:
            ids = list(connection.scalars(chosen))
        found = {}
        for id in ids:
            try:
                found[id] = newest(self.workspace, verb="decide", run=id)
            except NotFound:
                continue
        return found

    @cached_property
    def scored(self) -> dict[str, Mapping[str, Any]]:
        """`RUN/CANDIDATE/ITEM` -> the kept answer's row, with the weights that gave it under `by`."""
        found: dict[str, Mapping[str, Any]] = {}
        for run, report in self.decisions.items():
            used = {one["name"]: [weights["id"] for weights in one["weights"]] for one in report["candidates"]}
            for row in read_scores(self.workspace.root / report["scores"]):
                folds = used.get(row["candidate"])
                by = folds[row["fold"]] if folds and row["fold"] < len(folds) else ""
                found[f"{run}/{row['candidate']}/{row['item']}"] = {**row, "by": by}
        return found

    @cached_property
    def examples(self) -> dict[str, Example]:
        """The questions' file by id, evidence not located."""
        path = self.workspace.questions
        return {one.id: one for one in read_questions(path).examples} if path.exists() else {}

    @cached_property
    def quoting(self) -> dict[str, list[str]]:
        """Document -> the examples that quote it."""
        found: dict[str, list[str]] = {}
        for id, example in self.examples.items():
            for document in {evidence.document for evidence in example.evidence}:
                found.setdefault(document, []).append(id)
        return found

    def chunks(self, document: str) -> tuple[Chunk, ...]:
        """As the index holds them now."""
        if document not in self._chunks:
            versions = IndexVersions(self.workspace.state / "index", database=self.workspace.database)
            number = versions.current() if document in self.documents else 0
            found = versions.open(number).chunks([document]) if number else ()
            self._chunks[document] = tuple(one.chunk for one in found)
        return self._chunks[document]

    def evidence(self, example: str) -> list[tuple[str, tuple[str, ...]]]:
        """(document, chunks of it in which the evidence stands) of an example."""
        found: dict[str, set[str]] = {}
        for evidence in self._locate(example).evidence if example in self.examples else ():
            holding = found.setdefault(evidence.document, set())
            for chunk in self.chunks(evidence.document):
                if any(chunk.start < end and start < chunk.end for start, end in evidence.spans):
                    holding.add(chunk.id)
        return [(document, tuple(sorted(chunks))) for document, chunks in sorted(found.items())]

    def _locate(self, example: str) -> Example:
        if example not in self._located:
            self._located[example] = check_evidence([self.examples[example]], self._text).examples[0]
        return self._located[example]

    def _text(self, document: str) -> str | None:
        row = self.documents.get(document)
        if row is None or row["status"] != "ok":
            return None
        try:
            return stored_document(self.workspace, row).text
        except NotFound:
            return None

    def _rows(self, table: str) -> dict[str, Mapping[str, Any]]:
        with self.workspace.database.connect() as connection:
            chosen = select(tables.metadata.tables[table])
            return {row["id"]: dict(row) for row in connection.execute(chosen).mappings()}
