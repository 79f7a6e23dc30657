"""Text to the words of a full-text index, as LanceDB's `simple` tokenizer with English stems makes them. Knows no index.

Letters and digits make words; those of 40 bytes and more are dropped; then lower case, the stem, no stop words, accents
folded. A test holds it to LanceDB. Scripts whose vowel signs are marks (Thai, Devanagari) are cut at these marks here alone.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from functools import cache, lru_cache
from importlib.metadata import version

import snowballstemmer

from groundtune.index.words import STOP_WORDS

_WORD = re.compile(r"[^\W_]+")
_LONGEST = 39  # bytes
_STOP = frozenset(STOP_WORDS)
_ONE_AT_A_TIME = threading.Lock()  # the stemmer keeps its word in itself
_DROPPED = "\N{FRACTION SLASH}"
_FOLDED = dict(zip("øđðłħıŋĸŀŉŧẚ", "oddlhinklnta", strict=True)) | {"ß": "ss", "æ": "ae", "œ": "oe", "þ": "th"}


def words_of(text: str) -> list[str]:
    """The words of a text in their order, repeated ones too."""
    found = (_normal(word) for word in _WORD.findall(text) if len(word.encode()) <= _LONGEST)
    return [word for word in found if word]


@cache
def analysis_version() -> str:
    """Changes when words of the same text may."""
    return f"1, snowball {version('snowballstemmer')}"


@lru_cache(maxsize=100_000)
def _normal(word: str) -> str:
    """The word as the index holds it; empty for a stop word."""
    with _ONE_AT_A_TIME:
        stem: str = _stemmer().stemWord(word.lower())
    if stem in _STOP:
        return ""
    return stem if stem.isascii() else "".join(map(_fold, stem))


def _fold(letter: str) -> str:
    """A letter without its accent where what is left is ASCII: `é` -> `e`, `½` -> `12`; others stay."""
    if letter.isascii() or unicodedata.combining(letter):
        return letter
    parts = unicodedata.normalize("NFKD", letter) if letter not in _FOLDED else letter
    base = "".join(_FOLDED.get(part, part) for part in parts if not unicodedata.combining(part) and part not in _DROPPED)
    return base if base.isascii() else letter


@cache
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")
