"""The training examples nearest to a question, among those the caller may read. Knows audiences, not where they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from groundtune.interfaces import Embedder
from groundtune.types import Example


class Neighbours:
    """Nearest examples by cosine similarity of their questions.

    `readable(example, principals)` is asked for every example that would be shown, at the time it would be shown.
    """

    def __init__(
        self, examples: Sequence[Example], *, embedder: Embedder, readable: Callable[[Example, frozenset[str]], bool]
    ) -> None:
        self._examples = sorted((example for example in examples if example.answers), key=lambda example: example.id)
        self._embedder = embedder
        self._readable = readable
        self._vectors = embedder.embed([example.question for example in self._examples]) if self._examples else None

    def nearest(self, question: str, *, principals: frozenset[str], k: int, exclude: str = "") -> list[Example]:
        """At most k readable examples, the nearest last, as a conversation wants them. `exclude` is an example's id."""
        if self._vectors is None or k <= 0:
            return []
        similarity = self._vectors @ self._embedder.embed([question])[0]
        chosen: list[Example] = []
        for position in np.lexsort((np.arange(len(similarity)), -similarity)):
            example = self._examples[int(position)]
            if example.id != exclude and self._readable(example, principals):
                chosen.append(example)
                if len(chosen) == k:
                    break
        return chosen[::-1]

    def may_show(self, examples: Sequence[Example], principals: frozenset[str]) -> bool:
        """Whether all of these may be shown to a caller with these principals now."""
        return all(self._readable(example, principals) for example in examples)
