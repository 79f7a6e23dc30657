"""From found rows to the best: fusion with weights, near duplicates, versions, reranking, neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from groundtune.answer.near_duplicates import Passages, shingles, told_apart
from groundtune.answer.ranking import Considered, rank
from groundtune.answer.widen import widened
from groundtune.config import Retrieval
from groundtune.index.found import Found
from groundtune.index.fusion import reciprocal_rank_fusion
from groundtune.types import Chunk, Document, Hit

LONG = " ".join(f"word{number}" for number in range(60))


def row(document: str, text: str, /, *, start: int = 0, title: str = "T", **ranks: int) -> Found:
    chunk = Chunk(f"{document}#{start}-{start + len(text)}", document, text, start, start + len(text))
    return Found(chunk, title, "r", 1, ranks, {})


def order(rows: Sequence[Found], question: str = "x", **changes: float) -> list[Considered]:
    return rank(question, rows, settings=Retrieval(**changes), newest=lambda document: {"new.md": 2.0}.get(document, 1.0))


def placed(considered: Sequence[Considered]) -> list[str]:
    return [one.row.chunk.document for one in considered if one.place]


def test_weights_count_and_weight_zero_leaves_out() -> None:
    ranks = {"a": {"text": 1}, "b": {"vector": 1}, "c": {"text": 2, "vector": 2}}
    assert dict(reciprocal_rank_fusion(ranks, weights={"text": 3.0, "vector": 0.5})) == pytest.approx(
        {"a": 3 / 61, "b": 0.5 / 61, "c": 3.5 / 62}
    )
    assert [id for id, _ in reciprocal_rank_fusion(ranks, weights={"vector": 0})] == ["a", "c"]
    rows = [row("a", "one", text=1), row("b", "two", vector=1)]
    assert placed(order(rows, text_weight=1.0, vector_weight=2.0)) == ["b", "a"]


def test_resemblance_is_the_share_of_common_runs() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        one, other = (" ".join(random.choice(["a", "b", "c", "d"], 12)) for _ in range(2))
        sets = [{tuple(text.split()[at : at + 3]) for at in range(10)} for text in (one, other)]
        share = len(sets[0] & sets[1]) / len(sets[0] | sets[1])
        for threshold in (0.1, 0.3, 0.6, 0.9):
            assert alike(one, other, threshold) == (share >= threshold)
    assert alike("Short one", "short ONE", 1.0)
    assert not alike("short one", "short two", 0.1)
    assert alike("", "", 1.0)


def alike(one: str, other: str, threshold: float) -> bool:
    passages = Passages(threshold=threshold)
    for text in (LONG, one):
        passages.add(shingles(text))
    return passages.like(shingles(other)) == [1]


def test_of_near_duplicates_the_newest_is_shown_where_the_best_stood() -> None:
    rows = [row("old.md", LONG, text=1), row("other.md", "something else", text=2), row("new.md", f"{LONG} and more", text=3)]
    considered = order(rows)
    assert placed(considered) == ["new.md", "other.md"]
    assert considered[0].stands_for == (rows[0].chunk.id,)
    (hidden,) = (one for one in considered if not one.place)
    assert (hidden.row, hidden.same_as) == (rows[0], considered[0].row.chunk.id)
    assert placed(order(rows, near_duplicate=1.0)) == ["old.md", "other.md", "new.md"]


def test_of_equally_new_ones_and_within_a_document_the_best_stays() -> None:
    rows = [row("b.md", LONG, text=1), row("a.md", LONG, text=2), row("b.md", LONG, start=900, text=3)]
    assert [one.row.chunk.id for one in order(rows) if one.place] == [rows[0].chunk.id]


def test_what_a_word_of_the_question_tells_apart_is_no_duplicate() -> None:
    rows = [row("x.md", LONG, title="Pump 40", text=1), row("new.md", LONG, title="Pump 50", text=2)]
    assert placed(order(rows, "How is pump 40 cleaned?")) == ["x.md", "new.md"]
    assert placed(order(rows, "How is a pump cleaned?")) == ["new.md"]
    assert told_apart("in 2026", "the year 2026", "the year 2025")
    assert not told_apart("in which year", "the year 2026", "the year 2025")


class Backwards:
    """Prefers what the fusion put last."""

    name = fingerprint = "test:backwards"

    def score(self, question: str, passages: Sequence[str]) -> list[float]:
        self.read = list(passages)
        return [float(number) for number in range(len(passages))]


def test_a_reranker_orders_the_best_anew_and_leaves_the_rest() -> None:
    rows = [row(f"{n}.md", f"text number {n}", text=n) for n in range(1, 6)]
    reranker = Backwards()
    found = rank("q", rows, settings=Retrieval(rerank=3), newest=lambda _: 0.0, reranker=reranker)
    assert placed(found) == ["3.md", "2.md", "1.md", "4.md", "5.md"]
    assert [one.reranked for one in found] == [2.0, 1.0, 0.0, None, None]
    assert reranker.read[0] == "T\ntext number 1"


def test_neighbours_are_shown_with_a_chunk_and_touching_hits_as_one() -> None:
    text = "aaaa\nbbbb\ncccc\ndddd\neeee\nffff"
    cuts = [(0, 4), (5, 9), (10, 14), (15, 19), (20, 24), (25, 29)]
    chunks = [Chunk(f"d#{start}-{end}", "d", text[start:end], start, end, ("H",)) for start, end in cuts]
    document = Document("d", "D", text, "")
    hits = [Hit(chunks[number], "D", score) for number, score in ((4, 3.0), (0, 2.0), (3, 1.0))]
    shown = widened(hits, neighbours=1, documents={"d": document}, chunks={"d": chunks})
    assert [(hit.chunk.start, hit.chunk.end, hit.score) for hit in shown] == [(10, 29, 3.0), (0, 9, 2.0)]
    assert shown[0].chunk.text == text[10:29]
    assert shown[0].chunk.id == "d#10-29"
    everything = widened(hits[:1], neighbours=9, documents={"d": document}, chunks={"d": chunks})
    assert [hit.chunk.text for hit in everything] == [text]
    section = Hit(Chunk("d#0-14", "d", text[:14], 0, 14), "D", 1.0)
    assert widened([section], neighbours=1, documents={"d": document}, chunks={"d": chunks}) == [section]
