"""sweep: retrieval settings for a workspace, chosen by its questions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from groundtune.candidates.open import remember_run
from groundtune.decision.choosing import choose_settings, write_settings
from groundtune.decision.ledger import look
from groundtune.decision.setup import set_up
from groundtune.decision.sweep import Swept
from groundtune.errors import UsageError
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace


@dataclass(frozen=True, slots=True)
class SweepResult:
    swept: Swept
    sealed: bool
    """Whether questions are left that no choice was made on; else a later race on the same ones is a further look at them."""
    written: bool
    """Whether groundtune.toml was changed."""


def sweep(root: Path | str = ".", *, write: bool = False, progress: Progress | None = None) -> SweepResult:
    """Choose chunking, k, weights and the like by how much of the evidence they show; `write` changes groundtune.toml.

    From 300 questions on the test part is not looked at; below that every question is, and the ledger says so. Raises
    UsageError without documents, DataError with fewer than 20 questions whose evidence was found.
    """
    with Workspace.open(root) as workspace, workspace.lock():
        if not workspace.config.documents:
            raise UsageError("there are no documents to retrieve from.", subject=str(workspace.root), remedy="Set documents.")
        setup = set_up(workspace, names=(), progress=progress)
        swept = choose_settings(setup, progress=progress)
        sealed = setup.task.scheme == "sealed test"
        run = remember_run(workspace, verb="sweep", content={"changes": swept.changes, "after": swept.after})
        if not sealed:
            look(workspace, run, fingerprint=setup.task.fingerprint, items=len(setup.task.test_ids))
        if write and swept.changes:
            write_settings(workspace, swept)
        return SweepResult(swept, sealed=sealed, written=bool(write and swept.changes))
