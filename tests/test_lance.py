"""The LanceDB index against brute force: the same rows, the same order, whatever the way they came in."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import lancedb
import numpy as np
import pytest

from groundtune.errors import UsageError, WorkspaceError
from groundtune.index import words
from groundtune.index.lance import LanceIndex
from groundtune.types import Chunk, Entry

DIMENSIONS = 8
VOCABULARY = ("zebra", "apple", "tiger", "river", "cloud", "stone", "lamp", "grass", "train", "glove")


def corpus(size: int, *, seed: int = 0) -> list[Entry]:
    """Chunks of three a document, five audiences, words of very different frequency."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(VOCABULARY) + 1)
    entries = []
    for number in range(size):
        text = " ".join(random.choice(VOCABULARY, random.integers(3, 30), p=shares / shares.sum()))
        vector = random.normal(size=DIMENSIONS).astype(np.float32)
        document = f"d{number // 3:04}"
        chunk = Chunk(f"{document}#{number}-{number + 1}", document, text, number, number + 1, ("A", "B"), 5)
        entries.append(Entry(chunk, f"T{document}", text, "r1", number // 3 % 5 + 1, vector / np.linalg.norm(vector)))
    return entries


def by_document(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    documents: dict[str, list[Entry]] = {}
    for entry in entries:
        documents.setdefault(entry.chunk.document, []).append(entry)
    return documents


def bm25(query: str, entries: Sequence[Entry]) -> dict[str, float]:
    """Robertson's BM25 (k1 = 1.2, b = 0.75, idf as in Lucene) over all rows."""
    texts = [entry.text.split() for entry in entries]
    mean = sum(map(len, texts)) / len(texts)
    holding = Counter(word for text in texts for word in set(text))
    scores = {}
    for entry, text in zip(entries, texts, strict=True):
        score = 0.0
        for word in set(query.split()):
            count = text.count(word)
            idf = math.log(1 + (len(texts) - holding[word] + 0.5) / (holding[word] + 0.5))
            score += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(text) / mean))
        if score:
            scores[entry.chunk.id] = score
    return scores


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    return corpus(300)


@pytest.fixture(scope="module")
def index(entries: list[Entry], tmp_path_factory: pytest.TempPathFactory) -> LanceIndex:
    made = LanceIndex(tmp_path_factory.mktemp("index"), dimensions=DIMENSIONS)
    made.replace(by_document(entries))
    return made


@pytest.mark.parametrize("audiences", [{1}, {2, 3}, {1, 3, 5}, {1, 2, 3, 4, 5, 6, 7, 8}])
def test_vectors_are_ranked_as_by_brute_force(index: LanceIndex, entries: list[Entry], audiences: set[int]) -> None:
    for seed in range(5):
        query = np.random.default_rng(100 + seed).normal(size=DIMENSIONS).astype(np.float32)
        allowed = [entry for entry in entries if entry.audience in audiences]
        expected = sorted(allowed, key=lambda entry: -float(entry.vector @ query))[:10]
        found = index.search("", query, audiences=frozenset(audiences), k=10)
        ranked = sorted(found, key=lambda row: row.ranks["vector"])
        assert [row.chunk for row in ranked] == [entry.chunk for entry in expected]
        assert [row.ranks["vector"] for row in ranked] == list(range(1, 11))


@pytest.mark.parametrize("query", ["zebra", "glove", "glove train", "zebra apple lamp", "river river stone"])
@pytest.mark.parametrize("audiences", [{1}, {2, 4}, {1, 2, 3, 4, 5}])
def test_words_are_ranked_as_by_bm25_over_all_rows(
    index: LanceIndex, entries: list[Entry], query: str, audiences: set[int]
) -> None:
    of = {entry.chunk.id: entry.audience for entry in entries}
    scores = {id: score for id, score in bm25(" ".join(dict.fromkeys(query.split())), entries).items() if of[id] in audiences}
    found = index.search_text(query, audiences=frozenset(audiences), k=10)
    assert len(found) == min(10, len(scores))
    best = sorted(scores.values(), reverse=True)[: len(found)]
    # Lance stores lengths in one byte, as Lucene does, so scores agree to a few percent only.
    assert [scores[row.chunk.id] for row in found] == pytest.approx(best, rel=0.06)


def test_only_allowed_audiences_are_found_however_well_others_match(index: LanceIndex, entries: list[Entry]) -> None:
    for entry in entries[:40]:
        for audiences in ({1, 2, 3, 4, 5} - {entry.audience}, {entry.audience % 5 + 1}):
            found = index.search(entry.text, entry.vector, audiences=frozenset(audiences), k=5)
            assert {row.audience for row in found} <= audiences
            assert entry.chunk.document not in {row.chunk.document for row in found}
    assert index.search(entries[0].text, entries[0].vector, audiences=frozenset(), k=5) == []
    assert index.search_text(entries[0].text, audiences=frozenset(), k=5) == []
    assert index.search(entries[0].text, entries[0].vector, audiences=frozenset({9}), k=5) == []


def test_rows_come_back_whole(index: LanceIndex, entries: list[Entry]) -> None:
    wanted = entries[7]
    (found,) = index.search("", wanted.vector, audiences=frozenset({wanted.audience}), k=1)
    assert (found.chunk, found.title, found.revision, found.audience) == (wanted.chunk, wanted.title, "r1", wanted.audience)


def test_equal_scores_are_ranked_by_id_whatever_the_order_of_arrival(tmp_path: Path) -> None:
    vector = np.ones(DIMENSIONS, dtype=np.float32) / math.sqrt(DIMENSIONS)
    names = [f"n{number:03}" for number in range(60)]
    orders = (names, names[::-1], list(np.random.default_rng(0).permutation(names)))
    for number, order in enumerate(orders):
        index = LanceIndex(tmp_path / str(number), dimensions=DIMENSIONS)
        for name in (order[:20], order[20:]):
            index.replace(
                {one: [Entry(Chunk(f"{one}#0-1", one, "x", 0, 1), one, "same words", "r", 1, vector)] for one in name}
            )
        found = index.search("words", vector, audiences=frozenset({1}), k=7)
        assert [row.chunk.document for row in found] == names[:7]
        assert [dict(row.ranks) for row in found] == [{"text": rank, "vector": rank} for rank in range(1, 8)]


def test_replacing_piece_by_piece_equals_building_at_once(tmp_path: Path) -> None:
    entries = corpus(90, seed=3)
    documents = by_document(entries)
    whole, grown = (LanceIndex(tmp_path / name, dimensions=DIMENSIONS) for name in ("whole", "grown"))
    whole.replace(documents)
    names = sorted(documents)
    old = [Entry(entry.chunk, "old", "tiger glove old", "r0", 9, entry.vector) for entry in corpus(90, seed=4)]
    grown.replace(
        by_document(old) | {"gone": [Entry(Chunk("gone#0-1", "gone", "x", 0, 1), "", "zebra", "r0", 1, old[0].vector)]}
    )
    grown.replace({name: documents[name] for name in names[::2]} | {"gone": []})
    grown.replace({name: documents[name] for name in names[1::2]})
    assert grown.held() == whole.held()
    assert grown.count() == whole.count() == 90
    for query in ("zebra tiger", "glove", "old"):
        ask = [one.search(query, entries[0].vector, audiences=frozenset({1, 2, 3, 9}), k=12) for one in (whole, grown)]
        assert ask[0] == ask[1]


def test_a_shorter_document_leaves_no_rows_behind(tmp_path: Path) -> None:
    entries = corpus(6)
    index = LanceIndex(tmp_path, dimensions=DIMENSIONS)
    index.replace(by_document(entries))
    index.replace({"d0000": entries[:1]})
    assert index.count() == 4
    index.replace({"d0000": [], "d0001": [], "unknown": []})
    assert index.count() == 0
    assert index.search("zebra", entries[0].vector, audiences=frozenset({1}), k=3) == []
    assert index.held() == {}


def test_other_audiences_keep_text_and_vectors(tmp_path: Path) -> None:
    entries = corpus(30)
    index = LanceIndex(tmp_path, dimensions=DIMENSIONS)
    index.replace(by_document(entries))
    before = index.search("zebra apple", entries[0].vector, audiences=frozenset(range(1, 6)), k=9)
    index.assign({f"d{number:04}": 7 for number in range(10)})
    assert {held.audience for held in index.held().values()} == {7}
    assert index.search("zebra", entries[0].vector, audiences=frozenset(range(1, 6)), k=9) == []
    after = index.search("zebra apple", entries[0].vector, audiences=frozenset({7}), k=9)
    assert [(row.chunk, row.ranks) for row in after] == [(row.chunk, row.ranks) for row in before]


def test_an_open_reader_sees_what_another_one_writes(tmp_path: Path) -> None:
    entries = corpus(6)
    writer, reader = (LanceIndex(tmp_path, dimensions=DIMENSIONS) for _ in range(2))
    assert reader.count() == 0
    writer.replace(by_document(entries))
    assert reader.search("", entries[0].vector, audiences=frozenset({1}), k=1)[0].chunk == entries[0].chunk
    writer.replace({"d0000": []})
    assert "d0000" not in {row.chunk.document for row in reader.search("", entries[0].vector, audiences=frozenset({1, 2}), k=9)}


def test_words_are_stemmed_and_folded_and_stop_words_dropped(tmp_path: Path) -> None:
    text = "The employees were running a café"
    index = LanceIndex(tmp_path, dimensions=DIMENSIONS)
    index.replace({"d": [Entry(Chunk("d#0-1", "d", text, 0, 1), "", text, "r", 1, np.eye(DIMENSIONS, dtype=np.float32)[0])]})

    def finds(query: str) -> bool:
        return bool(index.search_text(query, audiences=frozenset({1}), k=1))

    assert all(map(finds, ("employee", "RUNS", "cafe", "Which cafés?")))
    assert not any(map(finds, ("the were a", "Why would anybody tell me?", "", "()*:\"' AND OR NOT", "tea")))


def test_stop_words_hold_their_own_stems(tmp_path: Path) -> None:
    table = lancedb.connect(str(tmp_path)).create_table("words", [{"text": "x"}])
    table.create_index("text", config=lancedb.index.FTS(remove_stop_words=False))
    stems = {token.text for token in table.tokenize(words._FUNCTION_WORDS, column="text")}
    assert stems <= set(words.STOP_WORDS)


def test_what_does_not_fit_is_an_error(index: LanceIndex) -> None:
    with pytest.raises(UsageError, match="8 dimensions"):
        index.search("x", np.ones(3, dtype=np.float32), audiences=frozenset({1}), k=1)
    with pytest.raises(WorkspaceError, match="holds vectors of 8"):
        LanceIndex(index.path, dimensions=9)


@pytest.mark.parametrize("query", ['"{}"', '"{}', "'{}' AND x", '{}" OR "'])
def test_quotes_are_no_operators(index: LanceIndex, entries: list[Entry], query: str) -> None:
    plain = index.search_text(entries[0].text, audiences=frozenset({1}), k=5)
    assert index.search_text(query.format(entries[0].text), audiences=frozenset({1}), k=5)[0] == plain[0]


def test_a_run_cut_off_before_the_full_text_was_built_is_completed(tmp_path: Path) -> None:
    entries = corpus(6)
    index = LanceIndex(tmp_path, dimensions=DIMENSIONS)
    index.replace(by_document(entries))
    index._table.drop_index("search_idx")
    index.settle()
    assert index.search_text(entries[0].text, audiences=frozenset({1}), k=1)


def test_as_many_audiences_as_documents_are_assigned_in_one_commit(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path, dimensions=2)
    vector = np.array([1, 0], dtype=np.float32)
    names = [f"d{number:02}" for number in range(60)]
    index.replace(
        {
            one: [Entry(Chunk(f"{one}#{n}-{n + 1}", one, "x", n, n + 1), one, "x", "r", 1, vector) for n in (0, 1)]
            for one in names
        }
    )
    before = index._table.version
    wanted = {document: number for number, document in enumerate(names, start=100)}
    index.assign(wanted)
    assert {document: held.audience for document, held in index.held().items()} == wanted
    assert index._table.version <= before + 3, "one merge and the full-text index"
    assert index.count() == 120
