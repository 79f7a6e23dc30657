"""`groundtune init`: a new workspace with an explicit, commented configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, Json

FEW = 30
"""Files that are named; the others are counted."""


def command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the workspace; made if absent.")] = HERE,
    documents: Annotated[str, typer.Option(metavar="DIR", help="Folder of documents, from the workspace.")] = "documents",
    questions: Annotated[str, typer.Option(metavar="FILE", help="Questions as JSONL, from the workspace.")] = "questions.jsonl",
    model: Annotated[str, typer.Option(metavar="NAME", help="Model to build on, provider:name.")] = "embedded:smollm2",
    demo: Annotated[bool, typer.Option("--demo", help="Write the documents and questions of an invented company.")] = False,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Which company, with --demo; 0 without it.")] = None,
    json: Json = False,
) -> None:
    """Make a workspace.

    Writes groundtune.toml with every setting explained. Nothing that exists is overwritten.
    """
    made = groundtune.init(directory, documents=documents, questions=questions, model=model, demo=demo, seed=seed)
    if json:
        output.document(made)
        return
    for name in made.written[:FEW]:
        output.line(f"wrote {name}")
    if len(made.written) > FEW:
        output.line(f"wrote {len(made.written) - FEW} more files")
    output.note(f"next: groundtune sync -w {directory}" if str(directory) != "." else "next: groundtune sync")
