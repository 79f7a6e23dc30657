"""`groundtune show`: what was read of a document, with its pages and, when asked, its chunks."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace


def command(
    document: Annotated[str, typer.Argument(metavar="DOCUMENT", help="Its path below the documents folder.")],
    chunks: Annotated[bool, typer.Option("--chunks", help="Show how it is cut instead of its whole text.")] = False,
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Show the Markdown that a document was read as.

    Offsets in citations count its characters.
    """
    shown = groundtune.show(document, root=workspace, principals=tuple(acting_as or ()))
    if json:
        output.document(shown)
        return
    found = shown.document
    pages = f", {output.counted(len(found.pages), 'page')}" if found.pages else ""
    output.note(
        f"{found.title} ({found.format}{pages}, {len(found.text):,} characters, {output.counted(len(shown.chunks), 'chunk')})"
    )
    for part, reason, detail in found.metadata.get("skipped", ()):
        output.note(f"not read: {part}: {reason}: {detail}")
    if not chunks:
        output.line(found.text)
        return
    for one in shown.chunks:
        page = found.page_of(one.start)
        place = " > ".join(one.headings)
        output.line(f"--- {one.start}-{one.end}, {one.tokens} tokens{f', page {page}' if page else ''}  {place}")
        output.line(one.text)
