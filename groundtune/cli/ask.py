"""`groundtune ask`: one answer with its citations."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace


def command(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.")],
    candidate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Candidate that answers. Without it: the newest decision's choice.")
    ] = None,
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Answer a question, with citations.

    Only documents that the caller may read are used; a question that they do not answer gets "Not in the documents."
    """
    answer = groundtune.ask(question, root=workspace, principals=tuple(acting_as or ()), candidate=candidate)
    if json:
        output.document(answer)
        return
    output.line(answer.text)
    if answer.abstained and answer.reason:
        output.note(f"why: {answer.reason}")
    for citation in answer.citations:
        output.line()
        page = f", page {citation.page}" if citation.page else ""
        output.line(f"[{citation.number}] {citation.document}:{citation.start}-{citation.end}{page}  {citation.title}")
        output.line(f'    "{" ".join(citation.quote.split())}"')
