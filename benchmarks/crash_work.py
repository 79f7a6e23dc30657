"""What the crash benchmark kills, and what must hold of it afterwards. Knows a workspace of things; kills nothing itself.

    python -m benchmarks.crash_work FOLDER --seed 0 [--writer 0/2] [--largest BYTES]

writes that workspace until it is killed.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import sys
import threading
import time
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from groundtune.answer.retrieval import WorkspaceRetriever
from groundtune.errors import GroundtuneError, WorkspaceError
from groundtune.index.versions import IndexVersions
from groundtune.ingest.chunk import chunk
from groundtune.ingest.erase import compact, erase
from groundtune.ingest.sync import rebuild, sync
from groundtune.models import load_embedder
from groundtune.store.workspace import Workspace
from groundtune.types import Caller, Document

CONFIG = 'embedder = "fake:hash"\n[access]\nrules = [{match = "**", read = ["everyone"]}]\n[chunking]\ntokens = 24\n'
DOCUMENTS = 24
SECTIONS = 5


# --- documents ----------------------------------------------------------------------------------------------------------


def body(number: int, version: int) -> str:
    parts = [
        f"## Part {part}\n\nThing {number} in version {version} has part {part}, made of wood." for part in range(SECTIONS)
    ]
    return f"# Thing {number}\n\n" + "\n\n".join(parts) + "\n"


def start(root: Path) -> None:
    (root / "documents").mkdir(parents=True)
    for number in range(DOCUMENTS):
        (root / "documents" / f"thing{number}.md").write_text(body(number, 0))
    (root / "groundtune.toml").write_text(CONFIG)


def disturb(root: Path, rng: random.Random, version: int, *, own: range = range(DOCUMENTS)) -> None:
    """Change, add, remove and move a few of the documents."""
    for number in rng.sample(own, k=min(4, len(own))):
        here, there = root / "documents" / f"thing{number}.md", root / "documents" / "moved" / f"thing{number}.md"
        there.parent.mkdir(exist_ok=True)
        present = next((path for path in (here, there) if path.exists()), None)
        action = rng.choice(("edit", "edit", "remove", "move"))
        if present is None or action == "edit":
            (present or here).write_text(body(number, version))
        elif action == "remove" and number % 4:  # some always stay
            present.unlink()
        elif action == "move":
            present.rename(there if present == here else here)


# --- writing ------------------------------------------------------------------------------------------------------------


def work(root: Path, seed: int, *, writer: str = "") -> None:
    """Write until killed; as a `writer` N/M five times, on its own share of the documents."""
    rng = random.Random(seed)
    embedder = load_embedder("fake:hash")
    first, step = (int(number) for number in (writer or "0/1").split("/"))
    import_module("lancedb")  # the kills are meant for the work
    print("ready", flush=True)
    for turn in range(5 if writer else sys.maxsize):
        disturb(root, rng, seed * 1000 + turn, own=range(first, DOCUMENTS, step))
        while True:
            try:
                with Workspace.open(root) as workspace:
                    sync(workspace, embedder=embedder)
                    if not writer:
                        other = rng.choice(("nothing", "rebuild", "compact", "erase"))
                        if other == "rebuild":
                            rebuild(workspace, embedder=embedder)
                        elif other == "compact":
                            compact(workspace, embedder=embedder)
                        elif other == "erase":
                            _erase_one(workspace, root, rng, embedder)
                break
            except WorkspaceError as error:
                if "is being written" not in error.message:
                    raise
                time.sleep(0.02)
        print("turn", flush=True)


def _erase_one(workspace: Workspace, root: Path, rng: random.Random, embedder: Any) -> None:
    present = sorted((root / "documents").rglob("*.md"))
    victim = rng.choice(present[1:])
    victim.unlink()
    erase(workspace, [victim.relative_to(root / "documents").as_posix()], embedder=embedder)


# --- what the index says and what it should -----------------------------------------------------------------------------


def expected(root: Path) -> Counter[tuple[str, int, int, str]]:
    embedder = load_embedder("fake:hash")
    rows: Counter[tuple[str, int, int, str]] = Counter()
    for path in (root / "documents").rglob("*.md"):
        name = path.relative_to(root / "documents").as_posix()
        for one in chunk(Document(name, "", path.read_text(), ""), tokens=24, count_tokens=embedder.count_tokens):
            rows[(name, one.start, one.end, one.text)] += 1
    return rows


def held(workspace: Workspace) -> Counter[tuple[str, int, int, str]]:
    versions = IndexVersions(workspace.state / "index", database=workspace.database)
    index: Any = versions.open(versions.current())
    table = index._table.to_arrow().select(["document", "start", "end", "text"]).to_pylist()
    return Counter((row["document"], row["start"], row["end"], row["text"]) for row in table)


def settle(root: Path) -> tuple[int, int, bool, float]:
    """One sync, as a person would run next; then every row is compared: lost, doubled, healed, seconds."""
    started = time.perf_counter()
    try:
        with Workspace.open(root) as workspace:
            sync(workspace, embedder=load_embedder("fake:hash"))
            seconds = time.perf_counter() - started
            wanted, found = expected(root), held(workspace)
    except GroundtuneError as error:
        print(f"not healed: {error}", file=sys.stderr)
        return 0, 0, False, time.perf_counter() - started
    return sum((wanted - found).values()), sum((found - wanted).values()), True, seconds


class Reader(threading.Thread):
    """Searches all the while and looks for documents that are seen in two versions, or in part."""

    def __init__(self, root: Path) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.done = threading.Event()
        self.searches = self.halves = self.broken = 0

    def run(self) -> None:
        embedder = load_embedder("fake:hash")
        with Workspace.open(self.root) as workspace:
            retriever = WorkspaceRetriever(workspace, embedder=embedder)
            while not self.done.is_set():
                try:
                    hits = retriever.search("thing version part wood", caller=Caller.of(), k=200)
                except GroundtuneError:
                    self.broken += 1
                    continue
                self.searches += 1
                seen: dict[str, tuple[set[str], set[str]]] = {}
                for hit in hits:
                    versions, parts = seen.setdefault(hit.chunk.document, (set(), set()))
                    versions.update(re.findall(r"in version (\d+)", hit.chunk.text))
                    parts.update(re.findall(r"has part (\d+)", hit.chunk.text))
                self.done.wait(0.02)  # the writer is to get on
                self.halves += sum(len(versions) > 1 or len(parts) < SECTIONS for versions, parts in seen.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--writer", default="", help="share of the documents; ends after five turns")
    parser.add_argument("--largest", type=int, default=0, help="bytes of the largest file that may be written")
    chosen = parser.parse_args()
    if chosen.largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (chosen.largest, chosen.largest))
    work(chosen.folder, chosen.seed, writer=chosen.writer)


if __name__ == "__main__":
    main()
