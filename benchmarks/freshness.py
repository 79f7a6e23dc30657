"""The price of stale weights: facts in the documents are edited after training, and the same questions are asked again.

    python -m benchmarks.freshness                # every cell that is not done yet, the most telling first
    python -m benchmarks.freshness --minutes 60   # begin no cell after that; the same command goes on later
    python -m benchmarks.freshness --cells company-tuned company-rag
    python -m benchmarks.freshness --report       # no cell: the tables of docs/deciding.md from the kept figures

A cell is one candidate on one task: trained on the old documents, asked, asked with wrong, conflicting and missing passages,
and asked again after the documents were edited and synced. Every finished cell is kept in out/benchmarks, and the results file
is written anew after each. Questions that were learned from (`taught`) and others (`held_out`) stand apart: weights can be
stale about what they learned only.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.cells import Cell, Done, kept, run_cells
from benchmarks.freshness_cells import measure, workspace
from benchmarks.freshness_figures import figures_of
from benchmarks.freshness_report import write_page
from benchmarks.freshness_worlds import Worlds, company_worlds, handbook_worlds
from benchmarks.harness import RESULTS, WORK, Figure, Goal, data_folder, goal, save

CANDIDATES = ("tuned", "rag", "rag_tuned", "few_shot", "prompt", "domain")
"""In the order in which they are run: stale weights, then what they are held against."""
_SIZES = "test_questions = 96\ntrain_questions = 96\nmax_new_tokens = 20"


@dataclass(frozen=True, slots=True)
class FreshnessTask:
    name: str
    worlds: Callable[[], Worlds]
    settings: Mapping[str, str] = field(default_factory=dict)
    domain_epochs: int = 3
    """Readings of the documents' text by `domain`."""


TASKS = (
    FreshnessTask("company", company_worlds, {"[decision]": _SIZES}),
    FreshnessTask(
        "handbook",
        lambda: handbook_worlds(data_folder("kb_gitlab_handbook")),
        {"[decision]": "max_new_tokens = 32"},
        domain_epochs=1,
    ),
)
SHARED = {"[chunking]": "tokens = 120", "[retrieval]": "k = 2", "[training]": "epochs = 3\nbatch_size = 4"}


def cells() -> list[Cell]:
    """Every cell; `domain` on the handbook reads most and comes last."""
    return [Cell(task.name, candidate) for task in TASKS for candidate in CANDIDATES]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, metavar="N", help="begin no cell after so long")
    parser.add_argument("--cells", nargs="+", metavar="TASK-CANDIDATE", help="only these")
    parser.add_argument("--model", default="embedded:smollm2", help="provider:name")
    parser.add_argument("--embedder", default="embedded:minilm", help="provider:name")
    parser.add_argument("--name", default="freshness", help="of the results")
    parser.add_argument("--report", action="store_true", help="only the page, from the kept figures")
    options = parser.parse_args(arguments)
    names = [task.name for task in TASKS]
    if options.report:
        figures = json.loads((RESULTS / f"{options.name}.json").read_text(encoding="utf-8"))
        write_page(figures, tasks=names, candidates=CANDIDATES)
        return 0
    folder, known = WORK / options.name, {task.name: task for task in TASKS}
    wanted = [cell for cell in cells() if not options.cells or f"{cell.setting}-{cell.candidate}" in options.cells]
    made: dict[str, Worlds] = {}

    def run(cell: Cell) -> Done:
        task = known[cell.setting]
        worlds = made.get(task.name) or made.setdefault(task.name, task.worlds())
        domain = f'[candidates.domain]\nbase = "tuned"\ntuning = {{ objective = "domain", epochs = {task.domain_epochs} }}\n'
        root = workspace(
            worlds,
            folder / task.name,
            settings={**SHARED, **task.settings},
            candidates=f"\n{domain}",
            model=options.model,
            embedder=options.embedder,
        )
        return measure(cell, root, worlds)

    def write() -> None:
        figures = figures_of(kept(cells(), folder), tasks=names, candidates=CANDIDATES)
        save(options.name, figures, goals_of(figures))

    missing = run_cells(wanted, folder=folder, run=run, minutes=options.minutes, after=write)
    write()
    return int(missing > 0)


def goals_of(figures: Mapping[str, Figure]) -> list[Goal]:
    """All cells, and what must hold of any closed book: of what it knew it is stale about everything."""
    closed = [f"{task.name}_tuned_taught_stale_of_known" for task in TASKS]
    return [
        goal("cells_done_count", figures["cells_done_count"], "==", len(cells())),
        *(goal(name, figures[name], ">=", 0.9) for name in closed if figures.get(name) is not None),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
