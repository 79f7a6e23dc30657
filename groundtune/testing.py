"""For people who write plugins: the fakes, and checks that a model, an embedder or an index must pass. Knows the seams only."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from groundtune.errors import UsageError
from groundtune.index.filters import accepts
from groundtune.interfaces import Embedder, Index, LanguageModel, Pieces, Streaming
from groundtune.models.fake import FakeEmbedder, FakeModel, remember
from groundtune.types import EVERYTHING, Chunk, Entry, Filter, Generation, Message

__all__ = ["FakeEmbedder", "FakeModel", "check_embedder", "check_index", "check_language_model", "index_entries", "remember"]

CONVERSATIONS = (
    (Message("user", "Question: What is the capital of France?"),),
    (Message("system", "Answer in one word."), Message("user", "Text: naïve café, 42 €, 日本語 🙂")),
    (Message("user", "Say: a"), Message("assistant", "a"), Message("user", "Question: Say b\n\nand c")),
)

TEXTS = ("The notice period is thirty days.", "x", "", "naïve café, 42 €, 日本語 🙂", "word " * 2000)


def check_language_model(model: LanguageModel, *, max_new_tokens: int = 6) -> None:
    """Assert what every LanguageModel promises; costs about ten short answers."""
    assert ":" in model.name, "name is provider:name"
    assert model.fingerprint, "fingerprint is not empty"
    assert isinstance(model.local, bool), "local is True or False"
    assert model.window is None or model.window > 0, "window is a number of tokens, or None when it is not known"
    answers = model.generate(CONVERSATIONS, max_new_tokens=max_new_tokens)
    assert len(answers) == len(CONVERSATIONS), "one answer a conversation"
    assert model.generate(CONVERSATIONS, max_new_tokens=max_new_tokens) == answers, "the same call gives the same answers"
    assert model.generate((), max_new_tokens=max_new_tokens) == [], "no conversations, no answers"
    for answer in answers:
        assert answer.usage.input_tokens > 0, "prompts have tokens"
        assert 0 <= answer.usage.output_tokens <= max_new_tokens, "max_new_tokens is obeyed"
        assert answer.finish in ("stop", "length"), "finish says why it ended"
        assert "<|" not in answer.text, "control tokens are not part of an answer"
    short = model.generate(CONVERSATIONS, max_new_tokens=1)
    assert all(answer.usage.output_tokens <= 1 for answer in short), "max_new_tokens is obeyed"
    try:
        model.generate(CONVERSATIONS, max_new_tokens=0)
    except UsageError:
        pass
    else:
        raise AssertionError("max_new_tokens=0 is refused with UsageError")
    if isinstance(model, Streaming):
        for conversation, answer in zip(CONVERSATIONS, answers, strict=True):
            pieces, whole = _read(model.stream(conversation, max_new_tokens=max_new_tokens))
            assert (pieces.strip(), whole) == (answer.text, answer), "a stream is the answer in pieces"
        model.stream(CONVERSATIONS[0], max_new_tokens=max_new_tokens).close()
        assert model.generate(CONVERSATIONS, max_new_tokens=max_new_tokens) == answers, "a stream that is closed leaves nothing"
    assert model.count_tokens("") == 0, "nothing has no tokens"
    assert 0 < model.count_tokens("one") < model.count_tokens("one two three, four five six seven"), "more text, more tokens"


def _read(pieces: Pieces) -> tuple[str, Generation]:
    text = ""
    while True:
        try:
            text += next(pieces)
        except StopIteration as end:
            return text, end.value


def check_embedder(embedder: Embedder) -> None:
    """Assert what every Embedder promises."""
    assert ":" in embedder.name, "name is provider:name"
    assert embedder.fingerprint, "fingerprint is not empty"
    rows = embedder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), embedder.dimensions), "one row a text"
    assert rows.dtype == np.float32, "rows are float32"
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5), "rows have length 1"
    alone = np.stack([embedder.embed([text])[0] for text in TEXTS])
    assert np.array_equal(rows, alone), "a vector does not depend on the texts beside it"
    assert np.array_equal(rows[::-1], embedder.embed(TEXTS[::-1])), "nor on their order"
    assert embedder.embed([]).shape == (0, embedder.dimensions), "no texts, no rows"
    assert embedder.max_tokens > 0, "max_tokens is positive"
    assert embedder.count_tokens("") == 0, "nothing has no tokens"
    assert embedder.count_tokens("one two three") >= 3, "words have tokens"


# --- index --------------------------------------------------------------------------------------------------------------

DIMENSIONS = 8
VOCABULARY = ("zebra", "apple", "tiger", "river", "cloud", "stone", "lamp", "grass", "train", "glove")
FILTERS = (
    EVERYTHING,
    Filter(paths=("hr/**",)),
    Filter(paths=("**/d0*.md", "it/d1?.md")),
    Filter(formats=("pdf", "md"), since=30.0, before=200.0),
    Filter(sources=("mail",), title="TITLE d00"),
    Filter(paths=("[!h]*/*",), title="2"),
    Filter(title="'; DROP TABLE chunks; --"),
    Filter(paths=("no/such/*",)),
)


def index_entries(size: int, *, seed: int = 0, audiences: int = 5) -> list[Entry]:
    """Chunks of three a document in three folders, with words of very different frequency."""
    random = np.random.default_rng(seed)
    shares = 1 / np.arange(1, len(VOCABULARY) + 1)
    entries = []
    for number in range(size):
        text = " ".join(random.choice(VOCABULARY, random.integers(3, 30), p=shares / shares.sum()))
        vector = random.normal(size=DIMENSIONS).astype(np.float32)
        document = f"{('hr', 'it', 'hr/old')[number // 3 % 3]}/d{number // 3:02}.md"
        chunk = Chunk(f"{document}#{number}-{number + 1}", document, text, number, number + 1, ("A", "B"), 5)
        vector /= np.linalg.norm(vector)
        format, source = ("md", "pdf", "docx")[number // 3 % 3], ("files", "mail")[number // 3 % 2]
        title, audience = f"Title d{number // 3:03}", number // 3 % audiences + 1
        entries.append(Entry(chunk, title, text, "r1", audience, vector, format, source, modified=float(number // 3)))
    return entries


def check_index(make: Callable[[Path], Index], folder: Path) -> None:
    """Assert what every Index of vectors of 8 dimensions promises. `make` opens the index of a folder, which may be new."""
    entries = index_entries(240)
    index, reader = make(folder / "whole"), make(folder / "whole")
    assert index.count() == 0 and index.held() == {}, "a new index is empty"
    assert list(index.search("zebra", entries[0].vector, audiences=frozenset({1}), k=3)) == [], "and finds nothing"
    index.replace(_by_document(entries))
    index.settle()
    index.verify()
    assert reader.count() == len(entries), "an open reader sees what another one wrote"
    _check_rows(reader, entries)
    _check_ranks(reader, entries)
    _check_punctuation(reader)
    _check_many_audiences(make(folder / "many"))
    _check_ties(make, folder)
    _check_changes(make, folder)
    _check_concurrent_reader(make, folder / "concurrent")
    try:
        index.search("x", np.ones(3, dtype=np.float32), audiences=frozenset({1}), k=1)
    except UsageError:
        return
    raise AssertionError("a query vector of other dimensions is refused with UsageError")


def _check_rows(index: Index, entries: Sequence[Entry]) -> None:
    wanted = entries[7]
    (found,) = index.search("", wanted.vector, audiences=frozenset({wanted.audience}), k=1)
    assert (found.chunk, found.title, found.revision, found.audience) == (wanted.chunk, wanted.title, "r1", wanted.audience)
    assert math.isclose(found.scores["vector"], 1, abs_tol=1e-5), "a vector's own cosine is 1"
    document = wanted.chunk.document
    rows = [entry.chunk for entry in entries if entry.chunk.document == document]
    assert [row.chunk for row in index.chunks([document, "unknown"])] == rows, "chunks of a document come in order of place"
    assert list(index.chunks([])) == []
    assert index.held()[document] == ("r1", wanted.audience, wanted.modified), "held tells revision, audience, time of change"


def _check_ranks(index: Index, entries: Sequence[Entry]) -> None:
    """Against brute force over the rows, for every filter and several sets of audiences."""
    queries = ("zebra", "river river stone", "unknown")
    vectors = np.random.default_rng(9).normal(size=(len(queries), DIMENSIONS)).astype(np.float32)
    for audiences in (frozenset({9}), frozenset[int]()):
        assert not index.search("zebra", vectors[0], audiences=audiences, k=10), "without an allowed row nothing is found"
    for filter in FILTERS:
        passes = accepts(filter)
        for audiences in (frozenset({1}), frozenset({2, 4, 9}), frozenset(range(1, 7))):
            allowed = [
                one
                for one in entries
                if one.audience in audiences and passes(one.chunk.document, one.title, one.format, one.source, one.modified)
            ]
            for query, vector in zip(queries, vectors, strict=True):
                nearest = sorted(allowed, key=lambda one: -float(one.vector @ vector))[:10]
                found = index.search(query, vector, audiences=audiences, k=10, filter=filter)
                ranked = sorted((row for row in found if "vector" in row.ranks), key=lambda row: row.ranks["vector"])
                assert [row.chunk.id for row in ranked] == [one.chunk.id for one in nearest], "exact by cosine"
                assert [row.ranks["vector"] for row in ranked] == list(range(1, len(nearest) + 1)), "ranks count from 1"
                ids = {one.chunk.id for one in allowed}
                scores = {id: score for id, score in bm25(query, entries).items() if id in ids}
                best = sorted(scores.values(), reverse=True)[:10]
                by_text = index.search_text(query, audiences=audiences, k=10, filter=filter)
                # A few percent: an index may store lengths in one byte, as Lucene does.
                assert np.allclose([scores[row.chunk.id] for row in by_text], best, rtol=0.06), "best by BM25"
                assert np.allclose([row.scores["text"] for row in by_text], best, rtol=0.06), "with the score of BM25"
                ranks = {row.chunk.id: row.ranks["text"] for row in found if "text" in row.ranks}
                assert ranks == {row.chunk.id: rank for rank, row in enumerate(by_text, start=1)}, "both searches rank alike"


def _check_punctuation(index: Index) -> None:
    """Marks that query languages read as operators are no words here."""
    everyone = frozenset(range(1, 7))
    plain = [row.chunk.id for row in index.search_text("zebra river", audiences=everyone, k=10)]
    for query in ('"zebra river"', '"zebra" "river"', "+zebra -river", "zebra* (river", "zebra:river^2", "zebra\\river~1"):
        found = [row.chunk.id for row in index.search_text(query, audiences=everyone, k=10)]
        assert found == plain, f"{query} is searched by its words"


def _check_many_audiences(index: Index) -> None:
    """A thousand documents of as many audiences, one caller of a scattered half and one of a scattered few."""
    entries = [replace(one, audience=number + 1) for number, one in enumerate(index_entries(1_000, audiences=1))]
    entries = [
        replace(one, chunk=replace(one.chunk, document=f"d{one.audience}", id=f"d{one.audience}#0-1")) for one in entries
    ]
    index.replace(_by_document(entries))
    index.settle()
    scattered = np.random.default_rng(5).permutation(20_000)
    for audiences in (frozenset(map(int, scattered[:10_000])), frozenset(map(int, scattered[:300])), frozenset(range(500))):
        found = index.search("zebra", entries[3].vector, audiences=audiences, k=20)
        allowed = [one for one in entries if one.audience in audiences]
        nearest = sorted(allowed, key=lambda one: -float(one.vector @ entries[3].vector))[:20]
        ranked = sorted((row for row in found if "vector" in row.ranks), key=lambda row: row.ranks["vector"])
        assert [row.chunk.id for row in ranked] == [one.chunk.id for one in nearest], "many audiences lose nothing"
        assert {row.audience for row in found} <= audiences, "and let nothing through"


def _check_ties(make: Callable[[Path], Index], folder: Path) -> None:
    vector = np.ones(DIMENSIONS, dtype=np.float32) / math.sqrt(DIMENSIONS)
    names = [f"n{number:03}" for number in range(60)]
    for number, order in enumerate((names, names[::-1], list(np.random.default_rng(0).permutation(names)))):
        index = make(folder / f"ties {number}")
        for part in (order[:20], order[20:]):
            index.replace(
                {one: [Entry(Chunk(f"{one}#0-1", one, "x", 0, 1), one, "same words", "r", 1, vector)] for one in part}
            )
        found = index.search("words", vector, audiences=frozenset({1}), k=7)
        assert [row.chunk.document for row in found] == names[:7], "equal scores come in the order of ids"
        assert [dict(row.ranks) for row in found] == [{"text": rank, "vector": rank} for rank in range(1, 8)]


def _check_changes(make: Callable[[Path], Index], folder: Path) -> None:
    entries = index_entries(90, seed=3)
    documents = _by_document(entries)
    whole, grown = make(folder / "at once"), make(folder / "piece by piece")
    whole.replace(documents)
    names = sorted(documents)
    old = [replace(one, title="old", text="tiger glove old", revision="r0", audience=9) for one in index_entries(90, seed=4)]
    gone = Entry(Chunk("gone#0-1", "gone", "x", 0, 1), "", "zebra", "r0", 1, old[0].vector)
    grown.replace(_by_document(old) | {"gone": [gone]})
    grown.replace({name: documents[name] for name in names[::2]} | {"gone": []})
    grown.replace({name: documents[name] for name in names[1::2]} | {"never held": []})
    grown.settle()
    assert grown.held() == whole.held() and grown.count() == whole.count() == 90, "a change leaves nothing of the old rows"
    _assert_alike(whole, grown, entries[0].vector)
    before = whole.search("zebra apple", entries[0].vector, audiences=frozenset(range(1, 6)), k=9)
    whole.assign(dict.fromkeys(documents, 7))
    assert {held.audience for held in whole.held().values()} == {7}
    assert not whole.search("zebra", entries[0].vector, audiences=frozenset(range(1, 6)), k=9), "the old audiences find nothing"
    after = whole.search("zebra apple", entries[0].vector, audiences=frozenset({7}), k=9)
    assert [(row.chunk, row.ranks) for row in after] == [(row.chunk, row.ranks) for row in before], "text and vectors stay"
    whole.replace({names[0]: documents[names[0]][:1]})
    assert whole.count() == 88, "a shorter document leaves no rows behind"


def _assert_alike(one: Index, other: Index, vector: np.ndarray) -> None:
    for query in ("zebra tiger", "glove", "old"):
        first, second = (index.search(query, vector, audiences=frozenset({1, 2, 3, 9}), k=12) for index in (one, other))
        assert [(row.chunk, row.title, row.ranks) for row in first] == [(row.chunk, row.title, row.ranks) for row in second]


def _check_concurrent_reader(make: Callable[[Path], Index], folder: Path) -> None:
    """A reader in another thread sees all rows of a commit or none."""
    index, reader = make(folder), make(folder)
    entries = index_entries(12)

    def write(revision: str) -> None:
        index.replace(_by_document([replace(one, revision=revision) for one in entries]))

    seen: list[set[str]] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            found = reader.search("", entries[0].vector, audiences=frozenset(range(1, 6)), k=12)
            seen.append({row.revision for row in found} if len(found) == 12 else {"", str(len(found))})

    write("r0")
    thread = threading.Thread(target=read)
    thread.start()
    try:
        for number in range(1, 6):
            write(f"r{number}")
    finally:
        done.set()
        thread.join()
    assert seen and all(len(revisions) == 1 for revisions in seen), "a reader sees all of a commit or none of it"


def _by_document(entries: Sequence[Entry]) -> dict[str, list[Entry]]:
    documents: dict[str, list[Entry]] = {}
    for entry in entries:
        documents.setdefault(entry.chunk.document, []).append(entry)
    return documents


def bm25(query: str, entries: Sequence[Entry]) -> Mapping[str, float]:
    """Robertson's BM25 (k1 = 1.2, b = 0.75, idf as in Lucene) over all rows, written out."""
    texts = [entry.text.split() for entry in entries]
    mean = sum(map(len, texts)) / len(texts)
    holding = Counter(word for text in texts for word in set(text))
    scores = {}
    for entry, text in zip(entries, texts, strict=True):
        score = 0.0
        for word in query.split():
            count = text.count(word)
            idf = math.log(1 + (len(texts) - holding[word] + 0.5) / (holding[word] + 0.5))
            score += idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * len(text) / mean))
        if score:
            scores[entry.chunk.id] = score
    return scores
