"""What the demo's race would find with every test question and three training seeds, and whether the demo's verdict fits it.

python -m benchmarks.demo_truth               # every cell that is not done yet
python -m benchmarks.demo_truth --minutes 15  # begin no cell after that; the same command goes on later

The settings are the demo's, except that all test questions are answered. Every finished cell is kept in out/benchmarks, and the
results file is written anew after each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.cells import Cell, Done, kept, measure, run_cells, workspace_of
from benchmarks.figures import STANDARD
from benchmarks.harness import RESULTS, WORK, Figure, Goal, goal, save
from groundtune.company import generate
from groundtune.evaluation.standing import standing
from groundtune.evaluation.statistics import contrast, mean_interval
from groundtune.evaluation.table import score_table

SEEDS = (0, 1, 2)
METRIC = "f1"
MARGIN = 0.05
"""Points within which a verdict that names another candidate still fits; the product's default margin."""
SETTING = "demo"
CELLS = tuple(
    Cell(SETTING, candidate, seed) for candidate in STANDARD for seed in (SEEDS if "tuned" in candidate else SEEDS[:1])
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, metavar="N", help="begin no cell after so long")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    parser.add_argument("--embedder", default="embedded:minilm", help="provider:name")
    parser.add_argument("--name", default="demo_truth", help="name of the results file")
    parser.add_argument("--demo", type=Path, metavar="FILE", default=RESULTS / "demo.json", help="figures of the demo's race")
    options = parser.parse_args(arguments)

    folder = WORK / options.name
    settings = {"test_questions": ""}
    root = workspace_of(generate(), folder / "workspace", settings=settings, model=options.model, embedder=options.embedder)
    demo = json.loads(options.demo.read_text(encoding="utf-8")) if options.demo.exists() else {}

    def write() -> None:
        figures = figures_of(kept(CELLS, folder), demo)
        save(options.name, figures, goals_of(figures))

    run_cells(CELLS, folder=folder, run=lambda cell: measure(cell, root), minutes=options.minutes, after=write)
    write()


def figures_of(done: Mapping[Cell, Done], demo: Mapping[str, Any]) -> dict[str, Figure]:
    """Figures of the cells that are done; those of the whole race only when all are.

    `f1_CANDIDATE` is the mean over seeds and items, `f1_CANDIDATE_seed_N` over the items of one training.
    """
    figures: dict[str, Figure] = {"cells_count": len(CELLS), "cells_done_count": len(done)}
    for cell, one in done.items():
        seed = f"_seed_{cell.seed}" if "tuned" in cell.candidate else ""
        values = [score.metrics[METRIC] for score in one.scores]
        figures["scored_count"] = len(values)
        figures[f"{METRIC}_{cell.candidate}{seed}"] = sum(values) / len(values)
        figures[f"minutes_{cell.candidate}{seed}"] = one.seconds / 60
        if one.pairs:
            figures[f"training_pairs_count_{cell.candidate}"] = one.pairs
    if len(done) < len(CELLS):
        return figures
    table = score_table(
        {name: [score for cell, one in done.items() if cell.candidate == name for score in one.scores] for name in STANDARD},
        metric=METRIC,
    )
    means = dict(zip(table.candidates, table.values.mean(axis=1).tolist(), strict=True))
    for name, row in zip(table.candidates, table.values, strict=True):
        interval = mean_interval(row.tolist(), [table.names[code] for code in table.groups])
        figures[f"{METRIC}_{name}"] = means[name]
        figures[f"{METRIC}_low_{name}"], figures[f"{METRIC}_high_{name}"] = interval.low, interval.high
    chances = standing(table)
    order = sorted(means, key=lambda name: (-means[name], name))
    best, second = order[:2]
    first, other = (table.by_seed[table.candidates.index(name)] for name in (best, second))
    apart = contrast(first, other, table.groups, margin=MARGIN)
    named = demo.get("winner") or demo.get("provisional")
    fits = demo.get("scheme") == "sealed test"  # the race of an earlier demo says nothing of this one
    return figures | {
        "groups_count": len(table.names),
        "best": best,
        "second": second,
        "best_minus_second": means[best] - means[second],
        "p_best_minus_second": apart.p_value,
        **{f"p_best_{name}": chance for name, chance in chances.p_best.items()},
        "may_be_best": ", ".join(chances.confidence_set),
        "demo_verdict": demo.get("verdict") if fits else None,
        "demo_named": named if fits else None,
        "best_minus_demo_named": means[best] - means[named] if fits and named in means else None,
    }


def goals_of(figures: Mapping[str, Figure]) -> list[Goal]:
    return [
        goal("cells_done_count", figures["cells_done_count"], "==", len(CELLS)),
        goal("best_minus_demo_named", figures.get("best_minus_demo_named"), "<=", MARGIN),
    ]


if __name__ == "__main__":
    main()
