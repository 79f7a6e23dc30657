"""What tuning is worth on public tasks: method by method, objective by objective, against the untuned model on the same items.

    python -m benchmarks.learning                # every cell that is not done yet, the most telling first
    python -m benchmarks.learning --minutes 60   # begin no cell after that; the same command goes on later
    python -m benchmarks.learning --cells viggo-tuned intents-tuned

A cell is one candidate on one task, trained and asked through the product's own rooms. Every finished cell is kept in
out/benchmarks/cells, where the benchmark of deciding finds it too, and the results file is written anew after each. A row that
does not beat the untuned model says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.cells import Cell, Done, kept, measure, run_cells
from benchmarks.convert_handbook import convert as convert_handbook
from benchmarks.harness import WORK, Figure, Goal, data_folder, goal, save
from benchmarks.learning_tasks import (
    LearningTask,
    company,
    company_documents,
    geo,
    geo_schema,
    handbook_documents,
    intents,
    preferences,
    thumbs,
    viggo,
    wikisplit,
    workspace,
    xquad,
    xquad_documents,
)  # fmt: skip
from groundtune.evaluation.statistics import contrast, mean_interval
from groundtune.evaluation.table import score_table

MARGIN = 0.02
"""Points of the task's metric that count as a difference."""

TASKS = WORK / "tasks"
"""A workspace a task."""


def tasks() -> dict[str, LearningTask]:
    """Every task by name. Raises NotFound where the data are not here."""
    epochs = {"[training]": "epochs = 2"}
    database = data_folder("sql_text2sql_geo_rest") / "data" / "geography-db.added-in-2020.sqlite"
    schema = geo_schema(data_folder("sql_text2sql_geo_rest"))
    found = (
        LearningTask(
            "viggo", "slot_f1", viggo, "fmt_viggo", settings=epochs, max_new_tokens=96,
            instruction="Write the meaning representation of the text: what the speaker does, then what is said about which "
            "attribute, as in inform(name[Portal], genres[puzzle, shooter], available_on_steam[yes]).",
        ),
        LearningTask("intents", "label_accuracy", intents, "cs_bitext_intents", settings=epochs, max_new_tokens=16),
        LearningTask(
            "geo", "sql_execution", geo, "sql_text2sql_geo_rest", max_new_tokens=160,
            settings={**epochs, "[scoring]": f'database = "{database.resolve()}"'},
            instruction=f"Write the SQLite query that answers the question. Tables: {schema}.",
        ),
        LearningTask(
            "wikisplit", "chrf", wikisplit, "style_wikisplit", settings=epochs, max_new_tokens=96,
            instruction="Split the sentence into two shorter ones that say the same, with <::::> between them.",
        ),
        LearningTask(
            "xquad", "f1", xquad, "qa_xquad", documents=xquad_documents, train=120,
            settings={**epochs, "[retrieval]": "k = 2", "[chunking]": "tokens = 120"},
        ),
        LearningTask(
            "handbook", "f1", convert_handbook, "kb_gitlab_handbook", documents=handbook_documents, test=1000,
            settings={**epochs, "[retrieval]": "k = 2", "[chunking]": "tokens = 120"},
        ),
        LearningTask(
            "company", "f1", company, "", documents=company_documents, test=64, settings=epochs,
            files={"preferences.jsonl": preferences, "thumbs.jsonl": thumbs},
        ),
    )  # fmt: skip
    return {task.name: task for task in found}


@dataclass(frozen=True, slots=True)
class Row:
    """One candidate on one task, held against another of that task."""

    task: str
    candidate: str
    against: str = "prompt"
    """The untuned candidate that sees the same."""
    table: str = ""
    """The candidate's table in groundtune.toml; empty for a shipped one."""

    @property
    def cell(self) -> Cell:
        return Cell(self.task, self.candidate)


def _tuned(base: str, tuning: str) -> str:
    return f'base = "{base}"\ntuning = {{ {tuning} }}'


GRPO = 'objective = "grpo", rewards = ["slot_f1"], start = "tuned", generations = 4, epochs = 1'

ROWS = (
    Row("viggo", "tuned"),
    Row("intents", "tuned"),
    Row("geo", "tuned"),
    Row("wikisplit", "tuned"),
    Row("xquad", "rag_tuned", against="rag"),
    Row("xquad", "sft_with_rag", against="rag", table=_tuned("rag_tuned", 'objective = "sft"')),
    Row("company", "domain", table=_tuned("tuned", 'objective = "domain"')),
    Row("intents", "partial", table=_tuned("tuned", 'method = "partial"')),
    Row("intents", "full", table=_tuned("tuned", 'method = "full"')),
    Row("viggo", "partial", table=_tuned("tuned", 'method = "partial"')),
    Row("viggo", "full", table=_tuned("tuned", 'method = "full"')),
    Row("xquad", "raft_gold_alone", against="rag", table=_tuned("rag_tuned", "distractors = 0")),
    Row("xquad", "raft_gold_100", against="rag", table=_tuned("rag_tuned", "gold_share = 1.0")),
    Row("xquad", "raft_gold_60", against="rag", table=_tuned("rag_tuned", "gold_share = 0.6")),
    Row("viggo", "grpo", against="tuned", table=_tuned("tuned", GRPO)),
    Row("company", "dpo", table=_tuned("tuned", 'objective = "dpo", data = "preferences.jsonl", max_length = 512, epochs = 1')),
    Row("company", "kto", table=_tuned("tuned", 'objective = "kto", data = "thumbs.jsonl", max_length = 512, epochs = 1')),
    Row("handbook", "rag_tuned", against="rag"),
    Row("handbook", "sft_with_rag", against="rag", table=_tuned("rag_tuned", 'objective = "sft"')),
)
"""In the order in which they are run; the untuned candidate of a row is run before it."""


def cells() -> list[Cell]:
    """Every cell once: that of a row after what it is held against."""
    wanted = [cell for row in ROWS for cell in (Cell(row.task, row.against), row.cell)]
    return list(dict.fromkeys(wanted))


def tables(task: str) -> str:
    """The tables of this task's rows as groundtune.toml has them."""
    own = [row for row in ROWS if row.task == task and row.table]
    return "\n".join(f"[candidates.{row.candidate}]\n{row.table}\n" for row in own)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, metavar="N", help="begin no cell after so long")
    parser.add_argument("--cells", nargs="+", metavar="TASK-CANDIDATE", help="only these")
    parser.add_argument("--name", default="learning", help="of the results")
    options = parser.parse_args(arguments)
    known = tasks()
    wanted = [cell for cell in cells() if not options.cells or f"{cell.setting}-{cell.candidate}" in options.cells]

    def run(cell: Cell) -> Done:
        root = workspace(known[cell.setting], TASKS / cell.setting, candidates=tables(cell.setting))
        return measure(cell, root, first_fold=True)

    def write() -> None:
        done = kept(cells(), WORK)
        figures = figures_of(done, {name: task.metric for name, task in known.items()})
        save(options.name, figures, goals_of(figures))

    run_cells(wanted, folder=WORK, run=run, minutes=options.minutes, after=write)
    write()
    return 0


def figures_of(done: Mapping[Cell, Done], metrics: Mapping[str, str]) -> dict[str, Figure]:
    """For each row whose two cells are done: before, after and the difference with 95 % intervals, tokens, minutes, memory."""
    figures: dict[str, Figure] = {"rows_count": len(ROWS), "rows_done_count": 0, "missing": ""}
    missing = []
    for row in ROWS:
        before, after = done.get(Cell(row.task, row.against)), done.get(row.cell)
        if before is None or after is None:
            missing.append(f"{row.task}-{row.candidate}")
            continue
        figures["rows_done_count"] = int(figures["rows_done_count"] or 0) + 1
        found = row_figures(before, after, metric=metrics[row.task])
        figures |= {f"{row.task}_{row.candidate}_{key}": value for key, value in found.items()}
    figures["missing"] = ", ".join(missing)
    return figures


def row_figures(before: Done, after: Done, *, metric: str) -> dict[str, Figure]:
    """One row's columns, on the items of both. `beats_untuned`: the whole interval of the difference is above nothing."""
    shared = {score.item for score in before.scores} & {score.item for score in after.scores}
    rows = {name: [row for row in done.scores if row.item in shared] for name, done in (("before", before), ("after", after))}
    table = score_table(rows, metric=metric)
    old, new = (table.values[table.candidates.index(name)] for name in ("before", "after"))
    names = [table.names[code] for code in table.groups]
    first, last = (mean_interval(values.tolist(), names) for values in (old, new))
    gain = contrast(new, old, table.groups, margin=MARGIN)
    training = after.training
    peak = training.get("peak_memory_bytes")
    figures: dict[str, Figure] = {
        "metric": metric,
        "items": len(table.items),
        "pairs": after.pairs,
        "before": float(old.mean()), "before_low": first.low, "before_high": first.high,
        "after": float(new.mean()), "after_low": last.low, "after_high": last.high,
        "gain": gain.difference, "gain_low": gain.interval.low, "gain_high": gain.interval.high,
        "beats_untuned": bool(gain.interval.low > 0),
    }  # fmt: skip
    if training:
        figures |= {
            "tokens": training["tokens"],
            "training_minutes": training["seconds"] / 60,
            "tokens_per_s": training["tokens"] / training["seconds"],
            "peak_memory_gb": peak / 1e9 if peak else None,
            "loss_first": training["loss_first"],
            "loss_last": training["loss_last"],
            **training.get("details", {}),
        }
    return figures


def goals_of(figures: Mapping[str, Figure]) -> list[Goal]:
    return [
        goal("rows_done_count", figures["rows_done_count"], "==", len(ROWS)),
        *(goal(key, value, "==", True) for key, value in figures.items() if key.endswith("_beats_untuned")),
    ]


if __name__ == "__main__":
    raise SystemExit(main())
