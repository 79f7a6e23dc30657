"""What a search or an answer gave away, held against who may read what. Knows markers and document ids; asks nobody else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.leaks_world import MARKER, Town
from groundtune.answer.assistant import NO_SHARED_WORD
from groundtune.interfaces import LanguageModel
from groundtune.types import Answer, Generation, Hit, Message


def unauthorised_in_hits(hits: Sequence[Hit], town: Town, readable: np.ndarray) -> int:
    """Hits that show anything of a document that is not readable: the chunk, its title, what it stands for."""
    return sum(
        _gives_away(
            [hit.chunk.document, *(str(id).partition("#")[0] for id in hit.metadata.get("near_duplicates", ()))],
            [hit.title, hit.chunk.text, *hit.chunk.headings],
            town,
            readable,
        )
        for hit in hits
    )


def unauthorised_in_answer(
    answer: Answer, prompts: Sequence[str], town: Town, readable: np.ndarray, *, question: str, shares_a_word: bool
) -> int:
    """Citations, chunks, words and prompts that show anything unreadable; and a reason that tells of an unreadable word.

    `prompts`: what the model read; the question in it is the caller's own.
    """
    ids = [citation.document for citation in answer.citations] + [id.partition("#")[0] for id in answer.context]
    said = [answer.text, answer.reason, *(part for one in answer.citations for part in (one.title, one.quote))]
    read = [prompt.replace(question, "") for prompt in prompts]
    given = sum(_gives_away([id], [], town, readable) for id in ids)
    given += sum(_gives_away([], [text], town, readable) for text in [*said, *read])
    return given + int(answer.reason != NO_SHARED_WORD and not shares_a_word)


def _gives_away(ids: Sequence[str], texts: Sequence[str], town: Town, readable: np.ndarray) -> bool:
    owners = [town.number_of.get(id) for id in ids]
    owners += [town.owner_of.get(marker) for text in texts for marker in MARKER.findall(text)]
    return any(owner is None or not readable[owner] for owner in owners)


class Watched:
    """A language model that keeps what it was last shown."""

    def __init__(self, model: LanguageModel) -> None:
        self._model = model
        self.name, self.fingerprint, self.local, self.window = model.name, model.fingerprint, model.local, model.window
        self.prompts: list[str] = []

    def generate(self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int) -> list[Generation]:
        self.prompts = [message.content for conversation in conversations for message in conversation]
        return self._model.generate(conversations, max_new_tokens=max_new_tokens)

    def count_tokens(self, text: str) -> int:
        return self._model.count_tokens(text)
