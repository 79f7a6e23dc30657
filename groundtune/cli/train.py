"""`groundtune train`: the weights of one tuned candidate."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output, progress
from groundtune.cli.options import HERE, Json, Workspace


def command(
    candidate: Annotated[str, typer.Argument(metavar="CANDIDATE", help="A candidate with tuning, such as tuned or rag_tuned.")],
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Tune the model of a candidate.

    Only the training part of the questions is used. An interrupted run goes on where it stopped.
    """
    with progress.shown(as_json=json) as show:
        result = groundtune.train(candidate, root=workspace, progress=show)
    if json:
        output.document(result)
        return
    output.line(f"{result.candidate}: weights {result.weights} in {result.adapter}")
    for problem in result.problems:
        output.line(problem)
    output.line(f"{result.pairs} training pairs, {result.left_out} examples left out, {progress.duration(result.seconds)}")
