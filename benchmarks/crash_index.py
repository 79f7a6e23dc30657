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
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.crash_work import Reader, settle, start
from benchmarks.harness import ROOT, WORK, Figure, goal, save

TURNS = 1.5  # of a child's rounds of work, after which it is killed at the latest


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


def child(root: Path, seed: int, *, writer: str = "", largest: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "benchmarks.crash_work", str(root), "--seed", str(seed)]
    command += ["--writer", writer, "--largest", str(largest)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    process.stdout.readline()
    return process


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
    chosen = parser.parse_args()
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
