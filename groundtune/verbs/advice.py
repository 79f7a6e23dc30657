"""advise: a prior for those who have no data yet. Opens no workspace and measures nothing."""

from __future__ import annotations

from pathlib import Path

from groundtune.config import FILE_NAME, load_config
from groundtune.decision.advise import Advice, Situation
from groundtune.decision.advise import advise as advise_situation


def advise(situation: Situation | None = None, *, root: Path | str | None = None) -> Advice:
    """What guides and papers lead one to expect in this situation, as a prior: which candidates to race, how many questions
    to collect, what each costs to run and to keep current.

    What a situation does not say moves nothing. `root` names a workspace whose prices and settings are used.
    """
    config = load_config(Path(root) / FILE_NAME) if root is not None else None
    return advise_situation(situation or Situation(), config=config)
