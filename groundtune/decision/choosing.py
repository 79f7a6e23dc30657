"""When a race may choose its own retrieval settings, what that takes, and the race that is set up with them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from groundtune.config import FILE_NAME, with_keys
from groundtune.decision.axes import axes_of, changed, settings_of
from groundtune.decision.halving import rounds
from groundtune.decision.plan import LeftOut, PlannedStage, price_of
from groundtune.decision.setup import Setup, documents_with_text, set_up
from groundtune.decision.sweep import FEWEST_QUESTIONS, Swept, sweep
from groundtune.interfaces import Progress
from groundtune.models import load_model
from groundtune.store.artefacts import write_whole
from groundtune.store.workspace import Workspace
from groundtune.types import Example

SWEEP = "retrieval settings"

_SEARCH_SECONDS = 0.012
"""Of one search on a small index, with what follows it."""


def free_questions(setup: Setup) -> list[Example]:
    """The questions that the race does not score; all where there is no sealed part."""
    scored = set(setup.task.test_ids) if setup.task.scheme == "sealed test" else set()
    return [one for one in setup.task.examples if one.id not in scored]


def sweep_stages(setup: Setup) -> tuple[tuple[PlannedStage, ...], tuple[LeftOut, ...]]:
    """What choosing takes, or why nothing is chosen."""
    config, found = setup.workspace.config, setup.synced
    if not config.decision.sweep:
        return (), ()
    if setup.task.scheme != "sealed test" or found is None:
        why = "every question is scored, so none is left to choose by; groundtune sweep chooses on other questions"
        return (), (LeftOut(SWEEP, why),)
    free = sum(any(evidence.spans for evidence in one.evidence) for one in free_questions(setup))
    if free < FEWEST_QUESTIONS:
        return (), (LeftOut(SWEEP, f"{free} questions with evidence are not scored, {FEWEST_QUESTIONS} are needed"),)
    axes = axes_of(config, embedder=setup.workshop.embedder)
    searches = sum(many * items for many, items in rounds(len(settings_of(axes)), free))
    chunkings = len(axes[0].options) - 1
    seconds = searches * _SEARCH_SECONDS + chunkings * found.chunks * _embedding_seconds(setup)
    money = price_of(seconds, (0.0, 0.0), config.embedder, config.prices, True)
    return (PlannedStage("sweep", SWEEP, seconds, money),), ()


def choose_settings(setup: Setup, *, progress: Progress | None = None) -> Swept:
    """Sweep over the questions that the race does not score."""
    workspace, workshop = setup.workspace, setup.workshop
    return sweep(
        workspace,
        examples=free_questions(setup),
        rows=list(documents_with_text(workspace).values()),
        embedder=workshop.embedder,
        reranker=workshop.reranker,
        count=workshop.model(workspace.config.model),
        writer=load_model(workspace.config.model) if workspace.config.chunking.context == "model" else None,
        progress=progress,
    )


def set_up_with(setup: Setup, swept: Swept, *, names: Sequence[str], progress: Progress | None = None) -> Setup:
    """The same race with the chosen settings, which are written into groundtune.toml so that `ask` has them too."""
    workspace = setup.workspace
    if not swept.changes:
        return setup
    write_settings(workspace, swept)
    workspace.config = changed(workspace.config, swept.changes)
    return set_up(workspace, names=names, functions=setup.workshop.functions, progress=progress)


def write_settings(workspace: Workspace, swept: Swept) -> None:
    """Put the choice into groundtune.toml. Raises OSError; the file is the old one or the new one then."""
    path = workspace.root / FILE_NAME
    write_whole(path, with_keys(path.read_text(encoding="utf-8"), swept.changes).encode())


def said(swept: Swept) -> str:
    """The choice in a sentence, for the report."""
    keys = [f"{table}.{key} = {value}" for table, chosen in swept.changes.items() for key, value in chosen.items()]
    choice = ", ".join(keys) if keys else "the present settings stay"
    shares = f"{100 * swept.before:.1f} % of the evidence was shown before and {100 * swept.after:.1f} % after"
    return (
        f"Retrieval settings were chosen on {swept.questions} questions that are not scored here: {choice}. On these {shares}."
    )


def _embedding_seconds(setup: Setup) -> float:
    """Of one chunk, measured on four."""
    texts = ["the quick account of a plain working day in the office " * 15] * 4
    started = time.perf_counter()
    setup.workshop.embedder.embed(texts)
    return (time.perf_counter() - started) / len(texts)
