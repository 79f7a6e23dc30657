"""`groundtune decide`: documents and questions in, a verdict out; with a workspace or in one line without."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import groundtune
from groundtune.cli import output, progress, results
from groundtune.cli.options import Json
from groundtune.reporting.saved import saved


def command(
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace",
            "-w",
            metavar="DIR",
            help="Folder that holds groundtune.toml. Without it and without --questions: this folder.",
        ),
    ] = None,
    documents: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of documents.")] = None,
    questions: Annotated[Path | None, typer.Option(metavar="FILE", help="Questions as JSONL.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where the report goes.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="Model to build on, provider:name.")] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="Primary metric, fixed before the first look.")] = None,
    candidate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Candidate to race; repeat for several. Without it: all configured."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="AMOUNT", help="Time or money, such as 20m, 1.5h or 5USD; chooses work from the plan.")
    ] = None,
    plan_only: Annotated[bool, typer.Option("--plan-only", help="Print the plan and stop.")] = False,
    json: Json = False,
) -> None:
    """Race the candidates and name a winner.

    Or say that the evidence names none.

    Without a workspace, --documents, --questions and --out are enough; everything then belongs to the one principal `local`.
    An inconclusive verdict is a result: the exit code is 0.
    """
    root = workspace or (None if documents or questions else Path())
    announce = None if json else lambda plan: output.note(results.plan(output.plain(plan)) + "\n")
    with progress.shown(as_json=json) as show:
        decision = groundtune.decide(
            root,
            documents=documents,
            questions=questions,
            out=out,
            model=model,
            metric=metric,
            candidates=tuple(candidate) if candidate else None,
            budget=budget,
            plan_only=plan_only,
            announce=None if plan_only else announce,
            progress=show,
        )
    if json:
        output.document(decision)
    elif decision.report is None or decision.verdict is None:
        output.line(results.plan(output.plain(decision.plan)))
    else:
        report = decision.report
        output.line(results.candidates(report["candidates"], metric=report["task"]["metric"]))
        output.line()
        output.line(results.verdict(output.plain(decision.verdict)))
        for said in saved(report):
            output.line(said)
        for note in report["notes"]:
            if note.startswith("Warning:"):
                output.line(note)
        output.line(f"report: {decision.out / 'report.html'}")
