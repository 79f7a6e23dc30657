"""export: tuned weights for other engines, for those who may use them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from groundtune.access.audience import may_read
from groundtune.answer.assistant import WEIGHTS_WITHHELD
from groundtune.candidates.build import users_of
from groundtune.candidates.open import find_weights, newest, remember_run
from groundtune.candidates.recipes import candidate_named
from groundtune.candidates.workshop import Weights
from groundtune.config import known_names
from groundtune.errors import AccessDenied, UsageError
from groundtune.store.workspace import Workspace
from groundtune.training.card import load_card
from groundtune.training.export import FORMATS, Exported, export_weights
from groundtune.verbs.knowledge import caller_of, chosen_weights


def export(
    weights: str,
    *,
    to: Path | str,
    format: str = "merged",
    root: Path | str = ".",
    principals: Sequence[str] = (),
    base: str = "",
) -> Exported:
    """Write weights, named by their id or by a tuned candidate, to a folder that is new or empty; see `export_weights`.

    A caller may export what they may use. What was withdrawn, or is gone, is not found. An export is out of Groundtune's hands:
    it is noted among the runs, and no withdrawal reaches it. `base` is what a LoRA folder names as its base model.
    """
    chosen = next((one for one in FORMATS if one == format), None)
    if chosen is None:
        raise UsageError("no such format.", subject=format, remedy=f"Known: {', '.join(FORMATS)}.")
    if base and format != "lora":
        raise UsageError("only a LoRA folder names its base.", subject=f"base = {base}", remedy="Leave it out.")
    with Workspace.open(root) as workspace:
        made = _found(workspace, weights)
        audience = users_of(made, workspace.database)()
        if not may_read(audience, caller_of(workspace, principals)):
            raise AccessDenied(WEIGHTS_WITHHELD, subject=weights, remedy="Ask somebody who may use them.")
        model = str(load_card(made.adapter)["base"]["model"])
        done = export_weights(
            made.adapter, id=made.id, model=model, audience=audience, to=Path(to).resolve(), format=chosen, base=base
        )
        remember_run(workspace, verb="export", content={"weights": made.id, "format": format, "to": str(done.folder)})
        return done


def _found(workspace: Workspace, name: str) -> Weights:
    """Weights in use: `find_weights` is the one place that knows which are."""
    if name not in known_names(workspace.config.candidates):
        return find_weights(workspace, name)
    if candidate_named(name, config=workspace.config).tuning is None:
        raise UsageError("it has no tuning, so it has no weights.", subject=name, remedy="Name a tuned candidate or weights.")
    return find_weights(workspace, chosen_weights(workspace, name, newest(workspace, verb="decide")))
