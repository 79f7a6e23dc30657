"""Fills the table cell by cell, replays decisions on it, and writes the figures.

python -m benchmarks.deciding                    # every cell that is not done yet, the most telling first, then the figures
python -m benchmarks.deciding --minutes 60       # begin no cell after that; the same command goes on later
python -m benchmarks.deciding --cells copy viggo-tuned viggo-tuned-0-part4     # tasks, candidates of a task, or single cells
python -m benchmarks.deciding --list             # the cells in their order, and which are done
python -m benchmarks.deciding --figures          # no cell; table and figures from the cells that are here
python -m benchmarks.deciding --cost             # no cell: the frugal race replayed on the committed table, in some minutes
python -m benchmarks.deciding --report           # no cell and no data: the page and the drawings from the committed table

A cell is one candidate, or one probe, on one task; each is kept as soon as it is done, so the command may be stopped at any
time.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Sequence

from benchmarks.cells import Done, kept, run_cells
from benchmarks.deciding import features, plan, report, table
from benchmarks.deciding.cost import races
from benchmarks.deciding.cost_figures import cost_figures, cost_goals
from benchmarks.deciding.figures import figures_of, goals_of, minutes_of
from benchmarks.deciding.standings import replay
from benchmarks.deciding.tasks import tasks
from benchmarks.harness import RESULTS, WORK, save

DRAWS = 500
"""Ways to cut and draw the items of each task."""
ORDERS = 20
"""Orders of the items of each task in which it is raced."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, metavar="N", help="begin no cell after so long")
    parser.add_argument("--cells", nargs="+", default=(), metavar="NAME", help="only these")
    parser.add_argument("--draws", type=int, default=DRAWS, metavar="N", help="of each task")
    parser.add_argument("--orders", type=int, default=ORDERS, metavar="N", help="of each task's items, with --cost")
    parser.add_argument("--list", action="store_true", help="name the cells and stop")
    parser.add_argument("--figures", action="store_true", help="run no cell")
    parser.add_argument("--cost", action="store_true", help="race the committed table frugally and exhaustively")
    parser.add_argument("--report", action="store_true", help="only the page and the drawings, from the committed table")
    options = parser.parse_args(arguments)
    if options.cost:
        write_costs(orders=options.orders)
    if options.report:
        write_figures(draws=options.draws)
        write_report()
    if options.cost or options.report:
        return 0
    known = tasks()
    everything = plan.cells(known)
    wanted = plan.named(options.cells, everything)

    def current(done: Done) -> bool:
        return plan.current(known[done.cell.setting], done)

    if options.list:
        held = kept(wanted, WORK)
        for cell in wanted:
            done = held.get(cell)
            state = "" if done is None else "done" if current(done) else "to be asked again: other items"
            print(f"{cell.name:<44} {state}".rstrip())
        return 0

    def write() -> None:
        done = filter(current, kept(everything, WORK).values())
        table.write(done, {name: task.metric for name, task in known.items()}, path=table.FILE)

    if not options.figures:
        run_cells(
            wanted,
            folder=WORK,
            run=lambda cell: plan.run(cell, known[cell.setting]),
            minutes=options.minutes,
            after=write,
            current=current,
        )
    write()
    write_figures(draws=options.draws)
    return 0


def write_figures(*, draws: int) -> None:
    began, tables = time.monotonic(), table.read(table.FILE)
    features.write(tables, path=features.FILE)
    figures = {**minutes_of(tables), **figures_of(replay(tables, count=draws))}
    save("deciding", {**figures, "replay_s": time.monotonic() - began}, goals_of(figures), folder=RESULTS)


def write_costs(*, orders: int) -> None:
    began = time.monotonic()
    gc.freeze()  # statsmodels collects garbage at every adjustment
    figures = cost_figures(races(table.read(table.FILE), orders=orders))
    save("cost", {**figures, "replay_s": time.monotonic() - began}, cost_goals(figures), folder=RESULTS)


def write_report() -> None:
    """The page and the drawings from the kept figures; of the costs only when they were taken."""
    figures = json.loads((RESULTS / "deciding.json").read_text(encoding="utf-8"))
    report.write_page(figures, report.PAGE)
    report.write_page(figures, report.FRONT, drawn="docs/figures")
    report.draw_regrets(figures, report.DRAWN / "deciding_regret.svg")
    report.draw_scores(figures, report.DRAWN / "deciding_tasks.svg")
    if (RESULTS / "cost.json").exists():
        costs = json.loads((RESULTS / "cost.json").read_text(encoding="utf-8"))
        report.write_costs(costs, report.PAGE)
        report.draw_costs(costs, report.DRAWN / report.COST_DRAWING)


if __name__ == "__main__":
    raise SystemExit(main())
