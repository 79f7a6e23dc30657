"""check_dataset: a workspace's training files through the gate, and what comes out kept as a dataset with a hashed manifest."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from groundtune.access.audience import conjoin
from groundtune.config import DatasetFile
from groundtune.dataset.check import asked_by, check_evidence
from groundtune.dataset.findings import CHECKS, Finding, Gate
from groundtune.dataset.formats import read_examples
from groundtune.dataset.gate import check_dataset as send_through
from groundtune.dataset.kept import keep
from groundtune.dataset.manifest import manifest
from groundtune.dataset.read import row, write_questions
from groundtune.dataset.split import assign_groups
from groundtune.errors import UsageError
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace
from groundtune.types import Audience, Caller
from groundtune.verbs.dataset_sources import Audiences, Policy, Texts, held_out, users_named

_WRITE = """Write for example:
[[dataset.files]]
path = "tickets.jsonl"
train = true
read = ["support"]"""


@dataclass(frozen=True, slots=True)
class DatasetCheck:
    """What came through the gate."""

    id: str
    """Hash of the manifest; the manifest lies in the workspace under this name."""
    manifest: Path
    out: Path | None
    """Where the examples were written; they are kept in the workspace too."""
    read: int
    """Examples, and rows that could not be read."""
    kept: int
    counts: dict[str, dict[str, int]]
    """Check -> dropped, changed, left."""
    findings: tuple[Finding, ...]
    audience: Audience
    """Who may use what is trained on it: every clause must be met."""
    notes: tuple[str, ...]


def check_dataset(
    root: Path | str = ".",
    *,
    files: Sequence[str] = (),
    users: Sequence[str] = (),
    leave: Sequence[str] = (),
    out: Path | str | None = None,
    progress: Progress | None = None,
) -> DatasetCheck:
    """Send the files of `[dataset]` through the gate, and keep what comes out as a dataset with a hashed manifest.

    `files` are some of those that groundtune.toml names; `users` replace `training.audience`; `leave` holds `CHECK:ID` of
    examples that a check is to leave as they are. The files themselves are never changed. Raises UsageError where no file is
    named, DataError for one without a single usable row, MissingExtra without the extra `dataset`.
    """
    with Workspace.open(root) as workspace, workspace.lock():
        chosen = _chosen(workspace, files)
        paths = {one.path: workspace.root / one.path for one in chosen}
        readings = [read_examples(paths[one.path], format=one.format or "", columns=one.columns) for one in chosen]
        examples = [asked_by(one, workspace.config.access.asked_by) for reading in readings for one in reading.examples]
        texts = Texts(workspace)
        located = check_evidence(examples, texts.text, documents=texts.names)
        unfounded = {problem.id for problem in located.problems}
        problems = [*(problem for reading in readings for problem in reading.problems), *located.problems]
        held, notes = held_out(workspace, texts, own=[path.resolve() for path in paths.values()])
        gate = Gate(
            may_train=Policy(workspace, chosen).why_not,
            audience_of=Audiences(workspace, chosen).of,
            users=tuple(Caller.of(user) for user in users or users_named(workspace)),
            held_out=held,
            personal=workspace.config.dataset.personal,
            names=workspace.config.dataset.names,
            personal_kinds=workspace.config.dataset.personal_kinds,
            leave=frozenset(_left(one) for one in leave),
        )
        founded = [example for example in located.examples if example.id not in unfounded]
        checked = send_through(founded, gate=gate, problems=problems, progress=progress)
        checked = replace(checked, kept=assign_groups(checked.kept))
        audience = conjoin([gate.audience_of(example) for example in checked.kept])
        read = len(examples) + sum(len(reading.problems) for reading in readings)
        about = manifest(checked, gate=gate, files=paths, read=read)
        id = keep(
            workspace,
            manifest=about,
            rows=[row(example) for example in checked.kept],
            audience=audience,
            documents=about["documents"],
        )
        if out is not None:
            write_questions(Path(out), checked.kept)
        return DatasetCheck(
            id=id,
            manifest=workspace.artefacts.path(id),
            out=Path(out) if out is not None else None,
            read=read,
            kept=len(checked.kept),
            counts=checked.counts(),
            findings=tuple(
                replace(one, origin=one.origin.removeprefix(f"{workspace.root}{os.sep}")) for one in checked.findings
            ),
            audience=audience,
            notes=tuple(notes),
        )


# --- what the gate goes by ----------------------------------------------------------------------------------------------


def _chosen(workspace: Workspace, files: Sequence[str]) -> list[DatasetFile]:
    known = {one.path: one for one in workspace.config.dataset.files}
    if not known:
        raise UsageError("groundtune.toml names no file of examples.", subject=str(workspace.root), remedy=_WRITE)
    for name in files:
        if name not in known:
            raise UsageError(
                "groundtune.toml does not name this file, so nothing says whether it may be trained on.",
                subject=name,
                remedy=f"Add it under [[dataset.files]]. Named there: {', '.join(known)}.",
            )
    return [known[name] for name in dict.fromkeys(files or known)]


def _left(text: str) -> tuple[str, str]:
    check, colon, example = text.partition(":")
    if not colon or not example or check not in CHECKS:
        raise UsageError("is not of the form CHECK:ID.", subject=text, remedy=f"Checks: {', '.join(CHECKS)}.")
    return check, example
