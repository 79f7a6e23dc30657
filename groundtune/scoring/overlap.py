"""Long answers against reference answers by shared words and characters. Knows strings only; it cannot tell true from false."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache

from sacrebleu.metrics.chrf import CHRF

from groundtune.scoring.support import sentences
from groundtune.types import Answer, Example

_TOKEN = re.compile(r"[^\W_]+")
_CHRF = CHRF()
"""Characters 1 to 6, no words, beta 2, lower and upper case told apart: chrF2 as sacrebleu reports it."""


def rouge_l(example: Example, answer: Answer) -> float:
    """F1 of the longest common subsequence of tokens of the whole texts, the best over the references.

    Source: Lin 2004, "ROUGE: A Package for Automatic Evaluation of Summaries", section 3.1, with beta 1. Tokens are runs of
    letters and digits in lower case, not stemmed: for ASCII text the `rougeL` of Google's rouge-score. Unanswerable items are
    right exactly when the assistant abstained, for every metric of this file.
    """
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    given = tokens(answer.text)
    return max(_rouge_l(tokens(reference), given) for reference in example.answers)


def rouge_lsum(example: Example, answer: Answer) -> float:
    """The same sentence by sentence: F1 of the tokens in the union of each reference sentence's common subsequences.

    Source: Lin 2004, section 3.2, with counts clipped as in rouge-score's `rougeLsum`. One deviation from that package, which
    cuts at line ends only: sentences are those of `support.sentences`, line ends included.
    """
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    given = _sentence_tokens(answer.text)
    return max(union_f1(_sentence_tokens(reference), given) for reference in example.answers)


def chrf(example: Example, answer: Answer) -> float:
    """Character n-gram F score in [0, 1], the best over the references (Popović 2015), as sacrebleu's sentence chrF2 / 100."""
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    return float(_CHRF.sentence_score(answer.text, list(example.answers)).score) / 100


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    return tuple(_TOKEN.findall(text.lower()))


def lcs_length(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    rows = _lcs_rows(first, second)
    return len(second) - rows[-1].bit_count()


def lcs_positions(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """Positions in `first` of one longest common subsequence; of several the one that rouge-score's backtracking finds."""
    rows = _lcs_rows(first, second)

    def length(i: int, j: int) -> int:
        return j - (rows[i] & ((1 << j) - 1)).bit_count()

    found, i, j = [], len(first), len(second)
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
            found.append(i)
        elif length(i, j - 1) > length(i - 1, j):
            j -= 1
        else:
            i -= 1
    return found[::-1]


def union_f1(reference: Sequence[Sequence[str]], given: Sequence[Sequence[str]]) -> float:
    """Summary-level ROUGE-L F1 of texts cut into sentences of tokens."""
    wanted_left = Counter(token for sentence in reference for token in sentence)
    given_left = Counter(token for sentence in given for token in sentence)
    wanted_total, given_total, hits = wanted_left.total(), given_left.total(), 0
    for sentence in reference:
        union = {place for other in given if not set(sentence).isdisjoint(other) for place in lcs_positions(sentence, other)}
        for place in sorted(union):
            token = sentence[place]
            if wanted_left[token] and given_left[token]:
                wanted_left[token] -= 1
                given_left[token] -= 1
                hits += 1
    return 2 * hits / (wanted_total + given_total) if hits else 0.0


def _rouge_l(reference: Sequence[str], given: Sequence[str]) -> float:
    shared = lcs_length(reference, given) if reference and given else 0
    return 2 * shared / (len(reference) + len(given)) if shared else 0.0


def _sentence_tokens(text: str) -> list[tuple[str, ...]]:
    return [found for sentence in sentences(text) if (found := tokens(sentence))]


def _lcs_rows(first: Sequence[str], second: Sequence[str]) -> list[int]:
    """Row i as bits: bit j is 0 where the common subsequence of first[:i] and second[:j + 1] is one longer than at j.

    Bit-parallel dynamic programming (Hyyrö 2004, "Bit-parallel LCS-length computation revisited").
    """
    places: dict[str, int] = {}
    for place, token in enumerate(second):
        places[token] = places.get(token, 0) | 1 << place
    full = (1 << len(second)) - 1
    rows = [full]
    for token in first:
        row = rows[-1]
        match = row & places.get(token, 0)
        rows.append(((row + match) | (row - match)) & full)
    return rows
