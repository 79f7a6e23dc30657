"""One ranking of one collection by one system, kept as soon as it is made. Knows what a ranking depends on; scores nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks import retrieval_systems as systems
from benchmarks.harness import ROOT
from benchmarks.retrieval_data import FOLDER, Collection
from benchmarks.retrieval_systems import Hits, Settings
from groundtune.interfaces import Embedder
from groundtune.store.stages import digest
from groundtune.types import Document

OWN = ("groundtune", "bm25", "dense", "rrf")
FRAMEWORKS = ("llamaindex", "langchain", "haystack", "txtai", "txtai_hybrid")

_OF_PRODUCT = ("groundtune/answer", "groundtune/config/tree.py", "groundtune/index", "groundtune/ingest")
_OF_OTHERS = ("benchmarks/frameworks_child.py", "groundtune/ingest/chunk.py", "groundtune/ingest/blocks.py")
"""Sources that a ranking depends on, beside its settings."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A system and the collection that it ranks."""

    collection: str
    system: str
    settings: Settings
    """Of Groundtune, beyond its defaults."""

    @property
    def path(self) -> Path:
        return FOLDER / "cells" / f"{self.collection}.{self.system}.json"


class Bench:
    """Makes cells, and reads those that were made. Documents are read once a collection."""

    def __init__(self, collections: Mapping[str, Callable[[], Collection]], embedder: Embedder, python: Path) -> None:
        self._make, self._embedder, self._python = collections, embedder, python
        self._collections: dict[str, Collection] = {}
        self._texts: dict[str, list[Document]] = {}
        self._pieces: dict[str, list[systems.Piece]] = {}

    def collection(self, name: str) -> Collection:
        if name not in self._collections:
            self._collections[name] = self._make[name]()
        return self._collections[name]

    def texts(self, name: str) -> list[Document]:
        """As Groundtune reads them."""
        if name not in self._texts:
            with systems.workspace_of(self.collection(name), self._embedder, {}) as workspace:
                self._texts[name] = systems.texts_of(workspace)
        return self._texts[name]

    def kept(self, cell: Cell) -> Hits | None:
        """What was made before with the same inputs; None otherwise."""
        if not cell.path.exists():
            return None
        row = json.loads(cell.path.read_text(encoding="utf-8"))
        if row["key"] != self._key(cell):
            return None
        return {id: [(document, start, end) for document, start, end in hits] for id, hits in row["hits"].items()}

    def hits(self, cell: Cell) -> Hits:
        """What was made before with the same inputs, or is made now."""
        kept = self.kept(cell)
        if kept is not None:
            return kept
        started = time.monotonic()
        made = self._ranked(cell)
        row = {"key": self._key(cell), "seconds": time.monotonic() - started, "hits": made}
        cell.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = cell.path.with_suffix(".part")
        unfinished.write_text(json.dumps(row, ensure_ascii=False), encoding="utf-8")
        unfinished.replace(cell.path)
        return made

    def _ranked(self, cell: Cell) -> Hits:
        collection, system = self.collection(cell.collection), cell.system
        if system in FRAMEWORKS:
            return systems.framework(system, collection, self.texts(cell.collection), self._embedder, self._python)
        if system in ("bm25", "dense", "rrf"):
            return self._built_here(cell)
        with systems.workspace_of(collection, self._embedder, cell.settings) as workspace:
            return systems.groundtune(collection, workspace, self._embedder, alone=system == "groundtune_alone")

    def _built_here(self, cell: Cell) -> Hits:
        collection, pieces = self.collection(cell.collection), self._pieces_of(cell.collection)
        found = []
        if cell.system != "dense":
            found.append(systems.bm25(collection, pieces, self._embedder, self._python))
        if cell.system != "bm25":
            found.append(systems.dense(collection, pieces, self._embedder))
        return systems.placed(systems.first_rrf(found) if len(found) > 1 else found[0], pieces)

    def _pieces_of(self, name: str) -> list[systems.Piece]:
        if name not in self._pieces:
            self._pieces[name] = systems.pieces_of(self.texts(name), self._embedder)
        return self._pieces[name]

    def _key(self, cell: Cell) -> str:
        collection = self.collection(cell.collection)
        asked = [[one.id, one.text, list(one.earlier)] for one in collection.questions]
        files = {
            path.relative_to(collection.documents).as_posix(): path.stat().st_size for path in _files(collection.documents)
        }
        code = _code(_OF_PRODUCT if cell.system.startswith("groundtune") else _OF_OTHERS)
        asked_of = systems.ASKED[collection.unit]
        own = [cell.system, dict(cell.settings), asked_of, systems.CHUNK_TOKENS, self._embedder.fingerprint, code]
        return digest([own, asked, sorted(files.items())])


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@cache
def _code(names: Sequence[str]) -> str:
    """Digest of these sources; a folder stands for all in it."""
    places = [ROOT / name for name in names]
    sources = [path for place in places for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    return digest([path.read_text(encoding="utf-8") for path in sources])
