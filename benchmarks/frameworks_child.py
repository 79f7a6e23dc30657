"""Other retrieval frameworks, each as its own documentation sets it up, in a process and an environment of their own.

Reads JSON lines: {"framework", "k"}, documents {"id", "text"}, questions {"id", "question"} and {"go": true}. Writes
{"embed": [text, ...]} when vectors are needed, answered by {"vectors": base64 of float32, row after row}, and at last
{"id", "hits": [[document, start, end], ...]} for every question. Knows nothing of groundtune; runs where `frameworks.txt` is.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

os.environ.update(HF_HUB_OFFLINE="1", ANONYMIZED_TELEMETRY="False", HAYSTACK_TELEMETRY_ENABLED="False")
logging.disable(logging.WARNING)

Hits = list[tuple[str, int, int]]
Documents = Sequence[tuple[str, str]]
"""(id, text)."""
Search = Callable[[str, int], Hits]
Embed = Callable[[Sequence[str]], np.ndarray]


def bm25s(documents: Documents, _: Embed) -> Search:
    """Its default variant and constants, with an English stemmer and its English stop words; documents are searched whole."""
    import bm25s as library
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    retriever = library.BM25()
    cut = library.tokenize([text for _, text in documents], stopwords="en", stemmer=stemmer, show_progress=False)
    retriever.index(cut, show_progress=False)

    def search(question: str, k: int) -> Hits:
        words = library.tokenize(question, stopwords="en", stemmer=stemmer, show_progress=False)
        found, scores = retriever.retrieve(words, k=min(k, len(documents)), show_progress=False)
        best = [int(at) for at, score in zip(found[0], scores[0], strict=True) if score > 0]
        return [(documents[at][0], 0, len(documents[at][1])) for at in best]

    return search


def llamaindex(documents: Documents, embed: Embed) -> Search:
    """`VectorStoreIndex.from_documents` and its retriever: sentences until 1,024 tokens with 20 shared, vectors alone."""
    from llama_index.core import Document, Settings, VectorStoreIndex
    from llama_index.core.embeddings import BaseEmbedding

    class Given(BaseEmbedding):  # type: ignore[misc]
        def _get_query_embedding(self, query: str) -> list[float]:
            return self._get_text_embeddings([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

        def _get_text_embedding(self, text: str) -> list[float]:
            return self._get_text_embeddings([text])[0]

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            rows: list[list[float]] = embed(texts).tolist()
            return rows

    Settings.llm = None
    held = [Document(text=text, id_=id) for id, text in documents]
    index = VectorStoreIndex.from_documents(held, embed_model=Given(embed_batch_size=100))

    def search(question: str, k: int) -> Hits:
        found = index.as_retriever(similarity_top_k=k).retrieve(question)
        return [(one.node.ref_doc_id, one.node.start_char_idx, one.node.end_char_idx) for one in found]

    return search


def langchain(documents: Documents, embed: Embed) -> Search:
    """Its tutorial for retrieval: recursive parts of 1,000 characters with 200 shared (the class's own 4,000 would mostly go
    unread by the embedder), a vector store and its retriever.
    """
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import InMemoryVectorStore
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    class Given(Embeddings):  # type: ignore[misc]
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            rows: list[list[float]] = embed(texts).tolist()
            return rows

        def embed_query(self, text: str) -> list[float]:
            return self.embed_documents([text])[0]

    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200, add_start_index=True)
    parts = splitter.split_documents([Document(text, metadata={"id": id}) for id, text in documents])
    store = InMemoryVectorStore(Given())
    store.add_documents(parts)

    def search(question: str, k: int) -> Hits:
        found = store.as_retriever(search_kwargs={"k": k}).invoke(question)
        return [_span(one.metadata["id"], one.metadata["start_index"], one.page_content) for one in found]

    return search


def haystack(documents: Documents, embed: Embed) -> Search:
    """Its splitter's default, 200 words, its in-memory store and embedding retriever."""
    from haystack import Document
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    splitter = DocumentSplitter()
    parts = splitter.run(documents=[Document(id=id, content=text) for id, text in documents])["documents"]
    vectors = embed([part.content for part in parts]).tolist()
    store = InMemoryDocumentStore()
    kept = [
        Document(content=part.content, meta={**part.meta, "number": number}, embedding=vector)
        for number, (part, vector) in enumerate(zip(parts, vectors, strict=True))
    ]
    store.write_documents(kept)
    retriever = InMemoryEmbeddingRetriever(store)

    def search(question: str, k: int) -> Hits:
        found = retriever.run(query_embedding=embed([question])[0].tolist(), top_k=k)["documents"]
        return [_span(one.meta["source_id"], one.meta["split_idx_start"], one.content) for one in found]

    return search


def txtai(documents: Documents, embed: Embed) -> Search:
    """`Embeddings` as its introduction has it: documents whole, vectors alone."""
    return _txtai(documents, embed, hybrid=False)


def txtai_hybrid(documents: Documents, embed: Embed) -> Search:
    """The same with `hybrid=True`: BM25 beside the vectors."""
    return _txtai(documents, embed, hybrid=True)


def _txtai(documents: Documents, embed: Embed, *, hybrid: bool) -> Search:
    from txtai import Embeddings

    embeddings = Embeddings(method="external", transform=embed, hybrid=hybrid)
    embeddings.index((id, text, None) for id, text in documents)
    lengths = {id: len(text) for id, text in documents}

    def search(question: str, k: int) -> Hits:
        return [(id, 0, lengths[id]) for id, _ in embeddings.search(question, k)]

    return search


FRAMEWORKS = {make.__name__: make for make in (bm25s, llamaindex, langchain, haystack, txtai, txtai_hybrid)}


def _span(id: str, start: int, text: str) -> tuple[str, int, int]:
    return id, start, start + len(text)


def main() -> None:
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a framework prints is no part of the protocol

    def say(value: Any) -> None:
        told.write(json.dumps(value) + "\n")
        told.flush()

    def embed(texts: Sequence[str]) -> np.ndarray:
        say({"embed": list(texts)})
        packed = json.loads(sys.stdin.readline())["vectors"]
        return np.frombuffer(base64.b64decode(packed), dtype="<f4").reshape(len(texts), -1)

    header = json.loads(sys.stdin.readline())
    documents, questions = [], []
    for line in sys.stdin:
        row = json.loads(line)
        if "go" in row:
            break
        if "text" in row:
            documents.append((row["id"], row["text"]))
        else:
            questions.append(row)
    search = FRAMEWORKS[header["framework"]](documents, embed)
    for row in questions:
        say({"id": row["id"], "hits": search(row["question"], header["k"])})


if __name__ == "__main__":
    main()
