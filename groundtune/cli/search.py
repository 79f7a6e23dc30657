"""`groundtune search`: the chunks that a caller may read, best first."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace


def command(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Chunks at most.")] = 5,
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Find the passages nearest to a query.

    Only documents that the caller may read are searched.
    """
    hits = groundtune.search(query, root=workspace, principals=tuple(acting_as or ()), k=k)
    if json:
        output.document({"hits": hits})
        return
    for number, hit in enumerate(hits, start=1):
        chunk = hit.chunk
        place = " > ".join(chunk.headings) or hit.title
        page = f", page {hit.pages[0][1]}" if hit.pages else ""
        output.line(f"[{number}] {chunk.document}:{chunk.start}-{chunk.end}{page}  {place}")
        output.line(f"    {' '.join(chunk.text.split())}")
    if not hits:
        output.note("nothing found among the documents that this caller may read.")
