"""Kills what writes a workspace's index at random, and counts what is lost, doubled or seen by halves.

    python -m benchmarks.crash_index [--kills 100] [--seed 0] [--minutes 30]

A child edits, adds, removes and moves documents and syncs, rebuilds, compacts and erases, until it is killed with SIGKILL. Each
time the index is brought up by one `sync` and compared, row by row, with what the files say. Then: torn and empty newest
manifests, a file size limit in place of a full disk, two and four writers at once. A reader searches all the while. Every
round is kept as soon as it is done; a run that was stopped goes on with the next.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, WORK, Figure, goal, save
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
TURNS = 1.5  # of a child's rounds of work, after which it is killed at the latest


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


@dataclass(frozen=True, slots=True)
class Round:
    """One disturbance and what one `sync` made of it."""

    name: str
    lost: int
    """Chunks."""
    doubled: int
    healed: bool
    seconds: float
    """Of that sync."""
    ended: int
    """Turns that a killed child had finished, or writers that ended well."""
    note: str
    searches: int
    refused: int
    """Searches that ended with an error."""
    halves: int
    """Documents of which a search showed two versions, or not all parts."""


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


# --- rounds -------------------------------------------------------------------------------------------------------------


def pace(root: Path, *, seed: int) -> float:
    """Seconds that a child takes for its first turn."""
    process = child(root, seed)
    assert process.stdout is not None
    started = time.perf_counter()
    process.stdout.readline()
    seconds = time.perf_counter() - started
    process.kill()
    process.communicate()
    return seconds


def killed(root: Path, *, after: float, seed: int) -> tuple[int, str]:
    process = child(root, seed)
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    out, _ = process.communicate()
    return out.count("turn"), f"after {after:.2f} s"


def torn(root: Path, *, size: float) -> tuple[int, str]:
    """Cut the newest manifest of the table to a share of its size."""
    newest = max((root / ".groundtune" / "index").rglob("*.manifest"), key=lambda path: path.stat().st_mtime)
    data = newest.read_bytes()
    newest.write_bytes(data[: int(len(data) * size)])
    return 0, newest.name


def limited(root: Path, *, seed: int) -> tuple[int, str]:
    """A writer that may not write large files, and the last line that it left."""
    process = child(root, seed, writer="0/1", largest=24_000)
    _, notes = process.communicate()
    return 0, notes.strip().splitlines()[-1].replace(f"{ROOT}/", "")[:200] if notes.strip() else ""


def together(root: Path, *, writers: int, seed: int) -> tuple[int, str]:
    """Writers at once, and the last words of those that did not end well."""
    processes = [child(root, seed + number, writer=f"{number}/{writers}") for number in range(writers)]
    notes = [process.communicate()[1] for process in processes]
    failed = [note[-300:] for process, note in zip(processes, notes, strict=True) if process.returncode]
    return writers - len(failed), " | ".join(failed)


def plan(root: Path, *, kills: int, seed: int) -> dict[str, Callable[[], tuple[int, str]]]:
    """Each round by its name."""
    seconds = TURNS * pace(root, seed=seed)

    def kill(number: int) -> Callable[[], tuple[int, str]]:
        after = random.Random(f"{seed} {number}").uniform(0, seconds)
        return lambda: killed(root, after=after, seed=seed * 100_000 + number)

    return {
        "torn manifest": lambda: torn(root, size=0.5),
        "empty manifest": lambda: torn(root, size=0.0),
        "full disk": lambda: limited(root, seed=seed + 1),
        "two writers": lambda: together(root, writers=2, seed=seed + 20),
        "four writers": lambda: together(root, writers=4, seed=seed + 40),
        **{f"kill {number}": kill(number) for number in range(kills)},
    }


def measure(folder: Path, *, kills: int, seed: int, minutes: float) -> tuple[list[Round], list[str]]:
    """All rounds that were ever done in `folder`, and the names of those that are missing."""
    root, kept = folder / "workspace", folder / "rounds.jsonl"
    end = time.monotonic() + 60 * minutes
    if not (root / "groundtune.toml").exists():
        start(root)
    settle(root)
    done = [Round(**json.loads(line)) for line in kept.read_text().splitlines()] if kept.exists() else []
    rounds = plan(root, kills=kills, seed=seed)
    for name in [name for name in rounds if name not in {one.name for one in done}]:
        if time.monotonic() > end:
            break
        reader = Reader(root)
        reader.start()
        ended, note = rounds[name]()
        lost, doubled, healed, seconds = settle(root)
        reader.done.set()
        reader.join()
        done.append(Round(name, lost, doubled, healed, seconds, ended, note, reader.searches, reader.broken, reader.halves))
        with kept.open("a") as rows:
            rows.write(json.dumps(asdict(done[-1])) + "\n")
        print(done[-1], file=sys.stderr, flush=True)
    return done, [name for name in rounds if name not in {one.name for one in done}]


def figures_of(done: list[Round], missing: list[str]) -> dict[str, Figure]:
    named = {one.name: one for one in done}
    kills = [one for one in done if one.name.startswith("kill ")]
    seconds = sorted(one.seconds for one in done) or [0.0]

    def ended(name: str) -> int | None:
        return named[name].ended if name in named else None

    return {
        "kills_count": len(kills),
        "rounds_missing": ", ".join(missing),
        "turns_finished_between_kills_count": sum(one.ended for one in kills),
        "not_healed_by_one_sync_count": sum(not one.healed for one in done),
        "lost_chunks_count": sum(one.lost for one in done),
        "doubled_chunks_count": sum(one.doubled for one in done),
        "sync_after_crash_median_seconds": seconds[len(seconds) // 2],
        "sync_after_crash_max_seconds": seconds[-1],
        "two_writers_ended_well_count": ended("two writers"),
        "four_writers_ended_well_count": ended("four writers"),
        "full_disk": f"a limit on file size; the writer said: {named['full disk'].note}" if "full disk" in named else None,
        "searches_meanwhile_count": sum(one.searches for one in done),
        "searches_refused_meanwhile_count": sum(one.refused for one in done),
        "documents_seen_by_halves_count": sum(one.halves for one in done),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no round after so many minutes")
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--writer", default="", help=argparse.SUPPRESS)
    parser.add_argument("--largest", type=int, default=0, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.work:
        if chosen.largest:
            resource.setrlimit(resource.RLIMIT_FSIZE, (chosen.largest, chosen.largest))
        work(chosen.work, chosen.seed, writer=chosen.writer)
        return
    done, missing = measure(WORK / "crash_index", kills=chosen.kills, seed=chosen.seed, minutes=chosen.minutes)
    figures = figures_of(done, missing)
    goals = [
        goal("kills_count", figures["kills_count"], ">=", 100),
        *(
            goal(name, figures[name], "==", 0)
            for name in (
                "lost_chunks_count",
                "doubled_chunks_count",
                "not_healed_by_one_sync_count",
                "documents_seen_by_halves_count",
            )
        ),
        goal("two_writers_ended_well_count", figures["two_writers_ended_well_count"], "==", 2),
        goal("four_writers_ended_well_count", figures["four_writers_ended_well_count"], "==", 4),
    ]
    save("crash_index", figures, goals)


if __name__ == "__main__":
    main()
