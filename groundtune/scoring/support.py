"""Whether a text states what a sentence states, by words and numbers. Knows strings and quotes; it reads no meaning.

A statement counts as stated when the text holds all of its numbers and at least `SHARE` of its content words. That misses
paraphrases and does not see a negation: a cheap, deterministic figure to stand beside a judge, not in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from groundtune.types import Answer, Example

SHARE = 0.75
"""Share of a statement's content words that the text must hold."""

_WORD = re.compile(r"\d+(?:[.,:]\d+)*|[^\W\d_]+")
_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[^\W_a-z]|[\"'“‘(\[])|[。！？]|\n+")
_ABBREVIATED = re.compile(r"(?:\b(?:Mr|Mrs|Ms|Dr|Prof|St|No|Nos|vs|Inc|Ltd|Co|Corp|Fig|Sec|Art|approx|e\.g|i\.e|[A-Z]))\.$")
_LIST_MARK = re.compile(r"^(?:[-*•]|\d{1,3}[.)])\s+")
_FUNCTION_WORDS = frozenset(
    """a about also an and any are as at be been but by can could did do does for from had has have he her his how i if in into
    is it its may might must of on or our shall she should so such than that the their them then there these they this those to
    was we were what when where which who will with would you your""".split()  # noqa: SIM905
)


def facts_recall(example: Example, answer: Answer) -> float | None:
    """Share of the item's `facts` that the answer states, 0 when it abstained; None for an item without facts."""
    if not example.facts:
        return None
    text = "" if answer.abstained else answer.text
    return sum(states(text, fact) for fact in example.facts) / len(example.facts)


def fact_words(example: Example, answer: Answer) -> float | None:
    """Share of the words and numbers of the item's `facts` that the answer holds, 0 when it abstained; None without facts.

    A proxy where only supporting passages are known and no gold answer: it sees partial answers that `facts_recall` counts as
    nothing, asks for more than the question does, and rewards length, so bound that by `max_new_tokens`.
    """
    wanted = frozenset().union(*(content(fact) for fact in example.facts))
    if not wanted:
        return None
    return 0.0 if answer.abstained else len(wanted & content(answer.text)) / len(wanted)


def claims_supported(example: Example, answer: Answer) -> float | None:  # noqa: ARG001 (a metric sees both)
    """Share of the answer's sentences that the cited spans state, together; None when it abstained or claims nothing.

    The lexical form of "supported by the citations" (Gao et al. 2023, who judge it with a language model). A sentence without
    content words claims nothing. An answer without citations supports none of its claims.
    """
    claims = [] if answer.abstained else [sentence for sentence in sentences(answer.text) if content(sentence)]
    if not claims:
        return None
    return share_stated((citation.quote for citation in answer.citations), claims)


def share_stated(texts: Iterable[str], claims: list[str]) -> float:
    """Share of the claims that the texts state together, in [0, 1]."""
    shown = "\n".join(texts)
    return sum(states(shown, claim) for claim in claims) / len(claims)


def states(text: str, statement: str) -> bool:
    """Whether the text holds every number of the statement and nearly all of its content words."""
    wanted, held = content(statement), content(text)
    numbers = {word for word in wanted if word[0].isdigit()}
    return bool(wanted) and numbers <= held and len(wanted & held) >= SHARE * len(wanted)


@lru_cache(maxsize=4096)
def content(text: str) -> frozenset[str]:
    """Numbers, and words in lower case without English function words or a plural's s."""
    found = (word.lower() for word in _WORD.findall(text))
    return frozenset(_singular(word) for word in found if word not in _FUNCTION_WORDS)


@lru_cache(maxsize=4096)
def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, without list marks and blank space; lines are cut too, empty ones left out.

    A sentence ends at `.`, `!` or `?`, with any closing quote or bracket, before blank space and a capital, digit or opening
    quote, or at a full-width mark. Titles, initials and a few abbreviations ("Dr.", "e.g.") do not end one.
    """
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if text[match.start()] == "." and _ABBREVIATED.search(text, max(start, match.start() - 12), match.start() + 1):
            continue
        found.append(text[start : match.end()])
        start = match.end()
    found.append(text[start:])
    bare = (_LIST_MARK.sub("", piece.strip()) for piece in found)
    return tuple(piece for piece in bare if piece)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
