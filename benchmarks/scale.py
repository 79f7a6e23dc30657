"""Speed and recall as a collection grows: indexing against the bare embedder, searches at 100,000 and 1,000,000 chunks.

    python -m benchmarks.scale --sizes 5000 --questions 20 --name scale_reduced
    python -m benchmarks.scale --frameworks /path/to/other/venv/bin/python     # goes on where it stopped

Indexing is measured on the handbook with the embedded model: a sync against the embedder alone on the same texts. The
searches go through the retriever that `search` opens, with both of its stages, over synthetic chunks in clusters with given
vectors; callers may read 100, 10, 1 and 0.1 % of them. Every size runs in processes of its own, and every part that ended is
kept. Times are only as quiet as the machine: processor times stand beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, ROOT, WORK, Figure, Goal, data_folder, goal, save, write_settings
from benchmarks.scale_rows import PERCENT, made
from groundtune.errors import NotFound
from groundtune.ingest.embedding import embed
from groundtune.ingest.sync import sync
from groundtune.models import load_embedder
from groundtune.store.tables import documents
from groundtune.store.workspace import Workspace

SIZES = (100_000, 1_000_000)
BACKENDS = {"lance": 10**9, "sqlite": 1_000_000}
"""Backend -> chunks up to which it is measured."""
FRAMEWORKS = {"llamaindex": 200_000, "txtai": 10**9}
FRAMEWORK_QUESTIONS = 20
"""LlamaIndex compares in Python, seconds a question."""
RECALL, INDEXING = 0.98, 1.2


def indexing(folder: Path, *, pages: int, repeats: int) -> dict[str, float]:
    """A sync of handbook pages against the bare embedder on the very texts that it embedded; seconds are of the wall clock."""
    taken: dict[str, list[float]] = {"sync": [], "embedder": [], "sync_processor": [], "embedder_processor": []}
    chunks = 0
    embedder = load_embedder("embedded:minilm")
    embedder.embed(["Warm."])

    def timed(name: str, work: Callable[[], object]) -> None:
        started, busy = time.perf_counter(), processor_s()
        work()
        taken[name].append(time.perf_counter() - started)
        taken[f"{name}_processor"].append(processor_s() - busy)

    for number in range(repeats):
        root = folder / f"indexing-{number}"
        shutil.rmtree(root, ignore_errors=True)
        (root / "documents").mkdir(parents=True)
        handbook = data_folder("kb_gitlab_handbook")
        for path in sorted(handbook.rglob("*.md"))[:pages]:
            shutil.copy(path, root / "documents" / "-".join(path.relative_to(handbook).parts))  # many are called index.md
        write_settings(root, documents=root / "documents", questions=root / "questions.jsonl", settings={})
        with Workspace.open(root) as workspace:
            timed("sync", lambda: sync(workspace, embedder=embedder))
            with workspace.database.connect() as connection:
                rows = [dict(row) for row in connection.execute(documents.select()).mappings()]
            kept = embed(workspace, rows, embedder=embedder, writer=None, progress=lambda *_: None)
        texts = [one.text for parts in kept.values() for one in parts]
        chunks = len(texts)
        timed("embedder", partial(embedder.embed, texts))
    least = {name: min(values) for name, values in taken.items()}
    return {
        "indexing_repeats": repeats,
        "indexing_pages": pages,
        "indexing_chunks": chunks,
        "indexing_sync_s": least["sync"],
        "indexing_embedder_s": least["embedder"],
        "indexing_sync_processor_s": least["sync_processor"],
        "indexing_embedder_processor_s": least["embedder_processor"],
        "indexing_ratio": least["sync"] / least["embedder"],
        "indexing_processor_ratio": least["sync_processor"] / least["embedder_processor"],
    }


def processor_s() -> float:
    """Processor seconds of this process and of the children that ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def searching(backend: str, size: int, folder: Path, *, questions: int) -> dict[str, Any]:
    rows = made(folder / f"rows-{size}-{questions}", chunks=size, questions=questions).folder
    place = folder / f"{backend}-{size}"
    figures: dict[str, Any] = {}
    for step in ("build", "search"):
        command = [sys.executable, "-m", "benchmarks.scale_child", step, backend, str(rows), str(place)]
        figures |= _last_line(command)
    shutil.rmtree(place)
    return figures


def framework(name: str, size: int, folder: Path, *, questions: int, python: Path) -> dict[str, Any]:
    rows = made(folder / f"rows-{size}-{questions}", chunks=size, questions=questions).folder
    place = folder / f"{name}-{size}"
    script = str(ROOT / "benchmarks" / "scale_frameworks.py")
    figures = _last_line([str(python), script, name, str(rows), str(place), str(min(FRAMEWORK_QUESTIONS, questions))])
    shutil.rmtree(place)
    return figures


def _last_line(command: Sequence[str]) -> dict[str, Any]:
    """What the child printed last. Raises CalledProcessError with its errors on the screen."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def short(size: int) -> str:
    return f"{size // 1_000_000}m" if size >= 1_000_000 else f"{size // 1_000}k"


def summary(
    kept: Mapping[str, Mapping[str, Any]], *, sizes: Sequence[int], missing: Mapping[str, str]
) -> tuple[dict[str, Figure], list[Goal]]:
    """Flat figures of the parts that ended, ratios to the frameworks, and the goals. `missing`: part -> why it was not run."""
    figures: dict[str, Figure] = dict(kept.get("indexing", {}))
    goals = [goal(name, figures.get(name), "<=", INDEXING) for name in ("indexing_ratio", "indexing_processor_ratio")]
    for part, values in kept.items():
        if part != "indexing":
            figures |= {f"{part}_{name}": value for name, value in values.items()}
    for size in sizes:
        for percent in PERCENT:
            key = f"lance_{short(size)}_recall_at_{percent}_percent"
            goals.append(goal(key, figures.get(key), ">=", RECALL))
            ours = figures.get(f"lance_{short(size)}_p50_ms_at_{percent}_percent")
            for name in FRAMEWORKS:
                theirs = figures.get(f"{name}_{short(size)}_p50_ms_at_{percent}_percent")
                if isinstance(ours, float) and isinstance(theirs, float):
                    figures[f"{name}_{short(size)}_p50_in_times_of_lance_at_{percent}_percent"] = theirs / ours
    figures["missing"] = "; ".join(f"{part}: {why}" for part, why in missing.items())
    return figures, goals


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--pages", type=int, default=50, help="of the handbook, for the indexing part")
    parser.add_argument("--repeats", type=int, default=2, help="of the indexing part; the least of each time counts")
    parser.add_argument(
        "--parts", nargs="+", help="run only these now, such as indexing or lance_100k; others are kept as they are"
    )
    parser.add_argument("--frameworks", type=Path, help="python of an environment that holds llama-index-core and txtai")
    parser.add_argument("--name", default="scale", help="of the results")
    parser.add_argument("--work", type=Path, default=WORK / "scale")
    parser.add_argument("--folder", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    file = chosen.work / f"{chosen.name}.parts.json"
    kept: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    missing: dict[str, str] = {}

    def part(name: str, work: Callable[[], dict[str, Any]]) -> None:
        if name in kept:
            return
        if chosen.parts and name not in chosen.parts:
            missing[name] = "not run yet (--parts)"
            return
        try:
            kept[name] = work()
        except (NotFound, subprocess.CalledProcessError) as error:
            missing[name] = str(error).splitlines()[0]
            return
        file.write_text(json.dumps(kept, indent=1), encoding="utf-8")
        print(name, json.dumps(kept[name]), flush=True)

    part("indexing", lambda: indexing(chosen.work, pages=chosen.pages, repeats=chosen.repeats))
    asked = chosen.questions
    for size in sorted(chosen.sizes):
        for backend, largest in BACKENDS.items():
            if size <= largest:
                part(f"{backend}_{short(size)}", lambda b=backend, s=size: searching(b, s, chosen.work, questions=asked))
        for name, largest in FRAMEWORKS.items():
            if size > largest:
                missing[f"{name}_{short(size)}"] = "does not reach this size"
            elif chosen.frameworks is None:
                missing[f"{name}_{short(size)}"] = "not asked for (--frameworks)"
            else:
                part(
                    f"{name}_{short(size)}",
                    lambda n=name, s=size: framework(n, s, chosen.work, questions=asked, python=chosen.frameworks),
                )
    save(chosen.name, *summary(kept, sizes=sorted(chosen.sizes), missing=missing), folder=chosen.folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
