"""Content words of texts, for tests that ask how far a question's words are from its evidence's."""

from __future__ import annotations

import re
from statistics import median

from groundtune.company import Company
from groundtune.index.words import STOP_WORDS

WORD = re.compile(r"\w+")
_ENDINGS = ("ing", "ed", "es", "s")


def content(text: str) -> list[str]:
    """Content words without their endings."""
    words = [word for word in WORD.findall(text.casefold()) if word not in STOP_WORDS]
    return [
        next((word[: -len(end)] for end in _ENDINGS if word.endswith(end) and len(word) - len(end) >= 3), word)
        for word in words
    ]


def overlap(company: Company) -> float:
    """Median share of a question's content words that stand in its evidence."""
    shares = []
    for question in company.questions:
        words = set(content(question.question))
        if question.evidence and words:
            shares.append(len(words & set(content(" ".join(quote for _, quote in question.evidence)))) / len(words))
    return median(shares)
