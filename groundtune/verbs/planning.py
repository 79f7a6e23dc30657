"""plan: what training would take, before anything is spent."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundtune.candidates.recipes import candidate_named
from groundtune.decision.setup import set_up
from groundtune.decision.training_plan import TrainingPlan, plan_training
from groundtune.errors import UsageError
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace


def plan(
    candidates: Sequence[str] = (), *, root: Path | str = ".", progress: Progress | None = None
) -> tuple[TrainingPlan, ...]:
    """Tokens, minutes, memory and minimum detectable effect of training each candidate, by default every tuned one configured.

    Tokens are counted on the very pairs; the pace is that of the last training of the model in this workspace, else of two
    real steps that are thrown away. Raises UsageError for a candidate without tuning, DataError where training would.
    """
    with Workspace.open(root) as workspace, workspace.lock():
        config = workspace.config
        names = list(dict.fromkeys(candidates)) or [
            name for name in config.decision.candidates if candidate_named(name, config=config).tuning is not None
        ]
        untuned = [name for name in names if candidate_named(name, config=config).tuning is None]
        if untuned or not names:
            raise UsageError(
                "it has no tuning, so there is nothing to train.",
                subject=", ".join(untuned) or "decision.candidates",
                remedy="Name a tuned candidate, such as tuned or rag_tuned; groundtune decide --plan-only plans a race.",
            )
        setup = set_up(workspace, names=names, progress=progress)
        for name, reason in setup.not_applicable.items():
            raise UsageError(f"{reason}.", subject=name)
        return tuple(plan_training(setup, candidate) for candidate in setup.candidates)
