"""Which passages say the same. Knows texts and a question; knows no document and no caller."""

from __future__ import annotations

import math
import re

_WORD = re.compile(r"\w+")
_SHINGLE = 3  # words

Shingles = frozenset[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    """Every run of three words, in lower case; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset({tuple(words)})


def resemble(one: Shingles, other: Shingles, *, threshold: float) -> bool:
    """Whether both hold at least this share of the runs of either. Source: Broder, "On the resemblance and containment of
    documents", 1997.

    It is counted, not estimated from minimal hashes: a search compares few passages, and counting them is exact and faster.
    """
    fewer, more = sorted((len(one), len(other)))
    if fewer < threshold * more:
        return False
    shared = len(one & other)
    return shared >= threshold * (fewer + more - shared)


class Passages:
    """Texts in which those that resemble another are found without comparing all of them, and none is missed.

    Two sets that share so much share one of the first few of either, in any order that both are put in; here by hash.
    Source: Chaudhuri, Ganti and Kaushik, "A primitive operator for similarity joins in data cleaning", 2006.
    """

    def __init__(self, *, threshold: float) -> None:
        self._threshold = threshold
        self._added: list[Shingles] = []
        self._with: dict[int, list[int]] = {}

    def add(self, made: Shingles) -> None:
        for run in self._first(made):
            self._with.setdefault(run, []).append(len(self._added))
        self._added.append(made)

    def like(self, made: Shingles) -> list[int]:
        """Numbers of the added texts that resemble this one, first added first."""
        near = {number for run in self._first(made) for number in self._with.get(run, ())}
        return [number for number in sorted(near) if resemble(made, self._added[number], threshold=self._threshold)]

    def _first(self, made: Shingles) -> list[int]:
        least = math.ceil(self._threshold * len(made) - 1e-9)  # runs that must be shared
        return sorted(map(hash, made))[: len(made) - least + 1]


def told_apart(question: str, one: str, other: str) -> bool:
    """Whether a word of the question stands in one text and not in the other: then they do not say the same to this question.

    Two manuals may share a page but for the name of the machine, and the question may be about that machine.
    """
    return bool((_words(one) ^ _words(other)) & _words(question))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
