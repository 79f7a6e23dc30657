"""The standings as one Markdown table and two drawings, from the kept figures. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.deciding.figures import AT, slug
from benchmarks.deciding.replay import SIZES
from benchmarks.deciding.situations import SITUATIONS
from benchmarks.deciding.standings import OURS
from benchmarks.deciding.tasks import TUNED, UNTUNED
from benchmarks.harness import ROOT, Figure

PAGE = ROOT / "docs" / "deciding.md"
DRAWN = ROOT / "docs" / "figures"
BEGIN, END = "<!-- table: written by python -m benchmarks.deciding --report -->", "<!-- end of table -->"

RULES = (
    OURS, "highest mean", "always prompt", "always rag", "always tuned", "always both", "best fixed elsewhere",
    "documents -> both, else tune", "depth-2 tree", "questionnaire alone", "probes alone", "random",
)  # fmt: skip
LABELS = {OURS: "**Groundtune's verdict**", "always both": "always rag + tuned"}


DRAWINGS = {
    "deciding_regret.svg": "Mean regret of every rule against the number of questions that the decision sees",
    "deciding_tasks.svg": "Mean score of every candidate on every task",
}


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


def write_page(figures: Mapping[str, Figure], path: Path) -> None:
    """Put the table in its place on the page."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    missing = figures.get("tasks_missing")
    said = f"\n\nNot complete yet, and left out: {missing}." if missing else ""
    shown = "\n\n".join(f"![{about}](figures/{name})" for name, about in DRAWINGS.items())
    path.write_text(f"{before}{BEGIN}\n\n{table(figures)}{said}\n\n{shown}\n\n{END}{after}", encoding="utf-8")


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
        axis.scatter([x for x, _ in there], [y for _, y in there], marker="osD^v"[number], s=30, label=candidate)
    axis.set_yticks(range(len(names)), [f"{name} ({figures[f'metric_{name}']})" for name in names])
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.grid(axis="y", linewidth=0.4)
    axis.set_axisbelow(True)
    axis.set_xlabel("mean of the task's metric, all items")
    drawn.legend(loc="outside upper center", ncols=5, frameon=False)
    _save(plt, drawn, path)


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
