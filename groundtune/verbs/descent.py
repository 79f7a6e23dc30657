"""One step of descent from any thing of a workspace, up or down, and who may know of it. Draws no tree and changes nothing.

Stored are the lines that cannot be found again: parses, vectors, datasets, weights, decisions, answers of `ask`. Everything
else is read where it stands: chunks in the index, evidence in the questions, learned examples beside their weights, scored
answers in the file of their decision.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from groundtune.access.audience import from_json, may_read
from groundtune.access.register import AccessRegister
from groundtune.candidates.open import answer_name, decision_name, weights_name
from groundtune.dataset.check import audience_of_example
from groundtune.ingest.reading import document_name
from groundtune.store import lineage, tables
from groundtune.types import Caller
from groundtune.verbs.records import Records

Step = tuple[str, str]
"""(relation, name). A name is `kind:id`; that of a stored result is its hash alone."""

HASH = re.compile(r"[0-9a-f]{64}")
"""Of a stored result."""

KINDS = ("document", "chunk", "example", "dataset", "weights", "decision", "answer", "model")
_UP, _DOWN = tables.lineage.c.parent, tables.lineage.c.child
_SHOWN = "shown "
_UPWARD = {"parse": "read from", "embed": "embedded from", "context": "written for", "measured": "measured"}
_DOWNWARD = {
    "parse": "read as",
    "embed": "embedded as",
    "context": "described as",
    "gathered from": "gathered into",
    "tuned on": "tuned into",
    "tuned further from": "tuned further into",
    "measured": "measured in",
    "answered with": "answered",
}
"""What a stored line is called from either end; others keep their name."""


def parted(name: str) -> tuple[str, str]:
    """(kind, id); the kind of a stored result is empty."""
    kind, colon, id = name.partition(":")
    return (kind, id) if colon and kind in KINDS else ("", name)


class Descent:
    """What came out of what, as one caller may know it."""

    def __init__(self, records: Records, caller: Caller) -> None:
        self.records = records
        self._caller = caller
        self._audience = cache(AccessRegister(records.workspace.database).audience)
        self._known: dict[str, bool] = {}
        self._ways: dict[str, tuple[Callable[[str], list[Step]], Callable[[str], list[Step]]]] = {
            "document": (lambda _: [], self._led_by_document),
            "chunk": (self._chunk_from, self._led_by_chunk),
            "example": (self._example_from, self._led_by_example),
            "weights": (self._weights_from, self._led_by_weights),
            "decision": (self._decision_from, lambda _: []),
            "answer": (self._answer_from, self._led_by_answer),
            "model": (lambda _: [], lambda _: []),
            "dataset": (lambda id: self._stored_up(f"dataset:{id}"), lambda id: self._stored_down(f"dataset:{id}")),
            "": (self._stored_up, self._led_by_result),
        }

    def came_from(self, name: str) -> list[Step]:
        """What `name` directly came out of, as far as the caller may know of it."""
        kind, id = parted(name)
        return [step for step in dict.fromkeys(self._ways[kind][0](id)) if self.may_know(step[1])]

    def led_to(self, name: str) -> list[Step]:
        """What directly came out of `name`, as far as the caller may know of it."""
        kind, id = parted(name)
        return [step for step in dict.fromkeys(self._ways[kind][1](id)) if self.may_know(step[1])]

    # --- who may know ---------------------------------------------------------------------------------------------------

    def may_know(self, name: str) -> bool:
        """Whether the caller may read all that `name` came out of; weights by their audience, examples by theirs."""
        if name not in self._known:
            self._known[name] = self._may_know(*parted(name))
        return self._known[name]

    def _may_know(self, kind: str, id: str) -> bool:
        records = self.records
        if kind == "document":
            return self._may_read(id)
        if kind == "chunk":
            return self.may_know(document_name(id.rpartition("#")[0]))
        if kind == "example":
            return self._may_know_example(id)
        if kind == "weights":
            return id in records.weights and self._may_use(id)
        if kind == "dataset":
            row = records.datasets.get(id)
            return (
                row is not None and may_read(from_json(row["audience"]), self._caller) and self._may_read_all(f"dataset:{id}")
            )
        if kind == "answer":
            steps = self._answer_from(id)
            return bool(steps) and all(self.may_know(one) for _, one in steps)
        if kind == "decision":
            return id in records.decisions
        if kind == "model":
            return True
        above = [self.may_know(one) for _, one in self._stored_up(id)]  # documents of one content share its stored results
        return any(above) if HASH.fullmatch(id) else bool(above) and all(above)

    def _may_know_example(self, id: str) -> bool:
        """One that left the questions is known to those who may read all that was shown with it in training."""
        example = self.records.examples.get(id)
        if example is not None:
            return may_read(audience_of_example(example, self._audience), self._caller)
        trainings = self.records.trainings.values()
        learned = [documents for about in trainings if (documents := about.get("documents_of", {}).get(id)) is not None]
        return bool(learned) and all(documents and all(map(self._may_read, documents)) for documents in learned)

    def _may_use(self, id: str) -> bool:
        """Of weights in use every document is asked again; of withdrawn ones the audience at training is all that is left."""
        row = self.records.weights[id]
        withdrawn = row["status"] != "ready"
        return may_read(from_json(row["audience"]), self._caller) and (withdrawn or self._may_read_all(weights_name(id)))

    def _may_read(self, document: str) -> bool:
        return may_read(self._audience(document), self._caller)

    def _may_read_all(self, name: str) -> bool:
        above = lineage.ancestors(self.records.workspace.database, name)
        return all(self.may_know(one) for one in above if one.startswith(document_name("")))

    # --- steps ----------------------------------------------------------------------------------------------------------

    def _stored_up(self, name: str) -> list[Step]:
        return [(_UPWARD.get(relation, relation), one) for relation, one in self.records.lines(_DOWN, _UP, name)]

    def _stored_down(self, name: str) -> list[Step]:
        return [(_DOWNWARD.get(relation, relation), one) for relation, one in self.records.lines(_UP, _DOWN, name)]

    def _chunk_from(self, id: str) -> list[Step]:
        row = self.records.documents.get(id.rpartition("#")[0])
        return [("cut from", row["artefact"])] if row is not None and row["artefact"] else []

    def _example_from(self, id: str) -> list[Step]:
        steps: list[Step] = []
        for document, chunks in self.records.evidence(id):
            steps += [("evidence in", f"chunk:{chunk}") for chunk in chunks] or [("quotes", document_name(document))]
        return steps

    def _weights_from(self, id: str) -> list[Step]:
        """Documents that only stood beside the evidence of a learned example are named by themselves."""
        about = self.records.trainings.get(id)
        if about is None:
            return self._stored_up(weights_name(id))
        quoted = {document_name(document) for one in about["examples"] for document in self._quotes(one)}
        learned = [("learned", f"example:{one}") for one in about["examples"]]
        stored = [step for step in self._stored_up(weights_name(id)) if step[1] not in quoted]
        return [*stored, *learned, ("tuned from", f"model:{about['model']}")]

    def _decision_from(self, id: str) -> list[Step]:
        scored = [("scored", answer_name(one)) for one in self.records.scored if one.startswith(f"{id}/")]
        return [*self._stored_up(decision_name(id)), *scored]

    def _answer_from(self, id: str) -> list[Step]:
        row = self.records.scored.get(id)
        if row is None:
            stored = self.records.lines(_DOWN, _UP, answer_name(id))
            return [
                _shown(relation, parent) if relation.startswith(_SHOWN) else (relation, parent) for relation, parent in stored
            ]
        steps = [("asked", f"example:{row['item']}"), *(("shown", f"chunk:{chunk}") for chunk in row["context"])]
        return [*steps, ("answered with", weights_name(row["by"]))] if row["by"] else steps

    def _led_by_document(self, id: str) -> list[Step]:
        """What is reached through the document's chunks is left to them."""
        cut = {f"{_SHOWN}{chunk.start}-{chunk.end}" for chunk in self.records.chunks(id)}
        steps = []
        for relation, one in self.records.lines(_UP, _DOWN, document_name(id)):
            through = relation in cut or (one.startswith(weights_name("")) and self._learned_quoting(parted(one)[1], id))
            if not through:
                steps.append(("shown for", one) if relation.startswith(_SHOWN) else (_DOWNWARD.get(relation, relation), one))
        if not cut:
            steps += [("quoted by", f"example:{one}") for one in self.records.quoting.get(id, ())]
        return steps

    def _led_by_result(self, name: str) -> list[Step]:
        documents = [one["id"] for one in self.records.documents.values() if one["artefact"] == name]
        cut = [("cut into", f"chunk:{chunk.id}") for document in documents for chunk in self.records.chunks(document)]
        return [*cut, *self._stored_down(name)]

    def _led_by_chunk(self, id: str) -> list[Step]:
        document, _, span = id.rpartition("#")
        holding = [
            ("evidence for", f"example:{one}")
            for one in self.records.quoting.get(document, ())
            if any(id in chunks for _, chunks in self.records.evidence(one))
        ]
        lines = self.records.lines(_UP, _DOWN, document_name(document))
        asked = [("shown for", one) for relation, one in lines if relation == f"{_SHOWN}{span}"]
        scored = [("shown for", answer_name(one)) for one, row in self.records.scored.items() if id in row["context"]]
        return [*holding, *asked, *scored]

    def _led_by_example(self, id: str) -> list[Step]:
        trainings = self.records.trainings.items()
        learned = [("learned by", weights_name(one)) for one, about in trainings if id in about["examples"]]
        return [*learned, *(("asked in", answer_name(one)) for one, row in self.records.scored.items() if row["item"] == id)]

    def _led_by_weights(self, id: str) -> list[Step]:
        scored = [("answered", answer_name(one)) for one, row in self.records.scored.items() if row["by"] == id]
        return [*self._stored_down(weights_name(id)), *scored]

    def _led_by_answer(self, id: str) -> list[Step]:
        return [("scored in", decision_name(id.split("/")[0]))] if id in self.records.scored else []

    def _quotes(self, example: str) -> set[str]:
        known = self.records.examples.get(example)
        return {evidence.document for evidence in known.evidence} if known is not None else set()

    def _learned_quoting(self, weights: str, document: str) -> bool:
        about = self.records.trainings.get(weights, {"examples": ()})
        return any(document in self._quotes(one) for one in about["examples"])


def _shown(relation: str, parent: str) -> Step:
    """A line to a document that says which of its characters were shown, as a step to that chunk."""
    return "shown", f"chunk:{parted(parent)[1]}#{relation.removeprefix(_SHOWN)}"
