"""`groundtune doctor`: what this machine and a workspace have and lack, and what the machine does in a minute."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import groundtune
from groundtune.cli import output, progress
from groundtune.cli.options import Json
from groundtune.errors import WorkspaceError

if TYPE_CHECKING:
    from groundtune.verbs.machine import Checkup


def command(
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", "-w", metavar="DIR", help="Workspace to check as well. Without it: this folder, if it is one."
        ),
    ] = None,
    measure: Annotated[
        bool | None,
        typer.Option(
            "--measure/--no-measure", help="Measure this machine's pace anew, or never. Without either: once, then remembered."
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check the machine and the workspace.

    Says what is installed, what the configured model does here in a minute (measured in some seconds and remembered), what is
    missing and the exact command for it. The exit code is 8 when something that the configuration needs is missing.
    """
    from groundtune.config import FILE_NAME  # on use: it takes half of what --help may

    here = workspace or (Path() if (Path() / FILE_NAME).exists() else None)
    with progress.shown(as_json=json) as show:
        checkup = groundtune.doctor(here, measure=measure, progress=show)
    if json:
        output.document(checkup)
    else:
        for text in (*_findings(checkup), *_pace(checkup), *_disk(checkup)):
            output.line(text)
    if not checkup.ok:
        raise typer.Exit(WorkspaceError.exit_code)


def _findings(checkup: Checkup) -> Iterator[str]:
    for finding in checkup.findings:
        mark = "ok " if finding.ok else "NOT" if finding.needed else "-  "
        yield f"{mark} {finding.check}: {finding.detail}"
        if not finding.ok and finding.remedy:
            yield f"      {'what to do' if finding.needed else 'if wanted'}: {finding.remedy}"


def _pace(checkup: Checkup) -> Iterator[str]:
    from groundtune.verbs.machine_checks import cores

    found = checkup.pace
    if found is None:
        yield f"-   pace: {checkup.no_pace}"
        return
    rates = found.pace
    yield f"ok  pace of {found.model}, measured {found.measured} in {progress.duration(found.seconds)}:"
    yield (
        f"      answers {_rate(found.answers_per_minute)} a minute in batches, {found.seconds_alone:.2f} s for one alone "
        f"(prompts of {found.prompt_tokens} tokens, answers of {found.answer_tokens})"
    )
    yield (
        f"      reads {rates.prompt_tokens_per_second:.0f} and writes {rates.answer_tokens_per_second:.0f} tokens a second in "
        f"batches, {rates.single_prompt_tokens_per_second:.0f} and {rates.single_answer_tokens_per_second:.0f} alone"
    )
    if found.load > cores():
        yield f"      the machine was busy then (load {found.load:.1f} on {cores()} cores): free, it is faster; see --measure"
    if found.examples_per_minute is None or rates.training_tokens_per_second is None:
        yield "      trains: not on this machine as it is"
    else:
        yield (
            f"      trains on {_rate(found.examples_per_minute)} examples a minute, "
            f"{rates.training_tokens_per_second:.0f} tokens a second; an epoch sees each example once"
        )


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _disk(checkup: Checkup) -> Iterator[str]:
    if checkup.disk:
        yield "disk:"
        for part, size in checkup.disk.items():
            yield f"      {part}: {size / 2**20:,.1f} MiB"
