"""Probes what a workspace's tuned weights forgot, and writes it into their card. The untuned model is asked once."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from groundtune.candidates.workshop import Weights, Workshop
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace
from groundtune.training.card import amend_card, load_card
from groundtune.training.forgetting import Forgetting, Recall, compare, probe_digest, recall

_VERSION = 1


def probe_forgetting(
    workspace: Workspace, workshop: Workshop, model: str, weights: Weights, *, progress: Progress | None = None
) -> Forgetting | None:
    """General questions and prose before and after tuning `model`; None where `training.forgetting` is off."""
    if not workspace.config.training.forgetting:
        return None

    def of(tuned: Weights | None, done: int) -> Recall:
        adapter = tuned.adapter if tuned else None
        loaded = workshop.model(model, adapter)

        def make() -> dict[str, Any]:
            if progress is not None:
                progress("forgetting probe", done, 2)
            return asdict(recall(loaded, name=model, weights=adapter))

        key = {"model": loaded.fingerprint, "probe": probe_digest()}
        stored = workspace.stages.run("recall", version=_VERSION, key=key, make=make)
        return Recall(**stored)

    found = compare(of(None, 0), of(weights, 1))
    if progress is not None:
        progress("forgetting probe", 2, 2)
    told = asdict(found) | {"ratio": found.ratio, "words": found.words}
    if load_card(weights.adapter).get("forgetting") != told:
        amend_card(weights.adapter, "forgetting", told)
    return found
