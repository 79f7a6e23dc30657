"""`groundtune ask`: one answer with its citations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, As, Json, Workspace
from groundtune.types import Answer


def command(
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question.")],
    candidate: Annotated[
        str | None, typer.Option(metavar="NAME", help="Candidate that answers. Without it: the newest decision's choice.")
    ] = None,
    stream: Annotated[bool, typer.Option("--stream", help="Show the answer while it is written, where the model can.")] = False,
    acting_as: As = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Answer a question, with citations.

    Only documents that the caller may read are used; a question that they do not answer gets "Not in the documents."
    """
    principals = tuple(acting_as or ())
    if stream and not json:
        answer = _streamed(question, workspace, principals, candidate)
    else:
        answer = groundtune.ask(question, root=workspace, principals=principals, candidate=candidate)
    if json:
        output.document(answer)
        return
    if not stream or answer.abstained:
        output.line(answer.text)
    if answer.abstained and answer.reason:
        output.note(f"why: {answer.reason}")
    for citation in answer.citations:
        output.line()
        page = f", page {citation.page}" if citation.page else ""
        output.line(f"[{citation.number}] {citation.document}:{citation.start}-{citation.end}{page}  {citation.title}")
        output.line(f'    "{" ".join(citation.quote.split())}"')


def _streamed(question: str, workspace: Path, principals: Sequence[str], candidate: str | None) -> Answer:
    pieces = groundtune.ask_stream(question, root=workspace, principals=principals, candidate=candidate)
    shown = ""
    for piece in pieces:
        output.piece(piece)
        shown += piece
    if shown:
        output.line()
    return pieces.answer
