"""`groundtune learned`: datasets and weights, who may use them, and which were withdrawn for what."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

import groundtune
from groundtune.access.audience import spoken
from groundtune.cli import output
from groundtune.cli.options import HERE, Json, Workspace

if TYPE_CHECKING:
    from groundtune.verbs.learning import Learned


def command(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One dataset or one set of weights.")] = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """List datasets and tuned weights.

    Says who may use each, and why it was withdrawn: one that came out of a document is withdrawn when the document is deleted,
    or fewer may read it than when it was learned.
    """
    found = groundtune.learned(workspace, id=id)
    if json:
        output.document({"learned": found})
        return
    if not found:
        output.line("Nothing was learned yet.")
        return
    rows = [
        (one.kind, one.id[:16], "withdrawn" if one.withdrawn else "ready", str(len(one.documents)), spoken(one.audience))
        for one in found
    ]
    output.line(output.table(("kind", "id", "status", "documents", "for"), rows))
    for one in found:
        for said in _why(one):
            output.line(said)
    if id is not None:
        for document in found[0].documents:
            output.line(f"learned from {document}")


def _why(one: Learned) -> list[str]:
    """Why it was withdrawn, a line a document."""
    if not one.withdrawn:
        return []
    said = []
    for loss in one.losses:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(loss.created))
        what = f": {spoken(loss.before)}; now {spoken(loss.after)}" if loss.change == "narrowed" else ""
        said.append(f"{one.kind} {one.id[:16]}: {loss.document or 'a document'} was {loss.change} on {when}{what}")
    return said or [f"{one.kind} {one.id[:16]}: {one.withdrawn}"]
