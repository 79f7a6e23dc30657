"""One backend at one size, in a process of its own so that its peak memory is its own. Prints one line of JSON."""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale_rows import DEPTH, DIMENSIONS, PER_DOCUMENT, PERCENT, Rows, exact, level_of, peak_mb, recall
from groundtune.access.register import AccessRegister
from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.index.versions import index_class
from groundtune.interfaces import Index
from groundtune.store.tables import documents
from groundtune.store.workspace import Workspace
from groundtune.types import NOBODY, Audience, Caller, Chunk, Entry

K = 5
COMMIT = 20_000
"""Chunks that enter in one commit, as in a sync."""
UPDATES = 5
SCATTERED = ("10", "1")
"""Percent of the documents that callers may read where each document has an audience of its own."""


class Given:
    """An embedder that was told the vectors of its texts."""

    name = fingerprint = "benchmark:given"
    dimensions = DIMENSIONS
    max_tokens = 256

    def __init__(self, rows: Rows) -> None:
        self._known = dict(zip(rows.questions, rows.question_vectors, strict=True))

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([self._known[text] for text in texts])

    def count_tokens(self, text: str) -> int:
        return len(text.split())


def document_of(number: int) -> str:
    return f"d{number:07}.md"


def chunk_number(id: str) -> int:
    """The inverse of `entries`' ids."""
    document, _, span = id.partition("#")
    return int(document[1:8]) * PER_DOCUMENT + int(span.partition("-")[0])


def entries(rows: Rows, ids: Sequence[int]) -> Iterator[tuple[str, list[Entry]]]:
    """Documents with their chunks; `ids`: audience id of each document."""
    vectors = rows.vectors
    held: list[Entry] = []
    for number, text in enumerate(rows.texts()):
        place, at = divmod(number, PER_DOCUMENT)
        name = document_of(place)
        chunk = Chunk(f"{name}#{at}-{at + 1}", name, text, at, at + 1, (), len(text.split()))
        held.append(Entry(chunk, name, text, "r1", ids[place], np.array(vectors[number]), "md"))
        if at == PER_DOCUMENT - 1 or number == len(vectors) - 1:
            yield name, held
            held = []


def build(backend: str, rows: Rows, folder: Path) -> dict[str, Any]:
    shutil.rmtree(folder, ignore_errors=True)
    with Workspace.create(folder, config_text="") as workspace:
        register = AccessRegister(workspace.database)
        levels = rows.levels.tolist()
        names = [document_of(number) for number in range(len(levels))]
        audiences = [Audience.of(f"level-{level}") for level in range(len(PERCENT))]
        register.assign({name: audiences[level] for name, level in zip(names, levels, strict=True)})
        about = {"status": "ok", "artefact": "r1", "title": "", "format": "md"}
        with workspace.database.begin() as connection:
            workspace.database.upsert(connection, documents, [{"id": name, **about} for name in names])
        ids = [register.intern(audience) for audience in audiences]
        index: Index = index_class(backend)(folder / "index", dimensions=DIMENSIONS)
        started, busy = time.perf_counter(), time.process_time()
        portion: dict[str, list[Entry]] = {}
        for name, held in entries(rows, [ids[level] for level in levels]):
            portion[name] = held
            if len(portion) * PER_DOCUMENT >= COMMIT:
                index.replace(portion)
                portion = {}
        index.replace(portion)
        index.settle()
        return {
            "build_s": time.perf_counter() - started,
            "build_processor_s": time.process_time() - busy,
            "build_peak_mb": peak_mb(),
            "disk_mb": size_mb(folder / "index"),
        }


def search(backend: str, rows: Rows, folder: Path) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    with Workspace.open(folder) as workspace:
        index: Index = index_class(backend)(folder / "index", dimensions=DIMENSIONS)
        retriever = WorkspaceRetriever(workspace, embedder=Given(rows), index=index)
        for percent in PERCENT:
            caller = Caller.of(*(f"level-{level}" for level in range(level_of(percent) + 1)))
            figures |= _asked(retriever, rows, caller, f"at_{percent}_percent", rows.nearest(percent))
        figures["search_peak_mb"] = peak_mb()
        figures |= _updates(backend, index, retriever, rows, folder)
        figures |= _scattered(index, retriever, rows)
    return figures


def _asked(retriever: WorkspaceRetriever, rows: Rows, caller: Caller, name: str, wanted: np.ndarray) -> dict[str, Any]:
    for question in rows.questions[:5]:
        retriever.search(question, caller=caller, k=K)
    seconds, found = [], []
    busy = time.process_time()
    for question in rows.questions:
        started = time.perf_counter()
        trace = retriever.trace(question, caller=caller, k=K)
        seconds.append(time.perf_counter() - started)
        ranked = [one.row for one in trace.considered if one.row.ranks.get("vector", DEPTH + 1) <= DEPTH]
        found.append([chunk_number(row.chunk.id) for row in ranked])
    busy = time.process_time() - busy
    return latencies(seconds, name) | {
        f"processor_ms_{name}": 1000 * busy / len(seconds),
        f"recall_{name}": recall(found, wanted),
    }


def _updates(backend: str, index: Index, retriever: WorkspaceRetriever, rows: Rows, folder: Path) -> dict[str, Any]:
    """A document gets other text: from the call that writes it until a reader that was open before has found it."""
    writer: Index = index_class(backend)(folder / "index", dimensions=DIMENSIONS)
    audience = index.held()[document_of(0)].audience
    shown, revoked = [], []
    for number in range(UPDATES):
        name = document_of(number)
        chunk = Chunk(f"{name}#0-1", name, f"fresh{number}x news", 0, 1, (), 2)
        started = time.perf_counter()
        writer.replace({name: [Entry(chunk, name, chunk.text, "r1", audience, np.array(rows.vectors[number]), "md")]})
        assert index.search_text(f"fresh{number}x", audiences=frozenset({audience}), k=1), "the update is not seen"
        shown.append(time.perf_counter() - started)
    question = rows.questions[0]
    everyone = Caller.of(*(f"level-{level}" for level in range(len(PERCENT))))
    for _ in range(UPDATES):
        best = retriever.search(question, caller=everyone, k=1)[0].chunk.document
        started = time.perf_counter()
        retriever.register.assign({best: NOBODY})
        assert retriever.search(question, caller=everyone, k=1)[0].chunk.document != best, "the revocation is not felt"
        revoked.append(time.perf_counter() - started)
    return {
        "update_to_visible_s": statistics.median(shown),
        "revocation_to_gone_s": statistics.median(revoked),
        "update_peak_mb": peak_mb(),
    }


def _scattered(index: Index, retriever: WorkspaceRetriever, rows: Rows) -> dict[str, Any]:
    """Every document gets an audience of its own, and callers belong to a random share of them."""
    count = len(rows.levels)
    names = [document_of(number) for number in range(UPDATES, count)]  # the first ones were changed above
    drawn = np.random.default_rng(1).random(count)
    groups = {percent: drawn < float(percent) / 100 for percent in SCATTERED}

    def audience(number: int) -> Audience:
        return Audience.of(f"owner-{number}", *(f"scattered-{percent}" for percent in SCATTERED if groups[percent][number]))

    audiences = {document_of(number): audience(number) for number in range(UPDATES, count)}
    retriever.register.assign(audiences)
    ids = _ids(retriever, names)
    started = time.perf_counter()
    index.assign(ids)
    index.settle()
    figures: dict[str, Any] = {"distinct_audiences": len(set(ids.values())), "assign_all_s": time.perf_counter() - started}
    for percent in SCATTERED:
        mask = np.repeat(groups[percent], PER_DOCUMENT)[: len(rows.vectors)]
        mask[: UPDATES * PER_DOCUMENT] = False
        wanted = exact(rows.vectors, rows.question_vectors, mask, k=DEPTH)
        caller = Caller.of(f"scattered-{percent}")
        figures |= _asked(retriever, rows, caller, f"at_{percent}_percent_of_own_audiences", wanted)
    return figures


def _ids(retriever: WorkspaceRetriever, names: Sequence[str]) -> dict[str, int]:
    wanted = set(names)
    with retriever.workspace.database.connect() as connection:
        rows = connection.execute(documents.select()).mappings()
        return {row["id"]: row["audience_id"] for row in rows if row["id"] in wanted}


def latencies(seconds: Sequence[float], name: str) -> dict[str, float]:
    return {f"p{part}_ms_{name}": 1000 * float(np.percentile(seconds, part)) for part in (50, 99)}


def size_mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


STEPS: dict[str, Callable[[str, Rows, Path], dict[str, Any]]] = {"build": build, "search": search}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("backend")
    parser.add_argument("rows", type=Path)
    parser.add_argument("folder", type=Path)
    chosen = parser.parse_args(arguments)
    print(json.dumps(STEPS[chosen.step](chosen.backend, Rows(chosen.rows), chosen.folder)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
