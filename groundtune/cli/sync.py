"""`groundtune sync`: bring the index up to the documents and say what could not be read, and by whom nothing can."""

from __future__ import annotations

import groundtune
from groundtune.cli import output, progress
from groundtune.cli.options import HERE, Json, Workspace


def command(workspace: Workspace = HERE, json: Json = False) -> None:
    """Bring the index up to the documents.

    New and changed documents are read, removed ones dropped; what failed and what nobody may read is listed.
    """
    with progress.shown(as_json=json) as show:
        report = groundtune.sync(workspace, progress=show)
    if json:
        output.document(report)
        return
    held = f"{output.counted(report.documents, 'document')}, {output.counted(report.chunks, 'chunk')}"
    output.line(
        f"{held}: {report.added} added, {report.changed} changed, {report.removed} removed, {report.unchanged} unchanged, "
        f"in {progress.duration(report.seconds)}"
    )
    for document, reason in report.failed:
        output.line(f"not read: {document}: {reason}")
    for document, what in report.partial:
        output.line(f"read in part: {document}: {what}")
    for before, now in report.moved:
        output.line(f"moved: {before} is now {now}")
    for document, what in report.problems:
        output.line(f"access not understood: {document}: {what}")
    for document in report.unreadable:
        output.line(f"readable by nobody: {document}")
    if report.unreadable:
        output.note("what to do: add a rule for them to [access] in groundtune.toml, then run groundtune sync again.")
