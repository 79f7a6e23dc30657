"""Probes: cheap measurements that explain errors. They answer the task's own items; they choose nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from groundtune.access.audience import may_read
from groundtune.answer.assistant import Assistant, Prompt, abstain, render_prompt
from groundtune.interfaces import Retriever
from groundtune.scoring.text import contains
from groundtune.types import Answer, Caller, Chunk, Document, Example, Hit, Score

MARGIN_CHARACTERS = 400
"""Text shown on either side of the evidence, so that the probe reads a passage like the ones retrieval shows."""

NO_EVIDENCE = "This item has no evidence that its asker may read."


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Where the measured retrieval answer loses against a perfect one, on the items that have evidence (shares of 1).

    `retrieval_loss` + `format_loss` + `reading_loss` = 1 - `retrieved`. The path is R -> O -> O_relaxed -> 1, with O the score
    with gold evidence in the prompt, and O_relaxed the same scored by whether the answer is contained.
    """

    items: int
    retrieved: float
    gold_evidence: float
    gold_evidence_relaxed: float
    closed_book: float | None
    answer_in_context: float
    """Share of these items whose retrieved context holds an accepted answer: a ceiling that needs no model."""

    @property
    def retrieval_loss(self) -> float:
        return self.gold_evidence - self.retrieved

    @property
    def format_loss(self) -> float:
        return self.gold_evidence_relaxed - self.gold_evidence

    @property
    def reading_loss(self) -> float:
        return 1 - self.gold_evidence_relaxed


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


def answer_in_context(example: Example, context: Sequence[str]) -> bool:
    """Whether the texts of the context hold an accepted answer, word for word after normalisation."""
    return contains(example, Answer("\n".join(context))) == 1.0


def decompose(
    probe: Sequence[Score],
    *,
    rag: Sequence[Score],
    closed_book: Sequence[Score] | None,
    examples: Mapping[str, Example],
    metric: str,
    retriever: Retriever,
) -> Decomposition | None:
    """The path R -> O -> O_relaxed -> 1 on the answerable items that were shown gold evidence; None when there is none.

    O_relaxed counts an item as right when the answer contains an accepted one, or scores higher by the metric itself.
    """
    shown = [score for score in probe if score.context and examples[score.item].answers]
    if not shown:
        return None
    items = {score.item for score in shown}

    def mean(scores: Sequence[Score]) -> float:
        return sum(score.metrics[metric] for score in scores if score.item in items) / len(items)

    relaxed = sum(max(score.metrics[metric], score.metrics.get("contains", 0.0)) for score in shown) / len(items)
    held = 0
    for score in rag:
        if score.item in items:
            caller = Caller.of(*examples[score.item].principals)
            texts = [_text(chunk, retriever, caller) for chunk in score.context]
            held += answer_in_context(examples[score.item], texts)
    return Decomposition(
        items=len(items),
        retrieved=mean(rag),
        gold_evidence=mean(shown),
        gold_evidence_relaxed=relaxed,
        closed_book=mean(closed_book) if closed_book else None,
        answer_in_context=held / len(items),
    )


def _text(chunk: str, retriever: Retriever, caller: Caller) -> str:
    """The text of a chunk by its id, `document#start-end`."""
    document, _, span = chunk.rpartition("#")
    start, _, end = span.partition("-")
    return retriever.document(document, caller=caller).text[int(start) : int(end)]
