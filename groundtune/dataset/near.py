"""Which texts say nearly the same, and which repeat a run of another's words. Knows texts; datasketch finds the pairs.

MinHash (Broder, "On the resemblance and containment of documents", 1997) with locality-sensitive hashing proposes pairs of
short texts by runs of five characters; each pair is then counted exactly. Texts with different numbers are never near
duplicates: "plan 3 costs 5" and "plan 4 costs 6" differ in nothing else.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from groundtune.dataset.extra import extra

NEAR = 0.7
"""Share of common runs of characters from which on two texts are near duplicates."""
RUN = 13
"""Words of a run that gives a test item away: Brown et al. 2020, "Language Models are Few-Shot Learners", appendix C."""
SHORTEST = 8
"""Words from which on a whole shorter text counts as such a run."""

_CHARACTERS = 5
_PERMUTATIONS = 128
_PROPOSED = 0.45
"""Resemblance that the hashing looks for: below NEAR, so that hardly any pair is missed."""
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def normal(text: str) -> str:
    """Words in lower case, one space between them."""
    return " ".join(_WORD.findall(text.casefold()))


def runs_of_characters(text: str) -> frozenset[str]:
    """Every five neighbouring characters of the normal text; a shorter one is one run."""
    bare = normal(text)
    return frozenset(bare[start : start + _CHARACTERS] for start in range(max(1, len(bare) - _CHARACTERS + 1)))


def resemblance(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other)


class NearDuplicates:
    """Texts by key; finds those that a text nearly repeats."""

    def __init__(self, *, near: float = NEAR) -> None:
        """Raises MissingExtra."""
        self._sketch = extra("datasketch", wanted_by="finding near duplicates")
        self._index: Any = self._sketch.MinHashLSH(threshold=_PROPOSED, num_perm=_PERMUTATIONS)
        self._runs: dict[str, frozenset[str]] = {}
        self._numbers: dict[str, Counter[str]] = {}
        self._near = near

    def add(self, key: str, text: str) -> None:
        runs = self._runs[key] = runs_of_characters(text)
        self._numbers[key] = numbers(text)
        self._index.insert(key, self._hashed(runs))

    def like(self, text: str) -> list[tuple[str, float]]:
        """Keys of the texts that it nearly repeats, most alike first, each with the share of common runs."""
        runs, counted = runs_of_characters(text), numbers(text)
        found = [
            (key, resemblance(runs, self._runs[key]))
            for key in self._index.query(self._hashed(runs))
            if self._numbers[key] == counted
        ]
        return sorted(((key, share) for key, share in found if share >= self._near), key=lambda one: (-one[1], one[0]))

    def _hashed(self, runs: Iterable[str]) -> Any:
        sketch = self._sketch.MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch([run.encode() for run in sorted(runs)])
        return sketch


def numbers(text: str) -> Counter[str]:
    return Counter(_NUMBER.findall(text))


class WordRuns:
    """Runs of RUN words of texts by key, and each whole text of SHORTEST words or more that is shorter."""

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        self._keys: dict[str, str] = {}
        self._lengths: set[int] = set()
        for key, parts in texts.items():
            for part in parts:
                words = normal(part).split()
                length = min(RUN, len(words))
                if length >= SHORTEST:
                    self._lengths.add(length)
                    for start in range(len(words) - length + 1):
                        self._keys.setdefault(" ".join(words[start : start + length]), key)

    def repeated_by(self, text: str) -> str:
        """The key of a text of which this one repeats a run; empty when there is none."""
        words = normal(text).split()
        for length in sorted(self._lengths):
            for start in range(len(words) - length + 1):
                key = self._keys.get(" ".join(words[start : start + length]))
                if key is not None:
                    return key
        return ""
