"""Probes: cheap measurements that explain errors. They answer the task's own items; they choose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from groundtune.access.audience import may_read
from groundtune.answer.assistant import Assistant, abstain
from groundtune.answer.neighbours import Neighbours
from groundtune.answer.prompts import Prompt, render_prompt
from groundtune.interfaces import Retriever
from groundtune.scoring.text import contains
from groundtune.store.stages import digest
from groundtune.types import Answer, Caller, Chunk, Document, Example, Hit, Score

MARGIN_CHARACTERS = 400
"""Text shown on either side of the evidence, so that the probe reads a passage like the ones retrieval shows."""

NO_EVIDENCE = "This item has no evidence that its asker may read."


def gold_hits(example: Example, *, retriever: Retriever) -> list[Hit]:
    """The passages around the located evidence, for a caller who may read them; nothing for one who may not."""
    caller = Caller.of(*example.principals)
    hits: list[Hit] = []
    for evidence in example.evidence:
        if not may_read(retriever.audience(evidence.document), caller):
            continue
        document = retriever.document(evidence.document, caller=caller)
        for start, end in (passage(document, *span) for span in evidence.spans):
            chunk = Chunk(f"{document.id}#{start}-{end}", document.id, document.text[start:end], start, end)
            if all(hit.chunk.id != chunk.id for hit in hits):
                hits.append(Hit(chunk=chunk, title=document.title, score=1.0))
    return hits


def passage(document: Document, start: int, end: int) -> tuple[int, int]:
    """The span widened by MARGIN_CHARACTERS on both sides, to whole lines."""
    text = document.text
    first = text.rfind("\n", 0, max(0, start - MARGIN_CHARACTERS)) + 1
    last = text.find("\n", min(len(text), end + MARGIN_CHARACTERS))
    return first, len(text) if last < 0 else last


class GoldEvidence:
    """Answers with the gold evidence in the prompt: what this model makes of perfect retrieval."""

    def __init__(self, assistant: Assistant, *, retriever: Retriever) -> None:
        self._assistant = assistant
        self._retriever = retriever
        self.fingerprint = {**assistant.fingerprint, "probe": "gold evidence", "margin": MARGIN_CHARACTERS}

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        prepared: list[Prompt | Answer] = []
        for example in examples:
            hits = gold_hits(example, retriever=self._retriever)
            shown = render_prompt(self._assistant.candidate, example.question, hits=hits, history=example.history)
            prepared.append(Prompt(shown, tuple(hits)) if hits else abstain(NO_EVIDENCE))
        return self._assistant.complete(prepared)


class RetrievedContextOnly:
    """Retrieves and says nothing, except where the assistant would abstain without asking its model."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self.fingerprint = {**assistant.fingerprint, "probe": "retrieved context"}

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        found = [self._assistant.hits(example) for example in examples]
        return [
            abstain("nothing was retrieved") if hits is None else Answer("", context=tuple(hit.chunk.id for hit in hits))
            for hits in found
        ]


class NearestAnswer:
    """Answers with what the nearest readable training example was answered: what a task gives away without any model."""

    def __init__(self, examples: Sequence[Example], neighbours: Neighbours) -> None:
        self._answers: dict[str, str] = {}
        for example in examples:
            principals = Caller.of(*example.principals).principals
            nearest = neighbours.nearest(example.question, principals=principals, k=1, exclude=example.id)
            self._answers[example.id] = nearest[0].answers[0] if nearest else ""
        self.fingerprint = {"probe": "nearest answer", "answers": digest(self._answers)}

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        return [Answer(self._answers[example.id]) for example in examples]


def answer_in_context(example: Example, context: Sequence[str]) -> bool:
    """Whether the texts of the context hold an accepted answer, word for word after normalisation."""
    return contains(example, Answer("\n".join(context))) == 1.0


def held(scores: Sequence[Score], *, examples: Mapping[str, Example], retriever: Retriever) -> dict[str, bool]:
    """Answerable item -> whether its retrieved context holds an accepted answer: a ceiling that needs no model."""
    found: dict[str, bool] = {}
    for score in scores:
        example = examples[score.item]
        if example.answers:
            caller = Caller.of(*example.principals)
            found[score.item] = answer_in_context(example, [_text(chunk, retriever, caller) for chunk in score.context])
    return found


def _text(chunk: str, retriever: Retriever, caller: Caller) -> str:
    """The text of a chunk by its id, `document#start-end`."""
    document, _, span = chunk.rpartition("#")
    start, _, end = span.partition("-")
    return retriever.document(document, caller=caller).text[int(start) : int(end)]
