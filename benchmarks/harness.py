"""Where benchmark data lie, how figures are kept and put on pages. Knows files and this machine, not what is measured."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from groundtune.config import FILE_NAME, default_config_text
from groundtune.errors import NotFound

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
WORK = ROOT / "out" / "benchmarks"
"""Converted questions and workspaces; ignored by git."""

Figure = float | int | str | bool | None
"""A flat value; None where a figure could not be taken."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that was promised, kept whether it was met or not."""

    name: str
    """Key of the figure, with its unit."""
    figure: Figure
    """What was measured; None counts as not met."""
    target: str
    met: bool


def goal(name: str, figure: Figure, relation: Literal["<=", ">=", "=="], target: Figure) -> Goal:
    """Compare a figure with its target. A figure that is None, or text where a number is wanted, is not met."""
    number, limit = _number(figure), _number(target)
    if relation == "==":
        met = figure is not None and figure == target
    elif number is None or limit is None:
        met = False
    else:
        met = number <= limit if relation == "<=" else number >= limit
    return Goal(name, figure, f"{relation} {target}", met)


def data_folder(name: str) -> Path:
    """A data set's folder below $GROUNDTUNE_DATA (default: ../shared/data beside the repository).

    Raises NotFound when it is absent, naming both the place and the variable.
    """
    base = Path(os.environ.get("GROUNDTUNE_DATA") or ROOT.parent / "shared" / "data")
    folder = base / name
    if not folder.is_dir():
        raise NotFound(
            "this data set is not here.",
            subject=str(folder),
            remedy="Set GROUNDTUNE_DATA to the folder that holds it; data are read in place, never copied.",
        )
    return folder


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines, in place of what was there; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def save(name: str, figures: Mapping[str, Figure], goals: Sequence[Goal], *, folder: Path = RESULTS) -> Path:
    """Write `folder/NAME.json` and print the same as a table; returns the path.

    The file holds every figure flat, with `commit`, `machine`, `date` and `goals`. Raises ValueError for a nested, infinite or
    reserved figure: such a file could not be quoted.
    """
    reserved = {"commit", "machine", "date", "goals"} & figures.keys()
    if reserved:
        raise ValueError(f"{name}: {sorted(reserved)} are written by save and cannot be figures")
    for key, value in figures.items():
        if not isinstance(value, Figure) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{name}: {key} is {value!r}; a figure is a finite number, text, true, false or None")
    record = {
        **{key: round(value, 6) if isinstance(value, float) else value for key, value in figures.items()},
        "commit": commit(),
        "machine": machine(),
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "goals": [asdict(one) for one in goals],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(name, figures, goals))
    print(f"written: {path}")
    return path


def table(name: str, figures: Mapping[str, Figure], goals: Sequence[Goal]) -> str:
    """Figures, then goals, in aligned columns."""
    rows = [(key, _shown(value)) for key, value in figures.items()]
    goal_rows = [(one.name, _shown(one.figure), one.target, "met" if one.met else "NOT MET") for one in goals]
    parts = [name, _aligned(rows)]
    if goal_rows:
        parts += ["", _aligned([("goal", "figure", "target", ""), *goal_rows])]
    return "\n".join(parts)


def put_between(begin: str, end: str, text: str, path: Path) -> None:
    """Put `text` between two marks of a page, in place of what stands there."""
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def commit() -> str:
    """The checked-out commit, with `+changes` when tracked files differ from it; `unknown` outside git."""
    head = _git("rev-parse", "--short=12", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!benchmarks/results")
    return f"{head}+changes" if head and changed else head or "unknown"


def machine() -> str:
    """Processor, cores that this process may use, memory and system, in one line."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0] if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    return f"{model}, {cores} cores{memory}, {platform.system()}, Python {platform.python_version()}"


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _number(value: Figure) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _shown(value: Figure) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def write_settings(root: Path, *, documents: Path | None, questions: Path, settings: Mapping[str, str]) -> Path:
    """Make `root` a workspace of the one principal `local`, once; `settings` maps a table such as `[chunking]` to its lines."""
    text = default_config_text(
        documents=str(documents.resolve()) if documents else "", questions=str(questions.resolve()), single=True
    )
    for table, lines in settings.items():
        text = text.replace(f"{table}\n", f"{table}\n{lines}\n")
    path = root / FILE_NAME
    if not path.exists():
        root.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return path
