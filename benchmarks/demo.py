"""Runs the demo as a new user would and times each step. Knows the workspace of the generated company, not how races are run.

python -m benchmarks.demo                  # the race, the same from the store, and once more from nothing
python -m benchmarks.demo --against DIR    # instead of the last: compare with what `make demo` left in DIR
python -m benchmarks.demo --once           # without the last, which takes as long as the first
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import groundtune
from benchmarks.figures import STANDARD, announce, figures_of, race_goals
from benchmarks.harness import WORK, Figure, Goal, goal, save
from groundtune.cli import progress

FRESH_QUESTION = "Up to which value may gifts be kept?"
SECRET = "What is the project called that moves part of the works, and what does it cost?"
"""Answered by documents of the management only."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--once", action="store_true", help="leave out the second race from nothing")
    parser.add_argument(
        "--against", type=Path, metavar="DIR", help="a workspace in which the same demo was decided from nothing"
    )
    parser.add_argument("--name", default="demo", help="name of the results file")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    options = parser.parse_args(arguments)

    work = WORK / options.name
    shutil.rmtree(work, ignore_errors=True)
    minutes: dict[str, float] = {}
    first, report = race(work / "first", model=options.model, minutes=minutes)
    with timed(minutes, "minutes_repeat_from_store"):
        stored = decide(first)
    results = answers_of(first, report)
    figures: dict[str, Figure] = {
        **figures_of(report),
        **{key: value for key, value in minutes.items() if key != "minutes_repeat_from_store"},
        "minutes_total": minutes["minutes_init"] + minutes["minutes_sync"] + minutes["minutes_decide"],
        "minutes_repeat_from_store": minutes["minutes_repeat_from_store"],
        **contents(first),
        "same_results_from_store": answers_of(first, stored) == results and stored["decision"] == report["decision"],
        "ask_fresh_process_s": fresh_answer_seconds(first),
        **leaks(first),
    }
    if not options.once:
        again = options.against or race(work / "again", model=options.model, minutes={})[0]
        second = json.loads((again / "report.json").read_text(encoding="utf-8"))
        figures["same_results_from_nothing"] = answers_of(again, second) == results and second["decision"] == report["decision"]
    save(options.name, figures, goals_of(report, figures))


def race(folder: Path, *, model: str, minutes: dict[str, float]) -> tuple[Path, dict[str, Any]]:
    """A new workspace, synced and decided; `minutes` gets one entry a step."""
    with timed(minutes, "minutes_init"):
        groundtune.init(folder, demo=True, model=model)
    with timed(minutes, "minutes_sync"):
        groundtune.sync(folder)
    with timed(minutes, "minutes_decide"):
        report = decide(folder)
    return folder, report


def decide(folder: Path) -> dict[str, Any]:
    with progress.shown(as_json=False) as show:
        report: dict[str, Any] | None = groundtune.decide(folder, announce=announce, progress=show).report
    assert report is not None  # only a plan has none
    return report


@contextmanager
def timed(minutes: dict[str, float], key: str) -> Iterator[None]:
    started = time.monotonic()
    yield
    minutes[key] = (time.monotonic() - started) / 60


def answers_of(folder: Path, report: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Every answer with its scores, in a comparable form; times are measurements and are not compared."""
    lines = (folder / report["scores"]).read_text(encoding="utf-8").splitlines()
    scores = [json.loads(line) for line in lines]
    return sorted((one["candidate"], one["item"], one["answer"], sorted(one["metrics"].items())) for one in scores)


def contents(folder: Path) -> dict[str, Figure]:
    """What the demo consists of."""
    kinds = Counter(path.suffix for path in (folder / "documents").rglob("*") if path.is_file())
    return {f"documents_{suffix.removeprefix('.')}_count": kinds[suffix] for suffix in sorted(kinds)}


def fresh_answer_seconds(folder: Path) -> float:
    """Wall seconds of `groundtune ask` as a new process, start to end."""
    program = Path(sys.executable).with_name("groundtune")
    started = time.monotonic()
    subprocess.run(
        [program, "ask", FRESH_QUESTION, "--workspace", folder, "--as", "staff"],
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=600,
    )
    return time.monotonic() - started


def leaks(folder: Path) -> dict[str, Figure]:
    """Passages of the management's documents found by staff, and by the management, which has some to find."""

    def found(*principals: str) -> int:
        hits = groundtune.search(SECRET, root=folder, principals=list(principals), k=10)
        return sum(hit.chunk.document.startswith("management/") for hit in hits)

    return {
        "management_hits_for_staff_count": found("staff"),
        "management_hits_for_management_count": found("staff", "management"),
    }


def goals_of(report: Mapping[str, Any], figures: Mapping[str, Figure]) -> list[Goal]:
    """What the demo promises."""
    kinds = {key: value for key, value in figures.items() if key.startswith("documents_") and key != "documents_count"}
    return [
        *race_goals(report, expected=STANDARD),
        goal("minutes_total", figures["minutes_total"], "<=", 20),
        goal("documents_count", figures["documents_count"], ">=", 60),
        goal("formats_count", len(kinds), ">=", 6),
        goal("questions_count", figures["questions_count"], ">=", 300),
        goal("ask_fresh_process_s", figures["ask_fresh_process_s"], "<=", 15),
        goal("management_hits_for_staff_count", figures["management_hits_for_staff_count"], "==", 0),
        goal("management_hits_for_management_count", figures["management_hits_for_management_count"], ">=", 1),
        goal("same_results_from_store", figures["same_results_from_store"], "==", True),
        goal("same_results_from_nothing", figures.get("same_results_from_nothing"), "==", True),
    ]


if __name__ == "__main__":
    main()
