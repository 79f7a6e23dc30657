"""What counts as a sentence and as stated, by cases written by hand."""

from __future__ import annotations

import pytest

from groundtune.scoring.support import claims_supported, fact_words, facts_recall, sentences, states
from groundtune.types import Answer, Citation, Example

QUOTES = ("The warranty lasts 24 months from the day of delivery.", "Returns are free of charge within 14 days.")


def cited(text: str, *quotes: str) -> Answer:
    return Answer(text, citations=tuple(Citation(n, "d", "D", 0, len(quote), quote) for n, quote in enumerate(quotes, start=1)))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("One. Two! Three? Four", ("One.", "Two!", "Three?", "Four")),
        ("Dr. Who paid 3.5 % (e.g. in May). It ended.", ("Dr. Who paid 3.5 % (e.g. in May).", "It ended.")),
        ('He said "no." Then he left.', ('He said "no."', "Then he left.")),
        ("J. S. Bach wrote it. 24 months later", ("J. S. Bach wrote it.", "24 months later")),
        ("Steps:\n- first\n2. second\n\n", ("Steps:", "first", "second")),
        ("東京です。大阪です。", ("東京です。", "大阪です。")),
        ("version 2. of it", ("version 2. of it",)),
        (" \n ", ()),
    ],
)
def test_sentences(text: str, wanted: tuple[str, ...]) -> None:
    assert sentences(text) == wanted


def test_a_statement_needs_all_its_numbers_and_most_of_its_words() -> None:
    assert states(QUOTES[0], "The warranty lasts 24 months.")
    assert states(QUOTES[0], "24 months")
    assert not states(QUOTES[0], "The warranty lasts 36 months.")
    assert not states(QUOTES[0], "Repairs cost nothing.")
    assert not states(QUOTES[0], "the of a")
    assert states("Prices: 1,299.50 in total", "total 1,299.50")


def test_recall_of_facts() -> None:
    example = Example("q", "?", ("x",), facts=("24 months of warranty", "free returns within 14 days", "sold in 3 countries"))
    assert facts_recall(example, Answer(" ".join(QUOTES))) == pytest.approx(2 / 3)
    assert facts_recall(example, Answer(" ".join(QUOTES), abstained=True)) == 0
    assert facts_recall(Example("q", "?", ("x",)), Answer("x")) is None


def test_words_of_facts() -> None:
    example = Example("q", "?", ("x",), facts=("24 months of warranty", "sold in 3 countries"))
    assert fact_words(example, Answer("It is sold with 24 months.")) == pytest.approx(3 / 6)
    assert fact_words(example, Answer("Of all 24 months' warranty: sold in 3 countries")) == 1
    assert fact_words(example, Answer("24 months", abstained=True)) == 0
    assert fact_words(Example("q", "?", ("x",)), Answer("x")) is None


def test_claims_that_the_cited_spans_support() -> None:
    example = Example("q", "?", ("x",))
    text = "The warranty lasts 24 months. Returns are free within 14 days. We ship to Mars."
    assert claims_supported(example, cited(text, *QUOTES)) == pytest.approx(2 / 3)
    assert claims_supported(example, cited(text, QUOTES[0])) == pytest.approx(1 / 3)
    assert claims_supported(example, cited(text)) == 0
    assert claims_supported(example, Answer("It is.", abstained=True)) is None
    assert claims_supported(example, cited("...", *QUOTES)) is None
