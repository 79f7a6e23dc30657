"""Answers from passages that are given, also wrong ones, in place of retrieved ones. Knows items; compares nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from groundtune.answer.assistant import Assistant, abstain
from groundtune.answer.prompts import Prompt, render_prompt
from groundtune.decision.fact_edits import replaced
from groundtune.decision.probes import NO_EVIDENCE
from groundtune.store.stages import digest
from groundtune.types import Answer, Example, Hit


class GivenContext:
    """Answers each item from the hits that are given for it, under its id; an item without any is abstained from."""

    def __init__(self, assistant: Assistant, hits: Mapping[str, Sequence[Hit]]) -> None:
        self._assistant = assistant
        self._hits = hits
        shown = {item: [(hit.title, hit.chunk.text) for hit in found] for item, found in hits.items()}
        self.fingerprint = {**assistant.fingerprint, "probe": "given context", "hits": digest(shown)}

    def __call__(self, examples: Sequence[Example]) -> list[Answer]:
        prepared: list[Prompt | Answer] = []
        for example in examples:
            hits = self._hits.get(example.id, ())
            shown = render_prompt(self._assistant.candidate, example.question, hits=hits, history=example.history)
            prepared.append(Prompt(shown, tuple(hits)) if hits else abstain(NO_EVIDENCE))
        return self._assistant.complete(prepared)


def edited_hits(example: Example, hits: Sequence[Hit], *, old: str, new: str) -> list[Hit] | None:
    """The same passages with `new` for `old` where they state the item's evidence; None where none states `old`."""
    made, touched = [], False
    for hit in hits:
        text, chunk = hit.chunk.text, hit.chunk
        for evidence in example.evidence:
            for start, end in sorted(evidence.spans if evidence.document == chunk.document else (), reverse=True):
                first, last = start - chunk.start, end - chunk.start
                inner = replaced(text[first:last], old, new) if 0 <= first < last <= len(chunk.text) else None
                if inner is not None:
                    text, touched = text[:first] + inner + text[last:], True
        made.append(replace(hit, chunk=replace(chunk, id=f"{chunk.id} edited", text=text)))
    return made if touched else None
