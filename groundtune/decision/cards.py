"""What a decision measured, written beside its weights and into the lineage. Reads a report, judges nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from groundtune.candidates.open import decision_name, weights_folder, weights_name
from groundtune.store import lineage
from groundtune.store.workspace import Workspace
from groundtune.training.card import amend_card, load_card


def note_measures(workspace: Workspace, report: Mapping[str, Any]) -> None:
    """Put the primary metric of every tuned candidate into the cards of its weights: decision <- weights.

    A decision that is noted again changes nothing; weights that are gone from the disk are left out.
    """
    run, metric = report["run"], report["task"]["metric"]
    for candidate in report["candidates"]:
        used = [one["id"] for one in candidate["weights"]]
        if not used or metric not in candidate["metrics"]:
            continue
        bounds = candidate["intervals"].get(metric, {"low": candidate["metrics"][metric], "high": candidate["metrics"][metric]})
        row = {
            "candidate": candidate["name"],
            "metric": metric,
            "value": candidate["metrics"][metric],
            "low": bounds["low"],
            "high": bounds["high"],
            "items": candidate["items"],
            "weights": len(used),
        }
        for id in used:
            folder = weights_folder(workspace) / id
            if folder.is_dir():
                amend_card(folder, "measured", {**load_card(folder).get("measured", {}), run: row})
        lineage.record(workspace.database, child=decision_name(run), parents=map(weights_name, used), relation="measured")
