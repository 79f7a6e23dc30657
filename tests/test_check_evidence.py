"""Quotes against documents: where they stand, in which section, and who may see an item."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundtune.dataset.check import audience_of_example, check_evidence, locate, section_starts
from groundtune.types import NOBODY, Audience, Evidence, Example

PAGE = """Preface.

# Travel

Team members should book **as early as possible**, in order to save. Travelers will
ideally book:

- Domestic: At least [14 days](https://example.org/a_(b)?x=14) in advance
- International: 21 days, see <https://doc.new>

| Role | Limit |
|------|-------|
| Clerk | $50 |

## Hotels ##

Ask first. The ﬁnal word&nbsp;is yours.

```text
# not a heading
```

# Travel

Again.
"""


def words(quote: str) -> list[str]:
    spans = locate(quote, PAGE)
    assert spans is not None
    return [PAGE[start:end] for start, end in spans]


@pytest.mark.parametrize(
    ("quote", "found"),
    [
        ("in order to save", ["in order to save"]),
        ("Book as early as possible, in  order\nto save.", ["book **as early as possible**, in order to save"]),
        ("travelers will ideally book", ["Travelers will\nideally book"]),
        ("At least 14 days in advance", ["At least [14 days](https://example.org/a_(b)?x=14) in advance"]),
        ("21 days, see https://doc.new", ["21 days, see <https://doc.new"]),
        ("Clerk $50", ["Clerk | $50"]),
        ("The final word is yours", ["The ﬁnal word&nbsp;is yours"]),
        (
            "Team members should book as early as possible. International: 21 days",
            ["Team members should book **as early as possible", "International", "21 days"],
        ),
        ("Travelers will ideally book: International, Clerk", ["Travelers will\nideally book", "International", "Clerk"]),
        ("ideally book ... The final word", ["ideally book", "The ﬁnal word"]),
        ("1 days", ["1 days"]),
    ],
)
def test_a_quote_is_found_whatever_its_marks_white_space_and_case(quote: str, found: list[str]) -> None:
    assert words(quote) == found


@pytest.mark.parametrize(
    "quote",
    [
        "",
        " ",
        "***",
        "Order to sav",
        "Rder to save",
        "book late",
        "early as possible. Nobody wrote this.",
        "4  days",
        "Yes. No.",
    ],
)
def test_words_that_do_not_stand_there_are_not_found(quote: str) -> None:
    assert locate(quote, PAGE) is None


def test_a_script_without_spaces_has_no_word_boundaries() -> None:
    assert locate("東京", "首都は東京です") == ((3, 5),)


def test_a_single_word_counts_only_near_a_longer_piece() -> None:
    page = "The four pillars of growth are:\n\n" + "filler " * 400 + "Agility"
    assert locate("The four pillars of growth are: Agility", page) is None


@given(st.text(max_size=60), st.integers(0, 60), st.integers(0, 60))
def test_every_verbatim_piece_is_found(text: str, start: int, end: int) -> None:
    quote = text[min(start, end) : max(start, end)].strip()
    assert not quote or locate(quote, text) is not None


@given(st.text(max_size=80), st.text(max_size=200))
def test_spans_lie_in_the_text_and_in_order(quote: str, text: str) -> None:
    spans = locate(quote, text) or ()
    assert all(0 <= start < end <= len(text) for start, end in spans) and list(spans) == sorted(spans)


def test_sections_are_paths_of_headings_outside_code() -> None:
    starts = section_starts(PAGE)
    assert [path for _, path in starts] == ["", "Travel", "Travel > Hotels", "Travel"]
    assert all(PAGE[offset] == "#" for offset, path in starts if path)


def test_evidence_is_located_and_what_is_not_is_listed_and_kept() -> None:
    items = [
        Example("q1", "?", ("x",), evidence=(Evidence("travel.md", "Ask first."), Evidence("travel.md", "Preface"))),
        Example("q2", "?", ("x",), evidence=(Evidence("travle.md", "Ask first."),), origin="/data/q.jsonl:12"),
        Example("q3", "?", ("x",), evidence=(Evidence("travel.md", "Nobody said this."),)),
        Example("q4", "?", ()),
    ]
    checked = check_evidence(items, {"travel.md": PAGE}.get, documents=["travel.md"])
    assert [example.id for example in checked.examples] == ["q1", "q2", "q3", "q4"]
    first, second = checked.examples[0].evidence
    assert first.sections == ("Travel > Hotels",) and PAGE[slice(*first.spans[0])] == "Ask first."
    assert second.sections == ("",)
    assert [evidence.spans for example in checked.examples[1:] for evidence in example.evidence] == [(), ()]
    absent, unsaid = checked.problems
    assert str(absent).startswith("/data/q.jsonl:12 (q2): ") and "Did you mean 'travel.md'?" in absent.what
    assert unsaid.id == "q3" and "does not stand in 'travel.md'" in unsaid.what


def test_who_may_see_an_item() -> None:
    audiences = {"a.md": Audience.of("hr"), "b.md": Audience.of("staff", "board")}

    def audience(document: str) -> Audience:
        return audiences.get(document, NOBODY)

    def cites(*documents: str) -> Example:
        evidence = tuple(Evidence(document, "...") for document in documents)
        return Example("q", "?", ("x",), evidence=evidence, principals=("ann",))

    assert audience_of_example(cites("a.md", "b.md"), audience) == Audience(
        frozenset({frozenset({"hr"}), frozenset({"staff", "board"})})
    )
    assert audience_of_example(cites("a.md", "gone.md"), audience) == NOBODY
    assert audience_of_example(cites(), audience) == Audience.of("ann")
    both = Example("q", "?", ("x",), principals=("ann", "hr"))
    assert audience_of_example(both, audience) == Audience(frozenset({frozenset({"ann"}), frozenset({"hr"})}))
    assert audience_of_example(Example("q", "?", ("x",)), audience) == NOBODY
