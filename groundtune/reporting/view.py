"""Everything that a page shows, from the content of report.json, its scores and the texts that its readers may see. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from groundtune.reporting.choice import reference
from groundtune.reporting.differences import Differences, differences
from groundtune.reporting.explained import Position, losses, position, predictions
from groundtune.reporting.kinds import Kinds, kinds
from groundtune.reporting.lost import Lost
from groundtune.reporting.methods import Method, methods
from groundtune.reporting.saved import saved
from groundtune.reporting.scatter import Against, Scatter, scatter
from groundtune.reporting.stages import Stages, stages
from groundtune.reporting.summary import Summary, summary
from groundtune.reporting.tracks import Chart

SIZES = {"wide": (520.0, 340.0), "narrow": (320.0, 300.0)}
"""Pixels of a scatter plot, for a desk and for a telephone."""


@dataclass(frozen=True, slots=True)
class Scatters:
    """One scatter plot in every size."""

    wide: Scatter
    narrow: Scatter


@dataclass(frozen=True, slots=True)
class View:
    reference: str | None
    summary: Summary
    differences: Differences | None
    cost: Scatters | None
    latency: Scatters | None
    position: Position
    predictions: Chart | None
    losses: Chart | None
    kinds: Kinds | None
    lost: Lost
    stages: Stages | None
    saved: tuple[str, ...]
    methods: tuple[Method, ...]


def view(report: Mapping[str, Any], scores: Sequence[Mapping[str, Any]], lost: Lost) -> View:
    """`scores` are the rows of the file that `scores` of the report names; without any, what needs them is left out."""
    chosen = reference(report)

    def both(against: Against) -> Scatters | None:
        wide, narrow = (scatter(report, against, width=x, height=y, chosen=chosen) for x, y in (SIZES["wide"], SIZES["narrow"]))
        return Scatters(wide, narrow) if wide and narrow else None

    return View(
        reference=chosen,
        summary=summary(report, chosen),
        differences=differences(report, chosen),
        cost=both("cost"),
        latency=both("latency"),
        position=position(report),
        predictions=predictions(report, chosen),
        losses=losses(report),
        kinds=kinds(report, scores),
        lost=lost,
        stages=stages(report),
        saved=saved(report),
        methods=methods(report),
    )
