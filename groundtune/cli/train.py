"""`groundtune train`: the weights of one tuned candidate."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.access.audience import spoken
from groundtune.cli import output, progress, results
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
        announce = None if json else lambda plan: output.note(results.training_plans([output.plain(plan)]) + "\n")
        result = groundtune.train(candidate, root=workspace, announce=announce, progress=show)
    if json:
        output.document(result)
        return
    output.line(f"{result.candidate}: weights {result.weights} in {result.adapter}")
    for problem in result.problems:
        output.line(problem)
    output.line(f"{result.pairs} training pairs, {result.left_out} examples left out, {progress.duration(result.seconds)}")
    output.line(f"may be used by: {spoken(result.audience)}")
    if result.estimate is not None:
        planned, taken = (progress.duration(one) for one in (result.estimate.estimated, result.estimate.taken))
        output.line(f"planned {planned}, took {taken}: {result.estimate.ratio:.2f} times the estimate")
    output.line(f"model card: {result.adapter / 'MODEL_CARD.md'}")
    if result.forgetting is not None:
        output.line(f"forgetting: {result.forgetting.words}")
