"""Short free-text answers against reference answers. Knows strings only; nothing of documents, models or retrieval."""

from __future__ import annotations

import re
import string
from collections import Counter
from functools import lru_cache

from groundtune.types import Answer, Example

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = frozenset(string.punctuation)


@lru_cache(maxsize=65536)
def normalise(text: str) -> str:
    """Lower case, without ASCII punctuation, without English articles, single spaces: the SQuAD normalisation.

    Source: Rajpurkar et al. 2016, "SQuAD: 100,000+ Questions for Machine Comprehension of Text", official evaluation script.
    One deviation: a text of which nothing would be left ("The", "A", "+") keeps its lower-case characters, so that the label
    "A" is not equal to the empty answer.
    """
    lower = text.lower()
    bare = _ARTICLES.sub(" ", "".join(character for character in lower if character not in _PUNCTUATION))
    return " ".join(bare.split()) or " ".join(lower.split())


def exact_match(example: Example, answer: Answer) -> float:
    """1 when the answer equals a reference after normalisation, else 0.

    Unanswerable items are right exactly when the assistant abstained, and abstaining from an answerable item is wrong
    (Rajpurkar et al. 2018, "Know What You Don't Know: Unanswerable Questions for SQuAD"). So for all metrics of this file.
    """
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    given = normalise(answer.text)
    return float(any(normalise(reference) == given for reference in example.answers))


def f1(example: Example, answer: Answer) -> float:
    """Harmonic mean of token precision and recall after normalisation, the best over the references (Rajpurkar et al. 2016)."""
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    return max(token_f1(answer.text, reference) for reference in example.answers)


def contains(example: Example, answer: Answer) -> float:
    """1 when a normalised reference stands in the normalised answer as whole words: right content whatever the style."""
    if not example.answers or answer.abstained:
        return float(answer.abstained and not example.answers)
    given = f" {normalise(answer.text)} "
    return float(any(f" {normalise(reference)} " in given for reference in example.answers if reference.strip()))


def token_f1(text: str, reference: str) -> float:
    """Token overlap of two texts in [0, 1]; tokens count as often as they occur."""
    given, wanted = normalise(text).split(), normalise(reference).split()
    if not given or not wanted:
        return float(given == wanted)
    shared = sum((Counter(given) & Counter(wanted)).values())
    return 2 * shared / (len(given) + len(wanted))
