"""The standings and the costs as Markdown tables and drawings, from the kept figures. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.deciding.cost import SIZES as RACED
from benchmarks.deciding.cost_figures import GROUPS, SHARE, size
from benchmarks.deciding.figures import AT, slug
from benchmarks.deciding.replay import SIZES
from benchmarks.deciding.situations import SITUATIONS
from benchmarks.deciding.standings import OURS
from benchmarks.deciding.tasks import TUNED, UNTUNED
from benchmarks.harness import ROOT, Figure, put_between

PAGE, FRONT = ROOT / "docs" / "deciding.md", ROOT / "README.md"
DRAWN = ROOT / "docs" / "figures"
BEGIN, END = "<!-- table: written by python -m benchmarks.deciding --report -->", "<!-- end of table -->"
COST_BEGIN, COST_END = BEGIN.replace("table", "costs", 1), END.replace("table", "costs", 1)

RULES = (
    OURS, "highest mean", "always prompt", "always rag", "always tuned", "always both", "best fixed elsewhere",
    "documents -> both, else tune", "depth-2 tree", "questionnaire alone", "probes alone", "random",
)  # fmt: skip
LABELS = {OURS: "**Groundtune's verdict**", "always both": "always rag + tuned"}


DRAWINGS = {
    "deciding_regret.svg": "Mean regret of every rule against the number of questions that the decision sees",
    "deciding_tasks.svg": "Mean score of every candidate on every task",
}
COST_DRAWING = "deciding_cost.svg"


def table(figures: Mapping[str, Figure], n: int = AT) -> str:
    """Rules by regret at n items."""
    count = figures.get(f"tasks_count_{n}", 0)
    lines = [
        f"| rule, {n} questions, {count} tasks | mean regret, points | 95th percentile | within 2 points of the best |",
        "|---|---|---|---|",
    ]
    for rule in RULES:
        keys = (
            f"regret_mean_points_{slug(rule)}_{n}",
            f"regret_p95_points_{slug(rule)}_{n}",
            f"optimal_share_{slug(rule)}_{n}",
        )
        mean, worst, share = (figures.get(key) for key in keys)
        if isinstance(mean, float) and isinstance(worst, float) and isinstance(share, float):
            lines.append(f"| {LABELS.get(rule, rule)} | {mean:.1f} | {worst:.1f} | {100 * share:.0f} % |")
    return "\n".join(lines)


def cost_table(figures: Mapping[str, Figure]) -> str:
    """The frugal race against the exhaustive one, all tasks and those with and without tuning at the top."""
    lines = [
        "| questions | tasks | same outcome | core-minutes, median share | most | full trainings avoided | answers avoided |",
        "|---|---|---|---|---|---|---|",
    ]
    keys = ("agreement_share", "work_share", "work_share_worst", "trainings_avoided_share", "answers_avoided_share")
    for n in RACED:
        for ending, about in GROUPS.items():
            shares = [figures.get(f"{key}{ending}_{size(n)}") for key in keys]
            if all(isinstance(share, int | float) for share in shares):
                shown = " | ".join(f"{100 * float(share or 0):.0f} %" for share in shares)
                lines.append(f"| {size(n)} | {figures[f'tasks_count{ending}_{size(n)}']} {about} | {shown} |")
    return "\n".join(lines)


def write_page(figures: Mapping[str, Figure], path: Path, *, drawn: str = "figures") -> None:
    """Put the table and the drawings in their place on a page, from which `drawn` is the drawings' folder."""
    shown = "\n\n".join(f"![{about}]({drawn}/{name})" for name, about in DRAWINGS.items())
    put_between(BEGIN, END, f"{table(figures)}{_left_out(figures)}\n\n{shown}", path)


def write_costs(figures: Mapping[str, Figure], path: Path) -> None:
    """The same for the costs."""
    shown = f"![What the frugal race takes of the exhaustive one, task by task](figures/{COST_DRAWING})"
    put_between(COST_BEGIN, COST_END, f"{cost_table(figures)}{_left_out(figures)}\n\n{shown}", path)


def _left_out(figures: Mapping[str, Figure]) -> str:
    missing = [one.partition(":")[0] for one in str(figures.get("tasks_missing") or "").split("; ")]
    return f"\n\nNot complete yet, and left out: {', '.join(missing)}." if any(missing) else ""


def draw_regrets(figures: Mapping[str, Figure], path: Path) -> None:
    """Mean regret of every rule against the number of questions."""
    plt = _plotting()
    drawn, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    shown: set[int] = set()
    for number, rule in enumerate(RULES):
        found = {n: figures.get(f"regret_mean_points_{slug(rule)}_{n}") for n in SIZES}
        there = [n for n in SIZES if found[n] is not None]
        if there:
            look = {"color": "black", "linewidth": 2.5} if rule == OURS else {"color": f"C{number % 10}", "linewidth": 1}
            line = "--" if rule == "highest mean" else "-"
            marker = "osD^v<>pPX*h"[number]
            axis.plot(there, [found[n] for n in there], line, marker=marker, markersize=5, label=rule, **look)
            shown.update(there)
    axis.set_xscale("log")
    axis.set_xticks(sorted(shown), [str(n) for n in sorted(shown)])
    axis.minorticks_off()
    axis.set_xlabel("questions that the decision sees")
    axis.set_ylabel("mean regret, points of the metric")
    axis.set_ylim(bottom=0)
    if axis.lines:
        drawn.legend(loc="outside right upper", frameon=False)
    _save(plt, drawn, path)


def draw_scores(figures: Mapping[str, Figure], path: Path) -> None:
    """Every candidate's score on every task that is complete."""
    plt = _plotting()
    names = [name for name in SITUATIONS if f"best_{name}" in figures]
    drawn, axis = plt.subplots(figsize=(7, 0.9 + 0.32 * max(1, len(names))), layout="constrained")
    for number, candidate in enumerate((*UNTUNED, *TUNED)):
        there = [(figures[key], place) for place, name in enumerate(names) if (key := f"score_{name}_{candidate}") in figures]
        axis.scatter([x for x, _ in there], [y for _, y in there], marker="osD^v"[number], s=30, label=candidate, clip_on=False)
    axis.set_yticks(range(len(names)), [f"{name} ({figures[f'metric_{name}']})" for name in names])
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.grid(axis="y", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.set_xlabel("mean of the task's metric, all items")
    drawn.legend(loc="outside upper center", ncols=5, frameon=False)
    _save(plt, drawn, path)


def draw_costs(figures: Mapping[str, Figure], path: Path) -> None:
    """The share of the exhaustive core-minutes, median and range over orders, of every task that was raced on all items."""
    plt = _plotting()
    whole = size(RACED[0])
    names = [name for name in SITUATIONS if f"work_share_{name}_{whole}" in figures]
    drawn, axis = plt.subplots(figsize=(7, 1.1 + 0.32 * max(1, len(names))), layout="constrained")
    for tuned, marker, label in ((True, "o", "a tuned candidate within 2 points of the best"), (False, "s", "no tuned one")):
        there = [(name, place) for place, name in enumerate(names) if figures[f"tuning_wins_{name}"] == tuned]
        ranges = [
            [_real(figures, f"work_share{part}_{name}_{whole}") for name, _ in there] for part in ("", "_least", "_worst")
        ]
        middle, least, worst = (np.array(values) for values in ranges)
        places, errors = [place for _, place in there], [middle - least, worst - middle]
        axis.errorbar(middle, places, xerr=errors, fmt=marker, markersize=5, linewidth=1, label=label)
    axis.axvline(SHARE, color="black", linestyle="--", linewidth=1, label="a third")
    axis.axvline(1, color="black", linewidth=0.6)
    agreed = [100 * _real(figures, f"agreement_share_{name}_{whole}") for name in names]
    axis.set_yticks(range(len(names)), [f"{name} ({share:.0f} %)" for name, share in zip(names, agreed, strict=True)])
    axis.invert_yaxis()
    axis.set_xlim(left=0)
    axis.set_xlabel("core-minutes, share of the exhaustive race (in brackets: same outcome)")
    drawn.legend(loc="outside upper center", ncols=3, frameon=False)
    _save(plt, drawn, path)


def _real(figures: Mapping[str, Figure], key: str) -> float:
    return float(figures[key] or 0.0)


def _plotting() -> Any:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "groundtune", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    return plt


def _save(plt: Any, drawn: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, format="svg", metadata={"Date": None})
    plt.close(drawn)
