"""Kills what writes a workspace's index at random, and counts what is lost, doubled or seen by halves.

    python -m benchmarks.crash_index [--kills 100] [--seed 0]

A child edits, adds, removes and moves documents and syncs, rebuilds, compacts and erases, until it is killed with SIGKILL. Each
time the index is brought up by one `sync` and compared, row by row, with what the files say. Then: torn and empty newest
manifests, a file size limit in place of a full disk, two and four writers at once. A reader searches all the while.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Figure, goal, save
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
TURNS = 2  # of a child's rounds of work, after which it is killed at the latest


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


# --- the child ----------------------------------------------------------------------------------------------------------


def work(root: Path, seed: int, *, writer: str = "") -> None:
    """Write until killed; as a `writer` N/M five times, on its own share of the documents."""
    rng = random.Random(seed)
    embedder = load_embedder("fake:hash")
    first, step = (int(number) for number in (writer or "0/1").split("/"))
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


def child(root: Path, seed: int, *, writer: str = "", largest: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.crash_index", "--work", str(root), "--seed", str(seed)]
    command += ["--writer", writer, "--largest", str(largest)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.readline()
    return process


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


class Tally:
    """Counts over all rounds."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lost = self.doubled = self.rounds = self.unhealed = 0
        self.seconds: list[float] = []

    def settle(self) -> None:
        """One sync, as a person would run next; then every row is compared."""
        self.rounds += 1
        started = time.perf_counter()
        try:
            with Workspace.open(self.root) as workspace:
                sync(workspace, embedder=load_embedder("fake:hash"))
                self.seconds.append(time.perf_counter() - started)
                wanted, found = expected(self.root), held(workspace)
        except GroundtuneError as error:
            print(f"not healed: {error}", file=sys.stderr)
            self.unhealed += 1
            return
        self.lost += sum((wanted - found).values())
        self.doubled += sum((found - wanted).values())


class Reader(threading.Thread):
    """Searches without a pause and looks for documents of which two versions are seen at once."""

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
                versions: dict[str, set[str]] = {}
                for hit in hits:
                    versions.setdefault(hit.chunk.document, set()).update(re.findall(r"version (\d+)", hit.chunk.text))
                self.halves += sum(len(found) > 1 for found in versions.values())


# --- rounds -------------------------------------------------------------------------------------------------------------


def killed(root: Path, tally: Tally, *, kills: int, seed: int) -> int:
    """Kill the child at random; returns how many turns the children finished."""
    rng = random.Random(seed)
    process = child(root, seed)
    assert process.stdout is not None
    started = time.perf_counter()
    process.stdout.readline()
    pace = time.perf_counter() - started
    process.kill()
    process.communicate()
    turns = 0
    for number in range(kills):
        process = child(root, seed * 100_000 + number)
        time.sleep(rng.uniform(0, TURNS * pace))
        process.send_signal(signal.SIGKILL)
        out, _ = process.communicate()
        turns += out.count("turn")
        tally.settle()
    return turns


def torn(root: Path, tally: Tally, *, size: float) -> None:
    """Cut the newest manifest of the table to a share of its size."""
    newest = max((root / ".groundtune" / "index").rglob("*.manifest"), key=lambda path: path.stat().st_mtime)
    data = newest.read_bytes()
    newest.write_bytes(data[: int(len(data) * size)])
    tally.settle()


def limited(root: Path, tally: Tally, *, seed: int) -> str:
    """A writer that may not write large files; returns the last line that it left."""
    process = child(root, seed, writer="0/1", largest=24_000)
    _, notes = process.communicate()
    tally.settle()
    return notes.strip().splitlines()[-1][:200] if notes.strip() else ""


def together(root: Path, tally: Tally, *, writers: int, seed: int) -> int:
    """Writers at once; returns how many ended well."""
    processes = [child(root, seed + number, writer=f"{number}/{writers}") for number in range(writers)]
    ended = []
    for process in processes:
        _, notes = process.communicate()
        if process.returncode:
            print(notes[-500:], file=sys.stderr)
        ended.append(process.returncode == 0)
    tally.settle()
    return sum(ended)


def measure(*, kills: int, seed: int) -> dict[str, Figure]:
    folder = Path(tempfile.mkdtemp(prefix="groundtune-crash-"))
    root = folder / "workspace"
    try:
        start(root)
        tally = Tally(root)
        tally.settle()
        reader = Reader(root)
        reader.start()
        turns = killed(root, tally, kills=kills, seed=seed)
        for size in (0.5, 0.0):
            torn(root, tally, size=size)
        refusal = limited(root, tally, seed=seed + 1)
        two, four = (together(root, tally, writers=number, seed=seed + 10 * number) for number in (2, 4))
        reader.done.set()
        reader.join()
        return {
            "kills_count": kills,
            "turns_finished_between_kills_count": turns,
            "settled_count": tally.rounds,
            "not_healed_by_one_sync_count": tally.unhealed,
            "lost_chunks_count": tally.lost,
            "doubled_chunks_count": tally.doubled,
            "sync_after_crash_median_seconds": sorted(tally.seconds)[len(tally.seconds) // 2],
            "sync_after_crash_max_seconds": max(tally.seconds),
            "two_writers_ended_well_count": two,
            "four_writers_ended_well_count": four,
            "full_disk": f"simulated by a limit on file size; the writer said: {refusal}",
            "searches_meanwhile_count": reader.searches,
            "searches_refused_meanwhile_count": reader.broken,
            "documents_seen_in_two_versions_count": reader.halves,
        }
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--writer", default="", help=argparse.SUPPRESS)
    parser.add_argument("--largest", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        if chosen.largest:
            resource.setrlimit(resource.RLIMIT_FSIZE, (chosen.largest, chosen.largest))
        work(chosen.work, chosen.seed, writer=chosen.writer)
        return
    figures = measure(kills=chosen.kills, seed=chosen.seed)
    goals = [
        goal("kills_count", figures["kills_count"], ">=", 100),
        *(
            goal(name, figures[name], "==", 0)
            for name in (
                "lost_chunks_count",
                "doubled_chunks_count",
                "not_healed_by_one_sync_count",
                "documents_seen_in_two_versions_count",
            )
        ),
        goal("two_writers_ended_well_count", figures["two_writers_ended_well_count"], "==", 2),
        goal("four_writers_ended_well_count", figures["four_writers_ended_well_count"], "==", 4),
    ]
    save("crash_index", figures, goals)


if __name__ == "__main__":
    main()
