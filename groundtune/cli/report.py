"""`groundtune report`: the newest decision's report as JSON, Markdown and HTML."""

from __future__ import annotations

from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import HERE, Json, Workspace


def command(
    run: Annotated[str | None, typer.Option(metavar="ID", help="Run to report. Without it: the newest.")] = None,
    workspace: Workspace = HERE,
    json: Json = False,
) -> None:
    """Write a decision's report again.

    The files are report.json, report.md and report.html.
    """
    files = groundtune.report(workspace, run=run)
    if json:
        output.document(files)
        return
    for path in (files.markdown, files.html, files.json):
        output.line(str(path))
