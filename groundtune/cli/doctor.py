"""`groundtune doctor`: what this machine and this workspace lack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import groundtune
from groundtune.cli import output
from groundtune.cli.options import Json
from groundtune.errors import WorkspaceError


def command(
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", metavar="DIR", help="Workspace to check as well as the machine.")
    ] = None,
    json: Json = False,
) -> None:
    """Check the machine and the workspace.

    Says what to do about each finding. The exit code is 8 when something must be done.
    """
    findings = groundtune.doctor(workspace)
    if json:
        output.document({"ok": all(finding.ok for finding in findings), "findings": findings})
    else:
        for finding in findings:
            output.line(f"{'ok ' if finding.ok else 'NOT'} {finding.check}: {finding.detail}")
            if not finding.ok and finding.remedy:
                output.line(f"    what to do: {finding.remedy}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(WorkspaceError.exit_code)
