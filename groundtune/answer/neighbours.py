"""The training examples nearest to a question, among those the caller may read. Knows audiences, not where they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from groundtune.interfaces import Embedder
from groundtune.types import Example

_POOL = 4
"""Times k: so many of the nearest are looked at to spread the choice."""


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

    def nearest(
        self, question: str, *, principals: frozenset[str], k: int, exclude: str = "", spread: bool = False
    ) -> list[Example]:
        """At most k readable examples, the nearest last, as a conversation wants them. `exclude` is an example's id.

        `spread` takes of the 4 k nearest first those whose answer and group no nearer one has.
        """
        if self._vectors is None or k <= 0:
            return []
        similarity = self._vectors @ self._embedder.embed([question])[0]
        found: list[Example] = []
        for position in np.lexsort((np.arange(len(similarity)), -similarity)):
            example = self._examples[int(position)]
            if example.id != exclude and self._readable(example, principals):
                found.append(example)
                if len(found) == (_POOL * k if spread else k):
                    break
        return (_spread(found, k) if spread else found)[::-1]

    def may_show(self, examples: Sequence[Example], principals: frozenset[str]) -> bool:
        """Whether all of these may be shown to a caller with these principals now."""
        return all(self._readable(example, principals) for example in examples)


def _spread(nearest: Sequence[Example], k: int) -> list[Example]:
    """k of these in their order: first one of each answer and group, then whatever is nearest."""
    answers: set[str] = set()
    groups: set[str] = set()
    first: list[int] = []
    rest: list[int] = []
    for number, example in enumerate(nearest):
        alike = example.answers[0] in answers or (example.group and example.group in groups)
        (rest if alike else first).append(number)
        answers.add(example.answers[0])
        groups.add(example.group)
    return [nearest[number] for number in sorted([*first, *rest][:k])]
