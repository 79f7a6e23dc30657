"""groundtune.answer.citations: an answer is cited where the text holds it, and nowhere else."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from groundtune.answer.citations import cite, content_words, sentences, split_markers
from groundtune.types import Chunk, Hit

TRAVEL = (
    "Flights are booked by the travel desk. Domestic trips need 14 days of notice.\n\nHotels cost at most 140 euros a night."
)
LEAVE = "Staff have 28 days of leave. Unused leave lapses on 31 March."


def hit(text: str, *, document: str = "a.md", start: int = 0) -> Hit:
    return Hit(Chunk(f"{document}#{start}-{start + len(text)}", document, text, start, start + len(text)), document, 1.0)


def test_the_sentence_that_holds_the_very_words_is_cited_with_offsets_in_the_document() -> None:
    (citation,) = cite("14 days", [hit(LEAVE, document="leave.md"), hit(TRAVEL, document="travel.md", start=1000)])
    assert (citation.number, citation.document) == (2, "travel.md")
    assert citation.quote == "Domestic trips need 14 days of notice."
    assert TRAVEL[citation.start - 1000 : citation.end - 1000] == citation.quote


def test_a_named_source_that_does_not_hold_the_answer_is_not_cited() -> None:
    citations = cite("140 euros", [hit(TRAVEL), hit(LEAVE, document="leave.md")], nominated=[2])
    assert [citation.number for citation in citations] == [1]


def test_a_named_source_goes_first_among_equals() -> None:
    same = [hit("The limit is 40 euros.", document=name) for name in ("a.md", "b.md")]
    assert [citation.document for citation in cite("40 euros", same, nominated=[2], limit=1)] == ["b.md"]


def test_a_whole_sentence_with_its_full_stop_is_found() -> None:
    assert cite("Domestic trips need 14 days of notice.", [hit(TRAVEL)])[0].quote == "Domestic trips need 14 days of notice."


def test_part_of_a_word_or_number_is_no_support() -> None:
    assert cite("4 days", [hit(TRAVEL)]) == ()
    assert cite("the", [hit("Nothing of it here: other breathe.")]) == ()


def test_other_wording_counts_when_nearly_all_content_words_stand_in_one_sentence() -> None:
    assert cite("notice of 14 days for domestic trips", [hit(TRAVEL)])[0].quote.startswith("Domestic")
    assert cite("notice of 99 weeks for domestic trips", [hit(TRAVEL)]) == ()


def test_markers_are_taken_out_and_kept_in_order() -> None:
    assert split_markers("14 days [2], or less [1] [2].") == ("14 days, or less.", (2, 1))
    assert split_markers("no marker") == ("no marker", ())


@given(st.text(max_size=300))
def test_sentences_are_disjoint_spans_in_order_that_cover_all_that_is_not_blank(text: str) -> None:
    spans = list(sentences(text))
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    covered = {place for start, end in spans for place in range(start, end)}
    assert all(text[place].isspace() for place in range(len(text)) if place not in covered)


@given(st.text(min_size=1, max_size=80), st.text(max_size=200), st.integers(0, 10_000))
def test_a_citation_is_always_a_true_quote(answer: str, text: str, start: int) -> None:
    for citation in cite(answer, [hit(text, start=start)]):
        assert text[citation.start - start : citation.end - start] == citation.quote != ""


def test_content_words_leave_function_words_out_unless_nothing_else_is_there() -> None:
    assert content_words("Who is the head of Finance?") == {"head", "finance"}
    assert content_words("Who is it?") == {"who", "is", "it"}
