"""From rows of freshness to figures: price, dose-response and robustness. Pure: asks no model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from benchmarks.cells import Cell, Done
from benchmarks.harness import Figure
from groundtune.evaluation.statistics import contrast, mean_interval
from groundtune.types import Score

SHARES = (0.0, 0.25, 0.5, 1.0)
"""Shares of facts edited at which the mixture of old and new facts is reported."""
PARTS = ("taught", "held_out")
CONTEXTS = ("gold", "missing", "wrong", "conflicting")
MARGIN = 0.05

Rows = Mapping[tuple[str, str, str], Mapping[str, Score]]
"""(condition, part, edited or kept) -> item -> row."""


def figures_of(done: Mapping[Cell, Done], *, tasks: Sequence[str], candidates: Sequence[str]) -> dict[str, Figure]:
    """A row a candidate and part: `TASK_CANDIDATE_PART_...`; then where retrieval overtakes tuned weights."""
    figures: dict[str, Figure] = {"cells_count": len(tasks) * len(candidates), "cells_done_count": len(done)}
    missing = []
    for task in tasks:
        found = {name: rows_of(done[cell].scores) for name in candidates if (cell := Cell(task, name)) in done}
        missing += [f"{task}-{name}" for name in candidates if name not in found]
        for name, rows in found.items():
            one = done[Cell(task, name)]
            figures |= {f"{task}_{name}_minutes": one.seconds / 60, f"{task}_{name}_pairs": one.pairs}
            for part in PARTS:
                row = {**price(rows, part), **doses(rows, part), **robustness(rows, part)}
                figures |= {f"{task}_{name}_{part}_{key}": value for key, value in row.items()}
        for tuned in ("tuned", "domain", "rag_tuned"):
            if "rag" in found and tuned in found:
                for part in PARTS:
                    figures |= overtaking(found[tuned], found["rag"], part, name=f"{task}_rag_over_{tuned}_{part}")
    figures["missing"] = ", ".join(missing)
    return figures


def rows_of(scores: Iterable[Score]) -> Rows:
    rows: dict[tuple[str, str, str], dict[str, Score]] = defaultdict(dict)
    for score in scores:
        condition, part, edited = score.kind.split()
        rows[condition, part, edited][score.item] = score
    return rows


def price(rows: Rows, part: str) -> dict[str, Figure]:
    """Share right on the facts as they were and as they are after the edit, still the old answer, and what the edit cost.

    The cost is of the same items before and after, with its 95 % interval over groups. `control` are questions that no edit
    touched, in the edited documents, less before.
    """
    before, after = rows.get(("before", part, "edited"), {}), rows.get(("after", part, "edited"), {})
    figures: dict[str, Figure] = {"edited_count": len(before)}
    if not before:
        return figures
    items = sorted(before)
    groups = [before[item].group for item in items]
    for name, found, key in (
        ("right_unchanged", before, "right"),
        ("right_edited", after, "right"),
        ("stale", after, "other"),
    ):
        values = [found[item].metrics[key] for item in items]
        interval = mean_interval(values, groups)
        figures |= {name: float(np.mean(values)), f"{name}_low": interval.low, f"{name}_high": interval.high}
    for name, found, key in (
        ("abstained_edited", after, "abstained"),
        ("f1_unchanged", before, "f1"),
        ("f1_edited", after, "f1"),
    ):
        figures[name] = float(np.mean([found[item].metrics[key] for item in items]))
    old, new = (np.array([found[item].metrics["right"] for item in items]) for found in (before, after))
    codes = np.unique(groups, return_inverse=True)[1]
    lost = contrast(old, new, codes, margin=MARGIN)
    figures |= {"price": lost.difference, "price_low": lost.interval.low, "price_high": lost.interval.high}
    known = [item for item in items if before[item].metrics["right"] == 1]
    figures["known_count"] = len(known)
    figures["stale_of_known"] = float(np.mean([after[item].metrics["other"] for item in known])) if known else None
    kept = [rows.get((condition, part, "kept"), {}) for condition in ("before", "after")]
    figures["control_count"] = len(kept[0])
    if kept[0]:
        first, second = (float(np.mean([score.metrics["right"] for score in found.values()])) for found in kept)
        figures |= {"right_control": second, "control_change": second - first}
    return figures


def doses(rows: Rows, part: str) -> dict[str, Figure]:
    """Expected share right when this share of the facts was edited since training: a mixture of both worlds, item by item."""
    ends = _ends(rows, part)
    return {f"right_at_{100 * share:.0f}": (1 - share) * ends[0] + share * ends[1] for share in SHARES} if ends else {}


def overtaking(tuned: Rows, rag: Rows, part: str, *, name: str) -> dict[str, Figure]:
    """The share of edited facts from which retrieval is ahead of these weights, and in words if there is none."""
    first, second = _ends(tuned, part), _ends(rag, part)
    if first is None or second is None:
        return {}
    gap, end = first[0] - second[0], first[1] - second[1]
    if gap <= 0 or end >= 0:
        return {f"{name}_share": None, f"{name}_words": "not with every fact edited" if end >= 0 else "from the start"}
    share = gap / (gap - end)
    return {f"{name}_share": share, f"{name}_words": f"from {100 * share:.0f} % edited facts on"}


def robustness(rows: Rows, part: str) -> dict[str, Figure]:
    """With passages that are given: share right, telling the edited fact, abstaining; all by the facts as they were taught.

    With the fact edited, `other` means that the passage was followed, and `right` the weights. What a closed book says of the
    same facts is its `right_unchanged`.
    """
    figures: dict[str, Figure] = {}
    for condition in CONTEXTS:
        found = list(rows.get((condition, part, "edited"), {}).values())
        if found:
            figures |= {
                f"{condition}_{key}": float(np.mean([score.metrics[key] for score in found]))
                for key in ("right", "other", "abstained")
            }
            figures["given_count"] = len(found)
    return figures


def _ends(rows: Rows, part: str) -> tuple[float, float] | None:
    """Mean share right before and after the edit."""
    found = [rows.get((condition, part, "edited"), {}) for condition in ("before", "after")]
    if not all(found):
        return None
    first, second = (float(np.mean([score.metrics["right"] for score in one.values()])) for one in found)
    return first, second
