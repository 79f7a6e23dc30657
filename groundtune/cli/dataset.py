"""`groundtune dataset check` and `dataset build`: what a model may be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import groundtune
from groundtune.access.audience import spoken
from groundtune.cli import output, progress
from groundtune.cli.options import HERE, Json, Workspace

if TYPE_CHECKING:
    from groundtune.dataset.findings import Finding

ABOUT = "Gather, check and write what a model is trained on."
_SHOWN = 5
"""Findings of each check that are listed; --all lists the others too."""


def check(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE...]", help="Some of the files of [dataset]; without it all of them.")
    ] = None,
    users: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="PRINCIPAL", help="Who will use the model; repeat. Without it training.audience."),
    ] = None,
    leave: Annotated[
        list[str] | None, typer.Option(metavar="CHECK:ID", help="Leave an example as it is, such as personal:t-17; repeat.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write the examples, as JSONL of questions.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="List every example that was dropped or changed.")] = False,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Send training files through the gate.

    In this order: schema, source policy, audience, secrets, personal data, near duplicates, overlap with dev and test,
    contradictory labels, outliers. The files stay as they are.
    """
    with progress.shown(as_json=json) as show:
        done = groundtune.check_dataset(
            workspace, files=files or (), users=users or (), leave=leave or (), out=out, progress=show
        )
    if json:
        output.document(done)
        return
    rows = [(name, *(str(counts[action]) for action in ("dropped", "changed", "left"))) for name, counts in done.counts.items()]
    output.line(output.table(("check", "dropped", "changed", "left"), rows))
    output.line()
    shown = done.findings if everything else _some(done.findings)
    for one in shown:
        output.line(f"{one.action} {one.origin} {one.example}: {one.check}: {one.reason}")
    if len(shown) < len(done.findings):
        output.note(f"{len(done.findings) - len(shown)} more; --all lists them.")
    output.line(f"{done.kept} of {done.read} examples kept: dataset {done.id}")
    output.line(f"what is trained on it may be used by: {spoken(done.audience)}")
    output.line(f"manifest: {done.manifest}")
    if done.out is not None:
        output.line(f"wrote {done.out}")
    for note in done.notes:
        output.note(note)


def _some(findings: Sequence[Finding]) -> list[Finding]:
    """The first of each check."""
    of_check = groupby(findings, key=lambda one: one.check)
    return [one for _, found in of_check for one in islice(found, _SHOWN)]


def build(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="JSONL file to write; must not exist.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="Examples wanted.")] = 50,
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who writes, provider:name; without it the workspace's.")
    ] = None,
    unanswerable: Annotated[float, typer.Option(min=0, max=0.5, help="Share of them that the documents do not answer.")] = 0.15,
    users: Annotated[
        list[str] | None,
        typer.Option("--for", metavar="PRINCIPAL", help="Who will use the model; repeat. Without it training.audience."),
    ] = None,
    tries: Annotated[int, typer.Option(min=1, help="Passages shown for each example that is wanted, at most.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Which passages.")] = 0,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Have a model write questions with answers and evidence from the documents.

    Each is kept only when its quote stands in the document, its answer in the quote, and the model cannot answer without the
    document. Look at them before you train on them.
    """
    with progress.shown(as_json=json) as show:
        done = groundtune.build_dataset(
            workspace,
            out=out,
            count=count,
            model=model,
            unanswerable=unanswerable,
            users=users or (),
            tries=tries,
            seed=seed,
            progress=show,
        )
    if json:
        output.document(done)
        return
    rows = [(reason, str(number)) for reason, number in done.rejected.items()]
    output.line(output.table(("rejected because", "passages"), rows))
    output.line()
    kinds = ", ".join(f"{number} {kind}" for kind, number in done.kinds.items())
    output.line(f"{done.written} of {count} examples written to {done.out}{f': {kinds}' if kinds else ''}")
    output.line(done.statement)
