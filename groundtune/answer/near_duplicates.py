"""Which passages say the same. Knows texts and a question; knows no document and no caller."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")
_SHINGLE = 3  # words

Shingles = frozenset[tuple[str, ...]]


def shingles(text: str) -> Shingles:
    """Every run of three words, in lower case; a shorter text is one run."""
    words = [word.lower() for word in _WORD.findall(text)]
    runs = (tuple(words[start : start + _SHINGLE]) for start in range(max(1, len(words) - _SHINGLE + 1)))
    return frozenset(runs)


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


def told_apart(question: str, one: str, other: str) -> bool:
    """Whether a word of the question stands in one text and not in the other: then they do not say the same to this question.

    Two manuals may share a page but for the name of the machine, and the question may be about that machine.
    """
    return bool((_words(one) ^ _words(other)) & _words(question))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text))
