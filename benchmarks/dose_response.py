"""How the best candidate changes as one knob of the generated company is turned, the others left where they are.

python -m benchmarks.dose_response               # every cell that is not done yet
python -m benchmarks.dose_response --minutes 60  # begin no cell after that; the same command goes on later

A level of a knob is one race of four candidates at a small size; the levels that theory says most about come first. Every
finished cell is kept in out/benchmarks; results file and figure are written anew after each.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cells import Cell, Done, kept, measure, run_cells, workspace_of
from benchmarks.harness import ROOT, WORK, Figure, Goal, goal, save
from groundtune.company import Knobs, generate
from groundtune.evaluation.standing import standing
from groundtune.evaluation.statistics import contrast, mean_interval
from groundtune.evaluation.table import score_table

METRIC = "f1"
BASE = Knobs(labelled=96)
"""Fewer labelled examples than the demo's, so that a level takes less than ten minutes on two cores."""
CANDIDATES = ("few_shot", "rag", "tuned", "rag_tuned")
"""The untuned model without anything is left out: it was last in every race so far."""
RETRIEVES, TUNED, UNTUNED = ("rag", "rag_tuned"), ("tuned", "rag_tuned"), ("few_shot", "rag")
WITHOUT = ("few_shot", "tuned")
SETTINGS = {"test_questions": "32", "k": "1"}
"""One passage instead of the demo's two: prompts of half the length, and a level costs half."""
FIGURE = ROOT / "docs" / "figures" / "dose_response.svg"
LABELS = {
    "unknown": "share of facts unknown to models",
    "style": "strength of the house style",
    "labelled": "labelled examples",
    "difficulty": "share of questions in other words",
    "churn": "share of facts that changed",
}


@dataclass(frozen=True, slots=True)
class Dose:
    """A knob with its levels, and which candidates theory expects to lead at the lowest and the highest."""

    knob: str
    levels: tuple[float, ...]
    low: tuple[str, ...]
    high: tuple[str, ...]
    theory: str


DOSES = (
    Dose("style", (0.0, BASE.style, 1.0), UNTUNED, TUNED, "a form shown by example only is learned by tuning"),
    Dose("labelled", (16, BASE.labelled, 160), UNTUNED, TUNED, "few examples do not pay for a training"),
    Dose("unknown", (0.1, 0.5, BASE.unknown), WITHOUT, RETRIEVES, "what the model knows needs no retrieval"),
    Dose("difficulty", (0.0, BASE.difficulty, 1.0), RETRIEVES, WITHOUT, "what is not found cannot help"),
    Dose("churn", (0.0, BASE.churn, 1.0), CANDIDATES, RETRIEVES, "retrieval shows the edition in force"),
)


def setting(knob: str, level: float) -> str:
    """Name of the workspace; the level at which every knob stands by default has one workspace for all."""
    return "base" if level == getattr(BASE, knob) else f"{knob}_{level:g}"


def turned(knob: str, level: float) -> Knobs:
    changes: dict[str, Any] = {knob: level}
    return replace(BASE, **changes)


def ordered() -> tuple[Cell, ...]:
    """The base, then the far ends of each knob in the order of `DOSES`, then what lies between."""
    ends = [(dose.knob, level) for dose in DOSES for level in (dose.levels[-1], dose.levels[0])]
    between = [(dose.knob, level) for dose in DOSES for level in dose.levels[1:-1]]
    names = dict.fromkeys(["base", *(setting(knob, level) for knob, level in [*ends, *between])])
    return tuple(Cell(name, candidate) for name in names for candidate in CANDIDATES)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, metavar="N", help="begin no cell after so long")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    parser.add_argument("--embedder", default="embedded:minilm", help="provider:name")
    parser.add_argument("--name", default="dose_response", help="name of the results file")
    parser.add_argument("--figure", type=Path, default=FIGURE, help="where the figure goes")
    options = parser.parse_args(arguments)
    folder = WORK / options.name
    knobs = {setting(dose.knob, level): turned(dose.knob, level) for dose in DOSES for level in dose.levels}

    def run(cell: Cell) -> Done:
        company = generate(knobs=knobs[cell.setting])
        root = folder / cell.setting
        return measure(cell, workspace_of(company, root, settings=SETTINGS, model=options.model, embedder=options.embedder))

    def write() -> None:
        done = kept(ordered(), folder)
        figures = figures_of(done)
        save(options.name, figures, goals_of(figures))
        draw(figures, options.figure)

    run_cells(ordered(), folder=folder, run=run, minutes=options.minutes, after=write)
    write()


def figures_of(done: Mapping[Cell, Done]) -> dict[str, Figure]:
    """What each level measured, for the levels whose candidates are all done, and what became of theory's flips.

    `f1_CANDIDATE_KNOB_LEVEL`, its 95 % interval `f1_low_` and `f1_high_`, `best_KNOB_LEVEL`, `best_minus_second_KNOB_LEVEL`
    with the p-value of no difference (not adjusted), `flip_KNOB` in words.
    """
    figures: dict[str, Figure] = {"cells_count": len(ordered()), "cells_done_count": len(done)}
    if done:
        figures["minutes_level_longest"] = max(
            sum(one.seconds for cell, one in done.items() if cell.setting == name) / 60
            for name in {cell.setting for cell in done}
        )
    for dose in DOSES:
        best: dict[float, str] = {}
        for level in dose.levels:
            cells = [Cell(setting(dose.knob, level), candidate) for candidate in CANDIDATES]
            if all(cell in done for cell in cells):
                found = level_figures([done[cell] for cell in cells])
                figures |= {f"{key}_{dose.knob}_{level:g}": value for key, value in found.items()}
                best[level] = str(found["best"])
        if len(best) == len(dose.levels):
            figures[f"flip_{dose.knob}"] = verdict_on(dose, best[dose.levels[0]], best[dose.levels[-1]])
            figures[f"theory_{dose.knob}"] = dose.theory
    return figures


def level_figures(done: Sequence[Done]) -> dict[str, Figure]:
    """Means with intervals of one level, the best candidate, and how far the second is behind."""
    table = score_table({one.cell.candidate: one.scores for one in done}, metric=METRIC)
    means = dict(zip(table.candidates, table.values.mean(axis=1).tolist(), strict=True))
    figures: dict[str, Figure] = {"scored_count": len(table.items), "groups_count": len(table.names)}
    for name, row in zip(table.candidates, table.values, strict=True):
        interval = mean_interval(row.tolist(), [table.names[code] for code in table.groups])
        figures |= {
            f"{METRIC}_{name}": means[name],
            f"{METRIC}_low_{name}": interval.low,
            f"{METRIC}_high_{name}": interval.high,
        }
    best, second = sorted(means, key=lambda name: (-means[name], name))[:2]
    first, other = (table.values[table.candidates.index(name)] for name in (best, second))
    return figures | {
        "best": best,
        "best_minus_second": means[best] - means[second],
        "p_best_minus_second": contrast(first, other, table.groups, margin=0.05).p_value,
        "may_be_best": ", ".join(standing(table).confidence_set),
    }


def verdict_on(dose: Dose, low: str, high: str) -> str:
    """Whether the leaders at the far ends are those that theory expects, in words."""
    moved = "the leader changes" if low != high else "the leader stays"
    right = [name in expected for name, expected in ((low, dose.low), (high, dose.high))]
    where = {(True, True): "as theory expects at both ends", (True, False): "theory fails at the high end"}
    said = where.get((right[0], right[1]), "theory fails at the low end" if right[1] else "theory fails at both ends")
    return f"{moved}: {low} at {dose.levels[0]:g}, {high} at {dose.levels[-1]:g}; {said}"


def goals_of(figures: Mapping[str, Figure]) -> list[Goal]:
    return [
        goal("cells_done_count", figures["cells_done_count"], "==", len(ordered())),
        goal("levels_count_least", min(len(dose.levels) for dose in DOSES), ">=", 3),
        goal("minutes_level_longest", figures.get("minutes_level_longest"), "<=", 10),
    ]


def draw(figures: Mapping[str, Figure], path: Path) -> None:
    """One panel a knob with a line a candidate; nothing is drawn for levels that are not done."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    plt.rcParams.update({"svg.hashsalt": "groundtune", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
    drawn, axes = plt.subplots(1, len(DOSES), figsize=(13, 3.4), sharey=True, layout="constrained")
    for dose, axis in zip(DOSES, axes, strict=True):
        for number, candidate in enumerate(CANDIDATES):
            there = [level for level in dose.levels if f"{METRIC}_{candidate}_{dose.knob}_{level:g}" in figures]
            middle, low, high = (
                np.array([figures[f"{METRIC}_{kind}{candidate}_{dose.knob}_{level:g}"] for level in there], dtype=float)
                for kind in ("", "low_", "high_")
            )
            beside = (number - 1.5) * 0.012 * (dose.levels[-1] - dose.levels[0])
            axis.errorbar(
                np.array(there) + beside,
                middle,
                yerr=[middle - low, high - middle],
                marker="osD^"[number],
                markersize=4,
                capsize=2,
                linewidth=1.2,
                label=candidate,
            )
        axis.set_xticks(dose.levels, [f"{level:g}" for level in dose.levels])
        axis.set_xlabel(LABELS[dose.knob])
        axis.set_ylim(0, 1)
    axes[0].set_ylabel("F1 (0 to 1) with 95 % interval")
    drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(CANDIDATES), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(path, format="svg", metadata={"Date": None})
    plt.close(drawn)


if __name__ == "__main__":
    main()
