"""Which passages say the same. Knows texts and a question; knows no document and no caller."""

from __future__ import annotations

import math
import re

_WORD = re.compile(r"\w+")
_SHINGLE = 3  # words
_ROUNDING = 1e-9  # of a share times a count

Shingles = frozenset[int]
"""Hashes of runs of words; they hold within one process."""


def shingles(text: str) -> Shingles:
    """Every run of three words, in lower case; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    runs = zip(*(words[start:] for start in range(_SHINGLE)), strict=False)
    return frozenset(map(hash, runs)) or frozenset({hash(tuple(words))})


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


def resemblance(one: Shingles, other: Shingles) -> float:
    """The share that `resemble` compares, in [0, 1]."""
    return len(one & other) / len(one | other)


class Alike:
    """Texts that were added, and which of them resemble another one. Compares no two that cannot.

    With all runs in one order, two texts that resemble each other share one of the first `n - ceil(threshold * n) + 1` runs of
    each already. Source: Chaudhuri, Ganti and Kaushik, "A primitive operator for similarity joins in data cleaning", ICDE 2006.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._added: list[Shingles] = []
        self._holding: dict[int, list[int]] = {}

    def add(self, runs: Shingles) -> None:
        for run in self._first(runs):
            self._holding.setdefault(run, []).append(len(self._added))
        self._added.append(runs)

    def like(self, runs: Shingles) -> list[int]:
        """Numbers of the texts that resemble it, counted from 0 in the order in which they were added."""
        met = {number for run in self._first(runs) for number in self._holding.get(run, ())}
        return [number for number in sorted(met) if resemble(runs, self._added[number], threshold=self._threshold)]

    def _first(self, runs: Shingles) -> list[int]:
        needed = math.ceil(self._threshold * len(runs) - _ROUNDING)
        return sorted(runs)[: len(runs) - needed + 1]


def told_apart(question: str, one: str, other: str) -> bool:
    """Whether a word of the question stands in one text and not in the other: then they do not say the same to this question.

    Two manuals may share a page but for the name of the machine, and the question may be about that machine.
    """
    return bool((_words(one) ^ _words(other)) & _words(question))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
