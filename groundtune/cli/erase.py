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

    What was read, embedded, answered and trained from them goes too: stored answers are all dropped, weights trained on one of
    them are withdrawn.
    """
    done = groundtune.erase(documents, root=workspace)
    if json:
        output.document(done)
        return
    output.line(
        f"{len(done.documents)} documents erased: {done.parses} parses, {done.vectors} batches of vectors, "
        f"{done.answers} of answers, {done.scores} scores, {len(done.weights)} weights, {len(done.reports)} reports and runs"
    )
    for place in done.remaining:
        output.line(f"still quotes one of them: {place}")
