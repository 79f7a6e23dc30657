"""LlamaIndex's and txtai's default stores over the same rows. Runs in an environment of theirs, where Groundtune is not.

    /path/to/other/venv/bin/python benchmarks/scale_frameworks.py llamaindex ROWS FOLDER QUESTIONS

Both search by vector only, which is their default, while Groundtune also searches the full text. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TXTAI_TELEMETRY": "0"}
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

from benchmarks.scale_rows import DEPTH, PER_DOCUMENT, PERCENT, Rows, level_of, peak_mb, recall

Search = Callable[[int, Sequence[str]], list[int]]
"""(number of a question, levels that the caller may read) -> places of the DEPTH nearest chunks."""


def llamaindex(rows: Rows, folder: Path) -> Search:
    """SimpleVectorStore, in memory: what VectorStoreIndex uses unless told otherwise."""
    from llama_index.core.schema import TextNode
    from llama_index.core.vector_stores import FilterOperator, MetadataFilter, MetadataFilters, VectorStoreQuery
    from llama_index.core.vector_stores.simple import SimpleVectorStore

    store = SimpleVectorStore()
    levels = rows.levels
    for number, (text, vector) in enumerate(zip(rows.texts(), rows.vectors, strict=True)):
        about = {"level": str(levels[number // PER_DOCUMENT])}
        store.add([TextNode(id_=str(number), text=text, embedding=vector.tolist(), metadata=about)])
    store.persist(str(folder / "store.json"))
    asked = rows.question_vectors

    def search(question: int, readable: Sequence[str]) -> list[int]:
        wanted = MetadataFilters(filters=[MetadataFilter(key="level", value=list(readable), operator=FilterOperator.IN)])
        query = VectorStoreQuery(query_embedding=asked[question].tolist(), similarity_top_k=DEPTH, filters=wanted)
        return [int(id) for id in store.query(query).ids or ()]

    return search


def txtai(rows: Rows, folder: Path) -> Search:
    """Faiss as txtai sets it up for this many rows, with contents in SQLite so that it can filter."""
    from txtai import Embeddings

    vectors, asked, levels = rows.vectors, rows.question_vectors, rows.levels

    def transform(texts: Sequence[str]) -> np.ndarray:
        """Texts are `row N` or `question N`."""
        cut = [text.split() for text in texts]
        return np.array([(vectors if kind == "row" else asked)[int(number)] for kind, number in cut])

    made = Embeddings(method="external", transform=transform, content=True)
    count = len(vectors)
    made.index(
        (n, {"text": f"row {n}", "body": text, "level": str(levels[n // PER_DOCUMENT])}, None)
        for n, text in zip(range(count), rows.texts(), strict=True)
    )
    made.save(str(folder / "txtai"))

    def search(question: int, readable: Sequence[str]) -> list[int]:
        names = ", ".join(f"'{level}'" for level in readable)
        statement = f"select id, score from txtai where similar(:q) and level in ({names}) limit {DEPTH}"
        found = made.search(statement, limit=DEPTH, parameters={"q": f"question {question}"})
        return [int(row["id"]) for row in found]

    return search


def main() -> None:
    name, rows, folder, questions = sys.argv[1], Rows(Path(sys.argv[2])), Path(sys.argv[3]), int(sys.argv[4])
    folder.mkdir(parents=True, exist_ok=True)
    started, busy = time.perf_counter(), time.process_time()
    search = {"llamaindex": llamaindex, "txtai": txtai}[name](rows, folder)
    figures: dict[str, Any] = {
        "build_s": time.perf_counter() - started,
        "build_processor_s": time.process_time() - busy,
        "build_peak_mb": peak_mb(),
        "disk_mb": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20,
    }
    for percent in PERCENT:
        readable = [str(level) for level in range(level_of(percent) + 1)]
        search(0, readable)
        seconds, found = [], []
        busy = time.process_time()
        for question in range(questions):
            started = time.perf_counter()
            found.append(search(question, readable))
            seconds.append(time.perf_counter() - started)
        figures[f"processor_ms_at_{percent}_percent"] = 1000 * (time.process_time() - busy) / questions
        for part in (50, 99):
            figures[f"p{part}_ms_at_{percent}_percent"] = 1000 * float(np.percentile(seconds, part))
        figures[f"recall_at_{percent}_percent"] = recall(found, rows.nearest(percent)[:questions])
    figures["search_peak_mb"] = peak_mb()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
