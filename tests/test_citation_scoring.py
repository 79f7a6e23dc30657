"""Citations against located evidence."""

from __future__ import annotations

from groundtune.scoring.citations import citation_precision, citation_recall
from groundtune.types import Answer, Citation, Evidence, Example

ITEM = Example(
    "q1",
    "How long?",
    ("14 days",),
    evidence=(
        Evidence("travel.md", "14 days in advance", spans=((100, 120), (300, 310))),
        Evidence("expenses.md", "within 30 days", spans=((40, 60),)),
    ),
)


def cite(document: str, start: int, end: int) -> Citation:
    return Citation(1, document, "", start, end, "")


def test_a_citation_is_right_when_it_overlaps_the_evidence_in_the_same_document() -> None:
    answer = Answer("14 days", (cite("travel.md", 119, 200), cite("travel.md", 120, 300), cite("other.md", 100, 120)))
    assert citation_precision(ITEM, answer) == 1 / 3
    assert citation_recall(ITEM, answer) == 1 / 2


def test_any_piece_of_a_quote_finds_it() -> None:
    answer = Answer("14 days", (cite("travel.md", 305, 306), cite("expenses.md", 0, 1000)))
    assert citation_precision(ITEM, answer) == citation_recall(ITEM, answer) == 1


def test_none_cited_and_abstained() -> None:
    assert citation_precision(ITEM, Answer("14 days")) == citation_recall(ITEM, Answer("14 days")) == 0
    assert citation_precision(ITEM, Answer("", abstained=True)) is None
    assert citation_recall(ITEM, Answer("", abstained=True)) == 0


def test_without_located_evidence_it_does_not_apply() -> None:
    for example in (Example("q", "?", ("x",)), Example("q", "?", ("x",), evidence=(Evidence("a.md", "never found"),))):
        assert citation_precision(example, Answer("x", (cite("a.md", 0, 9),))) is None
        assert citation_recall(example, Answer("x", (cite("a.md", 0, 9),))) is None
