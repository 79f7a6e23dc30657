"""Hits say on which page they stand, and a small chunk becomes the section that it was cut from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import documents as made
import pytest
from hashing import HashEmbedder
from hypothesis import given
from hypothesis import strategies as st

import groundtune
from groundtune.answer.citations import cite
from groundtune.answer.places import pages_within
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.ingest.sync import sync
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Document

ALL = '[access]\nrules = [{match = "**", read = ["everyone"]}]\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "documents").mkdir()
    pages: list[made.Content] = [[("h1", "Manual"), ("text", "The kettle is red.")], [("text", "The ladder is green.")]]
    (tmp_path / "documents" / "manual.pdf").write_bytes(made.pdf(pages))
    parts = [f"## Part {n}\n\n" + " ".join(f"Thing {n}{m} weighs {m} kilos." for m in range(9)) for n in range(4)]
    (tmp_path / "documents" / "things.md").write_text("# Things\n\n" + "\n\n".join(parts))
    return tmp_path


def retriever(root: Path, config: str) -> Iterator[WorkspaceRetriever]:
    embedder = HashEmbedder()
    (root / "groundtune.toml").write_text(config)
    with Workspace.open(root) as workspace:
        sync(workspace, embedder=embedder)
        yield WorkspaceRetriever(workspace, embedder=embedder)


def test_a_citation_opens_the_right_page(root: Path) -> None:
    for found in retriever(root, ALL):
        (hit,) = (one for one in found.search("ladder", caller=Caller.of(), k=3) if one.chunk.document == "manual.pdf")
        assert [number for _, number in hit.pages] == [1, 2]
        for text, page in (("red", 1), ("green", 2)):
            assert cite(text, [hit])[0].page == page
        others = [one for one in found.search("thing weighs", caller=Caller.of(), k=3) if one.chunk.document == "things.md"]
        assert cite("Thing 01 weighs 1 kilos", others)[0].page is None


def test_small_chunks_are_found_and_sections_given(root: Path) -> None:
    config = ALL + '[chunking]\nmethod = "parent"\ntokens = 16\nparent_tokens = 80\n'
    for found in retriever(root, config):
        hits = found.search("Thing 27 weighs", caller=Caller.of(), k=3)
        assert len({hit.chunk.id for hit in hits}) == len(hits)
        best = hits[0].chunk
        assert best.text.startswith("## Part 2")
        assert best.text.count("weighs") == 9
        document = found.document("things.md", caller=Caller.of())
        assert document.text[best.start : best.end] == best.text
        assert best.headings == ("Things", "Part 2")


@given(
    starts=st.lists(st.integers(1, 40), max_size=5).map(lambda found: tuple(sorted({0, *found}))),
    start=st.integers(0, 39),
    length=st.integers(1, 20),
)
def test_pages_within_agree_with_the_document(starts: tuple[int, ...], start: int, length: int) -> None:
    document = Document("d", "", "x" * 60, "", pages=starts)
    found = pages_within(starts, start, start + length)
    for offset in range(start, start + length):
        page = next(number for first, number in reversed(found) if first <= offset)
        assert page == document.page_of(offset)
    assert pages_within((), start, start + length) == ()


def test_what_was_read_can_be_shown(root: Path) -> None:
    (root / "groundtune.toml").write_text('model = "fake:extract"\nembedder = "fake:hash"\n' + ALL)
    groundtune.sync(root)
    shown = groundtune.show("manual.pdf", root=root)
    assert shown.document.text.startswith("# Manual\n\nThe kettle is red.")
    assert [shown.document.page_of(at) for at in (0, shown.document.text.index("ladder"))] == [1, 2]
    assert [one.text for one in shown.chunks] == [shown.document.text]
    with pytest.raises(groundtune.GroundtuneError, match="no such document"):
        groundtune.show("absent.md", root=root)
