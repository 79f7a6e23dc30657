"""Chunks: offsets are exact, nothing is lost, structure is kept where it fits."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundtune.ingest.chunk import chunk, embedded_text
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
