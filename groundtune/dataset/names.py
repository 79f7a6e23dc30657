"""Names of people that a small model misses: what is written like a name and is no English word. Knows spaCy's tokens only."""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from typing import Any

from groundtune.dataset.spans import Found

LIKELY = 0.3
"""Score of `names_in_small_letters`: misspelt words are among them."""
NO_NAMES = ("DATE", "TIME", "MONEY", "PERCENT", "QUANTITY", "CARDINAL", "ORDINAL", "LANGUAGE")
"""The model's kinds that are never taken for names."""

_UNSURE = {"", "ORG", "PERSON"}
"""What the model says of names that it does not know."""
_PLACES = ("GPE", "LOC", "NORP")
_TITLES = {"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "hi", "hello", "dear", "regards", "cheers", "please"}
_ROAD = re.compile(
    r"(?i)\b(?:street|str|st|road|rd|avenue|ave|lane|ln|drive|boulevard|blvd|way|court|squares?|terrace|crescent|highway|box|apt|suite|"
    r"rue|via|calle|rua|avenida|plaza)\b\.?$|^(?:rue|via|calle|rua|avenida|st|box|po)\b"
)
_FIRM = (
    r"\b(?:inc|incorporated|ltd|limited|llc|plc|corp|corporation|company|co|gmbh|ag|group|orchestra|band|university|college|school|"
    r"bank|airlines?|times|news|council|committee|association|foundation|museum|hotel|church|hospital|party|union|club)\b"
)
_FIRM_WITHIN, _FIRM_AFTER = re.compile(_FIRM, re.IGNORECASE), re.compile(rf"\s*{_FIRM}", re.IGNORECASE)
_HOUSE = r"#?\d{1,5}[A-Za-z]?[,.]?"
_HOUSE_BEFORE, _HOUSE_AFTER = re.compile(rf"(?:^|\s){_HOUSE}[ ,]*$"), re.compile(rf"[ ,]*{_HOUSE}(?=\s|$)")
_NAMED = re.compile(r"(?:Mc|Mac|De|Di|La|Le|Fitz|[^\W\d_]['’])?([^\W\d_])([^\W\d_]+)(?:[-'’][^\W\d_]+)*\.?")
_ENDINGS = (("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("d", ""), ("ing", ""), ("ing", "e"))
_REACH = 12
"""Characters around a span in which a house number is looked for, on the same line."""
_LOWER = 0.02
"""Share of capitals up to which a text counts as written in small letters."""
_LONGEST = 4
"""Words of a name."""
_CLITICS = ("s", "t", "m", "d", "ll", "re", "ve")


def english_words(nlp: Any) -> frozenset[str]:
    """The words that the pipeline's lemmatiser knows (WordNet's index), and its function words."""
    index = nlp.get_pipe("lemmatizer").lookups.get_table("lemma_index")
    return frozenset().union(*index.values(), nlp.Defaults.stop_words, _TITLES)


def is_lower(text: str) -> bool:
    """Whether a text does without capitals, so that no word looks like a name."""
    letters = [letter for letter in text if letter.isalpha()]
    return sum(letter.isupper() for letter in letters) <= _LOWER * len(letters)


def capitalised(text: str) -> str:
    """Every word with a capital, of the same length, so that the model sees names again."""

    def raised(found: re.Match[str]) -> str:
        word, first = found[0], found[0][0].upper()
        return word if word in _CLITICS or len(first) != 1 else first + word[1:]

    return re.sub(r"[^\W\d_]+", raised, text)


def likely_names(text: str, tokens: Any, *, words: Set[str]) -> list[Found]:
    """Spans of capitalised words that may be names, by how likely: 0.4 several words that are not English, 0.38 some of them
    not, 0.37 a single one that is not, 0.36 an English proper noun before a verb.

    What the model takes for a place is left to it, and so are addresses and firms.
    """
    found = []
    for run in _capitalised_runs(tokens, words):
        unknown = [not _known(token, words) for token in run]
        after = tokens[run[-1].i + 1] if run[-1].i + 1 < len(tokens) else None
        acts = after is not None and after.pos_ in ("VERB", "AUX")
        score = 0.0
        if {token.ent_type_ for token in run} <= _UNSURE:
            if len(run) == 1:
                score = 0.37 if unknown[0] else 0.36 if acts and run[0].pos_ == "PROPN" else 0.0
            elif len(run) <= _LONGEST:
                score = 0.4 if all(unknown) else 0.38 if any(unknown) else 0.0
        if score:
            found += _span(text, run, score)
    return found


def names_in_small_letters(text: str, tokens: Any, *, words: Set[str]) -> list[Found]:
    """Runs of words that are not English in a text in small letters, scored LIKELY; `tokens` are of `capitalised(text)`."""
    runs: list[list[Any]] = [[]]
    for token in tokens:
        word = token.text.isalpha() and len(token.text) > 2 and token.ent_type_ not in (*NO_NAMES, *_PLACES)
        if word and not _known(token, words):
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    return [one for run in filter(None, runs) for one in _span(text, run, LIKELY)]


def is_address_or_firm(text: str, start: int, end: int) -> bool:
    """Whether a span stands beside a house number, holds a digit, or says that it is a road or a firm."""
    span = text[start:end]
    before = text[max(0, start - _REACH) : start].rpartition("\n")[2]
    after = text[end : end + _REACH].partition("\n")[0]
    return bool(
        any(letter.isdigit() for letter in span)
        or _HOUSE_BEFORE.search(before)
        or _HOUSE_AFTER.match(after)
        or _ROAD.search(span)
        or _FIRM_WITHIN.search(span)
        or _FIRM_AFTER.match(text, end)
    )


def _capitalised_runs(tokens: Any, words: Set[str]) -> Iterator[list[Any]]:
    runs: list[list[Any]] = [[]]
    for token in tokens:
        if _is_named(token.text) and token.ent_type_ not in NO_NAMES:
            runs[-1].append(token)
        elif runs[-1]:
            runs.append([])
    for run in runs:
        first = 1 if run and run[0].is_sent_start is not False and run[0].pos_ != "PROPN" and _known(run[0], words) else 0
        if run[first:]:
            yield run[first:]


def _is_named(word: str) -> bool:
    """Whether it begins with a capital and has none inside, which is how products are called, but after a prefix of names."""
    found = _NAMED.fullmatch(word)
    return found is not None and word[0].isupper() and not any(letter.isupper() for letter in found[2])


def _known(token: Any, words: Set[str]) -> bool:
    word = token.text.lower().strip("'’.-")
    stems = [word.removesuffix(ending) + instead for ending, instead in _ENDINGS if word.endswith(ending)]
    return not words.isdisjoint([word, token.lemma_.lower(), *stems])


def _span(text: str, run: list[Any], score: float) -> list[Found]:
    start, end = run[0].idx, run[-1].idx + len(run[-1].text)
    return [] if is_address_or_firm(text, start, end) else [Found(start, end, "PERSON", score)]
