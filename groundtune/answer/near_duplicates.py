"""Which passages say the same. Knows texts and a question; knows no document and no caller."""

from __future__ import annotations

import re
from collections import Counter

_WORD = re.compile(r"\w+")
_SHINGLE = 3  # words

Shingles = frozenset[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    """Every run of three words, in lower case; a shorter text is one run."""
    words = _WORD.findall(text.lower())
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset({tuple(words)})


def resemble(shared: int, one: int, other: int, *, threshold: float) -> bool:
    """Whether texts of `one` and `other` runs with `shared` in common hold at least this share of the runs of either. Source:
    Broder, "On the resemblance and containment of documents", 1997.

    It is counted, not estimated from minimal hashes: a search compares few passages, and counting them is exact and faster.
    """
    return shared >= threshold * (one + other - shared)


class Passages:
    """Texts by the runs that they hold, so that a new one is compared only with those that share a run with it."""

    def __init__(self) -> None:
        self._runs: list[int] = []
        self._holders: dict[tuple[str, ...], list[int]] = {}

    def add(self, made: Shingles) -> None:
        for run in made:
            self._holders.setdefault(run, []).append(len(self._runs))
        self._runs.append(len(made))

    def like(self, made: Shingles, *, threshold: float) -> list[int]:
        """Numbers of the added texts that resemble this one, first added first; `threshold` above 0."""
        shared = Counter(number for run in made for number in self._holders.get(run, ()))
        alike = (n for n, count in shared.items() if resemble(count, len(made), self._runs[n], threshold=threshold))
        return sorted(alike)


def told_apart(question: str, one: str, other: str) -> bool:
    """Whether a word of the question stands in one text and not in the other: then they do not say the same to this question.

    Two manuals may share a page but for the name of the machine, and the question may be about that machine.
    """
    return bool((_words(one) ^ _words(other)) & _words(question))


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.lower()))
