"""Retrieval quality on public collections, beside BM25, vectors, a first fusion and four frameworks. Knows cells and goals.

python -m benchmarks.retrieval --choose   # the one setting, on xquad, covidqa and the demo company; see retrieval_choose
python -m benchmarks.retrieval            # every cell that is not there yet, then results/retrieval.json
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import retrieval_choose, retrieval_data
from benchmarks.harness import ROOT, save
from benchmarks.retrieval_cells import FRAMEWORKS, OWN, Bench, Cell
from benchmarks.retrieval_data import FOLDER
from benchmarks.retrieval_embedder import KeptEmbedder
from benchmarks.retrieval_table import Table, figures_and_goals
from groundtune.errors import NotFound
from groundtune.models import load_embedder

COLLECTIONS = {
    "handbook": retrieval_data.handbook,
    "cranfield": retrieval_data.cranfield,
    "cacm": retrieval_data.cacm,
    "firms": retrieval_data.firms,
    "follow_ups": retrieval_data.follow_ups,
    "spans": retrieval_data.spans,
    "firm_one": lambda: retrieval_data.firms("one"),
    "firm_docx": lambda: retrieval_data.firms("docx"),
    "firm_pdf": lambda: retrieval_data.firms("pdf"),
}
SCORED = ("handbook", "cranfield", "cacm", "firms")
WAYS = ("recursive", "fixed", "sentence", "page", "table", "parent")
FORMATS = ("firm_one", "firm_docx", "firm_pdf")


def cells() -> list[Cell]:
    """All of them, the most telling first."""
    found = [Cell(collection, system, {}) for system in OWN for collection in SCORED]
    found += [Cell(collection, system, {}) for system in FRAMEWORKS for collection in SCORED]
    found += [Cell("follow_ups", system, {}) for system in ("groundtune", "groundtune_alone", *OWN[1:], *FRAMEWORKS)]
    found += [Cell("spans", f"groundtune_{way}", {"[chunking]": f'method = "{way}"'}) for way in WAYS]
    found += [Cell("spans", system, {}) for system in OWN[1:]]
    found += [Cell(collection, "groundtune", {}) for collection in FORMATS]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--choose", action="store_true", help="choose the one setting, and stop")
    parser.add_argument("--only", nargs="+", choices=list(COLLECTIONS), help="make the cells of these collections")
    parser.add_argument("--systems", nargs="+", help="make the cells of these systems")
    default = ROOT / "out" / "frameworks" / "bin" / "python"
    parser.add_argument("--frameworks", type=Path, default=default, help="Python of the frameworks' environment")
    parser.add_argument("--embedder", default="embedded:minilm", help="provider:name")
    options = parser.parse_args(arguments)

    embedder = KeptEmbedder(load_embedder(options.embedder), FOLDER / "vectors.db")
    if options.choose:
        retrieval_choose.main(embedder)
        return
    bench = Bench(COLLECTIONS, embedder, options.frameworks)
    started = time.monotonic()
    for cell in cells():
        if (options.only and cell.collection not in options.only) or (options.systems and cell.system not in options.systems):
            continue
        if bench.kept(cell) is None:
            begun = time.monotonic()
            try:
                bench.hits(cell)
            except NotFound as error:
                print(f"{cell.collection} x {cell.system}: left out: {error}", flush=True)
                continue
            print(f"{cell.collection} x {cell.system}: {time.monotonic() - begun:.0f} s", flush=True)
    table = Table(bench, cells())
    figures, goals = figures_and_goals(table)
    if retrieval_choose.CHOSEN.exists():
        figures |= json.loads(retrieval_choose.CHOSEN.read_text(encoding="utf-8"))
    save("retrieval", {**figures, "minutes_this_run": (time.monotonic() - started) / 60}, goals)


if __name__ == "__main__":
    main()
