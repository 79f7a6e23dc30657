"""Chunks: offsets are exact, nothing is lost, structure is kept where it fits."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundtune.dataset.check import locate
from groundtune.ingest.chunk import Method, chunk, embedded_text, parents, table_heads
from groundtune.types import Chunk, Document


def words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text)) + 2  # as an embedder that adds two special tokens


def cut(text: str, tokens: int = 20, overlap: int = 0) -> list[Chunk]:
    return chunk(Document("d", "Title", text, ""), tokens=tokens, overlap=overlap, count_tokens=words)


LINE = st.one_of(
    st.sampled_from(
        ["# One", "## Two", "### Three", "Setext", "---", "===", "```", "~~~py", "| a | b |", "| - | - |", "- item", ""]
    ),
    st.text(st.sampled_from("ab .!?\t\r#|`東é"), max_size=60),
    st.just("a long line of many words that has to be cut somewhere. " * 3),
    st.just("x" * 900),
)


@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINE, max_size=25), tokens=st.integers(4, 60), overlap=st.sampled_from([0, 3, 10]))
def test_offsets_are_exact_and_no_text_is_lost(lines: list[str], tokens: int, overlap: int) -> None:
    text = "\n".join(lines)
    chunks = cut(text, tokens, overlap)
    covered = bytearray(len(text))
    for one in chunks:
        assert text[one.start : one.end] == one.text
        assert one.id == f"d#{one.start}-{one.end}"
        assert one.text.strip()
        assert one.tokens <= tokens + tokens // 8 + overlap
        covered[one.start : one.end] = b"\1" * (one.end - one.start)
    assert all(seen or letter.isspace() for seen, letter in zip(covered, text, strict=True))
    assert [one.start for one in chunks] == sorted(one.start for one in chunks)
    assert len({one.id for one in chunks}) == len(chunks)
    if not overlap:
        assert all(a.end <= b.start for a, b in pairwise(chunks))


@given(text=st.text(max_size=400))
def test_any_text_at_all(text: str) -> None:
    chunks = cut(text, 5)
    rest = text
    for one in reversed(chunks):
        rest = rest[: one.start] + rest[one.end :]
    assert not rest.strip()


def test_a_document_that_fits_is_one_chunk() -> None:
    (one,) = cut("# A\n\ntext\n\n## B\n\nmore\n")
    assert (one.start, one.end, one.headings) == (0, 21, ("A",))


def test_sections_are_cut_at_their_headings_and_carry_their_path() -> None:
    body = "one two three four five six seven eight."
    text = f"# A\n\n{body}\n\n## B\n\n{body}\n\n### C\n\n{body}\n\n## D ##\n\n{body}\n"
    found = [(one.headings, one.text.split("\n")[0]) for one in cut(text, 14)]
    assert found == [(("A",), "# A"), (("A", "B"), "## B"), (("A", "B", "C"), "### C"), (("A", "D"), "## D ##")]


def test_small_neighbours_are_joined_under_their_common_heading() -> None:
    text = "# A\n\n## B\n\none\n\n## C\n\ntwo\n\n## D\n\n" + "word " * 18
    found = [(one.headings, one.text.split()[-1]) for one in cut(text)]
    assert found == [(("A",), "two"), (("A", "D"), "word")]


def test_setext_headings_and_line_ends_of_windows() -> None:
    text = "Top\r\n===\r\n\r\nsome text here\r\n\r\n## Sub\r\n\r\nother text there\r\n"
    assert [one.headings for one in cut(text, 8)] == [("Top",), ("Top", "Sub")]


def test_headings_inside_code_are_code() -> None:
    text = "# A\n\n```\n# not a heading\n```\n\nend\n"
    assert {one.headings for one in cut(text, 5)} == {("A",)}


@pytest.mark.parametrize("block", ["```py\na = 1\n\nb = 2\n\nc = 3\n```", "| a | b |\n| - | - |\n| 1 | 2 |"])
def test_code_and_tables_that_fit_are_kept_whole(block: str) -> None:
    filler = "word " * 17
    assert any(block in one.text for one in cut(f"{filler}\n\n{block}\n\n{filler}\n", 19))


def test_code_that_does_not_fit_is_cut_at_line_ends() -> None:
    lines = [f"call({number})" for number in range(20)]
    text = "```\n" + "\n".join(lines) + "\n```"
    chunks = cut(text, 16)
    assert len(chunks) > 3
    assert [line for one in chunks for line in one.text.split("\n")] == text.split("\n")


def test_long_paragraphs_are_cut_at_sentences() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(12))
    assert all(one.text.endswith(".") and one.text.startswith("This") for one in cut(text))


def test_overlap_repeats_the_end_of_the_same_section() -> None:
    text = "# A\n\n" + "\n\n".join(f"w{number} " * 8 for number in range(5)) + "\n\n# B\n\n" + "other " * 18
    plain, shared = cut(text), cut(text, 20, 9)
    assert [one.end for one in plain] == [one.end for one in shared]
    assert shared[1].start < plain[0].end
    assert shared[-1].start == plain[-1].start


def test_what_is_embedded_names_title_and_headings_once() -> None:
    one = Chunk("d#0-1", "d", "## B\n\ntext", 0, 1, ("A", "B"))
    assert embedded_text("Title", one) == "Title > A\n## B\n\ntext"
    assert embedded_text("A", Chunk("d#0-1", "d", "# A\n\ntext", 0, 1, ("A",))) == "# A\n\ntext"


METHODS = get_args(Method)


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(LINE, max_size=25),
    tokens=st.integers(4, 60),
    overlap=st.sampled_from([0, 3]),
    method=st.sampled_from(METHODS),
    breaks=st.lists(st.floats(0, 1), max_size=4),
)
def test_every_way_keeps_offsets_text_and_limits(
    lines: list[str], tokens: int, overlap: int, method: Method, breaks: list[float]
) -> None:
    text = "\n".join(lines)
    pages = tuple(sorted({0, *(int(share * len(text)) for share in breaks)}))
    document = Document("d", "Title", text, "", pages=pages)
    chunks = chunk(document, tokens=tokens, overlap=overlap, method=method, parent_tokens=3 * tokens, count_tokens=words)
    covered = bytearray(len(text))
    for one in chunks:
        assert text[one.start : one.end] == one.text
        assert one.text == one.text.strip() != ""
        assert one.tokens <= tokens + tokens // 8 + overlap
        covered[one.start : one.end] = b"\1" * (one.end - one.start)
    assert all(seen or letter.isspace() for seen, letter in zip(covered, text, strict=True))
    assert [one.start for one in chunks] == sorted(one.start for one in chunks)
    assert len({one.id for one in chunks}) == len(chunks)
    if method == "page" and not overlap:
        assert all(document.page_of(one.start) == document.page_of(one.end - 1) for one in chunks)
    if method == "parent" and not overlap:
        sections = parents(document, tokens=tokens, parent_tokens=3 * tokens, count_tokens=words)
        assert all(one.tokens <= 3 * tokens + 3 * tokens // 8 for one in sections)
        assert all(sum(within.start <= one.start and one.end <= within.end for within in sections) == 1 for one in chunks)


def by(method: Method, text: str, *, tokens: int = 20, pages: tuple[int, ...] = (), overlap: int = 0) -> list[str]:
    document = Document("d", "Title", text, "", pages=pages)
    cut = chunk(document, tokens=tokens, overlap=overlap, method=method, parent_tokens=60, count_tokens=words)
    return [one.text for one in cut]


def test_fixed_chunks_are_full_whatever_they_cut() -> None:
    text = "# A\n\n" + "word " * 17 + "\n\n# B\n\n" + "other " * 30
    assert [len(one.split()) for one in by("fixed", text)] == [20, 20, 11]
    assert by("fixed", text, overlap=2)[1].split()[:2] == by("fixed", text)[0].split()[-2:]


def test_sentences_stay_whole() -> None:
    text = " ".join(f"This is sentence number {number}." for number in range(9)) + "\n\nA last paragraph."
    found = by("sentence", text)
    assert all(one.endswith(".") for one in found)
    assert found[-1].endswith("A last paragraph.")


def test_pages_are_not_mixed() -> None:
    text = "one page\n\nanother page\n\nthird"
    assert by("recursive", text, pages=(0, 10, 24)) == [text]
    assert by("page", text, pages=(0, 10, 24)) == ["one page", "another page", "third"]
    assert by("page", text) == [text]


def test_tables_stand_alone_under_their_heading() -> None:
    table = "| a | b |\n| --- | --- |\n| 1 | 2 |"
    text = f"before\n\n{table}\n\nafter\n\n# Head\n\n{table}"
    assert by("table", text, tokens=40) == ["before", table, "after", f"# Head\n\n{table}"]


def test_a_table_that_is_divided_keeps_its_head_beside_each_part() -> None:
    rows = [f"| {number} | value |" for number in range(12)]
    text = "intro\n\n" + "\n".join(["| key | name |", "| --- | --- |", *rows])
    document = Document("d", "Title", text, "")
    cut = chunk(document, tokens=24, method="table", count_tokens=words)
    heads = table_heads(document, cut)
    assert [heads.get(one.id) for one in cut] == [None, None, *["| key | name |"] * (len(cut) - 2)]
    assert embedded_text("T", cut[-1], context=heads[cut[-1].id]).startswith("T\n| key | name |\n| ")


def test_small_chunks_lie_within_their_sections() -> None:
    text = "# A\n\n" + "alpha beta. " * 12 + "\n\n# B\n\n" + "gamma delta. " * 12
    document = Document("d", "Title", text, "")
    sections = parents(document, tokens=20, parent_tokens=60, count_tokens=words)
    assert [one.headings for one in sections] == [("A",), ("B",)]
    assert len(by("parent", text)) > 3


@settings(max_examples=60, deadline=None)
@given(
    spans=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=4),
    tokens=st.integers(8, 50),
    method=st.sampled_from(METHODS),
)
def test_evidence_does_not_depend_on_how_a_document_is_cut(
    spans: list[tuple[float, float]], tokens: int, method: Method
) -> None:
    text = "\n\n".join(f"## Part {n}\n\n" + f"Fact {n} is told here in a sentence. " * 3 for n in range(6))
    document = Document("d", "Title", text, "")
    cut = chunk(document, tokens=tokens, method=method, parent_tokens=3 * tokens, count_tokens=words)
    for a, b in spans:
        start, end = sorted((int(a * len(text)), int(b * len(text))))
        held = "".join(text[max(start, one.start) : min(end, one.end)] for one in cut if one.start < end and one.end > start)
        assert "".join(held.split()) == "".join(text[start:end].split())


def test_evidence_is_found_again_in_another_parse() -> None:
    quote = "The warranty lasts two years and covers parts."
    as_markdown = f"# Warranty\n\n- **Scope:** {quote}\n"
    as_pdf = "Warranty\n\nScope: The warranty lasts two\nyears and covers parts."
    for text in (as_markdown, as_pdf):
        spans = locate(quote, text)
        assert spans is not None
        (start, end), *_ = spans
        assert " ".join(text[start:end].split()) in (quote, quote.rstrip("."))
