"""`groundtune erase`: documents, and all that came out of them, off the disk."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, Json, Workspace


def command(
    documents: Annotated[list[str], typer.Argument(metavar="DOCUMENT...", help="Paths below the documents folder.")],
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Erase documents whose files were removed.

    What was read, embedded, answered and trained from them goes too: stored answers are all dropped, weights and datasets
    made of one of them are withdrawn.
    """
    done = groundtune.erase(documents, root=workspace)
    if json:
        output.document(done)
        return
    gone = (
        output.counted(done.parses, "parse"),
        f"{done.vectors} batches of vectors" if done.vectors != 1 else "1 batch of vectors",
        f"{done.answers} of answers",
        output.counted(done.scores, "score"),
        f"{len(done.weights)} weights",
        output.counted(len(done.datasets), "dataset"),
        f"{len(done.reports)} reports and runs",
    )
    output.line(f"{output.counted(len(done.documents), 'document')} erased: {', '.join(gone)}")
    for place in done.remaining:
        output.line(f"still quotes one of them: {place}")
