"""The content of report.json as plain data, from a finished race and its verdict. It measures and decides nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from groundtune.candidates.workshop import Weights
from groundtune.decision.break_even import BreakEven
from groundtune.decision.constraints import Measured
from groundtune.decision.explain import Probes
from groundtune.decision.ledger import warning
from groundtune.decision.plan import Plan, as_json
from groundtune.decision.predictions import Scored
from groundtune.decision.race import Outcome
from groundtune.decision.report import SCHEMA_VERSION, versions
from groundtune.decision.saved import saved
from groundtune.decision.sensitivity import Sensitivity
from groundtune.decision.setup import Setup
from groundtune.decision.task import Task
from groundtune.decision.verdict import Finding
from groundtune.evaluation.standing import Standing
from groundtune.scoring.abstention import abstention_counts
from groundtune.types import Candidate, CandidateReport, Score

_UNTOUCHED_SECONDS = 0.5
"""A stage that took less did not run: its results were found in the store."""


@dataclass(frozen=True)
class Result:
    """A finished race with all that was concluded from it."""

    run: str
    looks: int
    ledger: Sequence[Mapping[str, str]]
    """Every look at these items, this one included."""
    scores: str
    """Path of the per-item scores, relative to the workspace."""
    plan: Plan
    outcome: Outcome
    reports: Mapping[str, CandidateReport]
    figures: Mapping[str, Measured]
    excluded: Mapping[str, str]
    """Candidate -> the limits that it breaks."""
    found: Finding
    field: Standing | None
    sensitivity: Sensitivity
    break_evens: Sequence[BreakEven]
    probes: Probes
    predictions: Sequence[Scored]
    notes: Sequence[str] = ()
    """What the race showed beside its figures."""


def assemble(setup: Setup, result: Result) -> dict[str, Any]:
    """report.json; see report.schema.json."""
    plan, outcome, reports, found = result.plan, result.outcome, result.reports, result.found
    task, config = setup.task, setup.workspace.config
    grouping = task.grouping()
    tested = set(task.test_ids)
    verdict = found.verdict
    content = {
        "schema": SCHEMA_VERSION,
        "run": result.run,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": {
            "questions": len(task.examples),
            "scored": len(tested),
            "unanswerable": sum(not example.answers for example in task.examples if example.id in tested),
            "groups": grouping.groups,
            "largest_group_share": grouping.largest_items / max(1, grouping.items),
            "metric": task.metric,
            "metrics": [
                name for name in (*task.metrics, *task.figures) if any(name in report.metrics for report in reports.values())
            ],
            "models": sorted({report.candidate.model for report in reports.values()}),
            "labels": len(task.labels),
            "documents": setup.synced.documents if setup.synced else 0,
            "chunks": setup.synced.chunks if setup.synced else 0,
            "problems": [str(problem) for problem in task.problems],
        },
        "splits": {
            "scheme": task.scheme,
            "folds": [{"train": len(fold.train), "test": len(fold.test)} for fold in task.folds],
            "seed": config.decision.seed,
            "fingerprint": task.fingerprint,
            "looks": result.looks,
            "ledger": list(result.ledger),
        },
        "seeds": [config.training.seed],
        "mde": plan.mde,
        "smallest_p": plan.smallest_p,
        "plan": as_json(plan),
        "stages": [
            {
                "stage": stage.name,
                "candidate": stage.candidate,
                "planned_seconds": stage.seconds,
                "measured_seconds": _measured(outcome, stage.name, stage.candidate),
            }
            for stage in plan.stages
        ],
        "candidates": [
            *(_candidate(report, result, _abstention(task, outcome.scores[name])) for name, report in reports.items()),
            *(_absent(name, setup.models[name], reason) for name, reason in setup.not_applicable.items()),
            *(
                _absent(name, setup.models[name], stop.why)
                for name, stop in (outcome.course.stops.items() if outcome.course else ())
                if name not in outcome.scores
            ),
            *(
                _absent(left.candidate, setup.models[left.candidate], f"left out: {left.reason}")
                for left in plan.left_out
                if left.candidate in setup.models
            ),
        ],
        "race": saved(plan, outcome, task),
        "comparisons": [asdict(comparison) for comparison in found.comparisons],
        "decision": {
            "winner": verdict.winner,
            "verdict": verdict.kind,
            "reason": verdict.reason,
            "provisional": verdict.provisional,
            "headline": headline(
                found,
                {name: report.candidate for name, report in reports.items()},
                learned=outcome.course.seen.learned if outcome.course else {},
            ),
            "margin": config.decision.margin,
            "floor": found.floor,
            "further_questions": verdict.further_questions,
            "claim": found.claim,
        },
        "field": None if result.field is None else asdict(result.field),
        "sensitivity": asdict(result.sensitivity),
        "break_even": [asdict(one) for one in result.break_evens],
        "probes": asdict(result.probes),
        "predictions": [asdict(one) for one in result.predictions],
        "scores": result.scores,
        "versions": versions(),
        "notes": [*filter(None, [warning(result.looks)]), *setup.notes, *result.notes],
    }
    plain: dict[str, Any] = json.loads(json.dumps(content))  # the same values as are read from the file: no tuples
    return plain


def headline(found: Finding, candidates: Mapping[str, Candidate], *, learned: Mapping[str, float]) -> str:
    """The verdict in one sentence, with the model of the candidate that it names and how much of its data it had `learned`."""
    verdict = found.verdict
    every = ", ".join(dict.fromkeys(candidate.model for candidate in candidates.values()))
    winner = _with_model(verdict.winner, candidates)
    if verdict.kind == "superior":
        share = learned.get(verdict.winner or "", 1.0)
        part = f", with 1/{round(1 / share)} of its training pairs" if share < 1 else ""
        return f"Use {winner}: it beats every other candidate{part}"
    if verdict.kind == "cheapest non-inferior":
        return f"Use {winner}: no other is better by the margin, and it is the cheapest such"
    if verdict.kind == "none good enough":
        return f"None is good enough with {every}"
    if len({candidate.model for candidate in candidates.values()}) == 1:
        return f"Inconclusive with {every}; meanwhile use {verdict.provisional}"
    return f"Inconclusive with {every}; meanwhile use {_with_model(verdict.provisional, candidates)}"


def _with_model(name: str | None, candidates: Mapping[str, Candidate]) -> str:
    if name is None:
        return "none"
    candidate = candidates[name]
    return f"{name} as it runs" if candidate.external is not None else f"{name} with {candidate.model}"


def _recipe(candidate: Candidate) -> dict[str, Any]:
    """The candidate as plain data. Arguments of commands and queries of addresses may hold secrets and are left out."""
    recipe = asdict(candidate)
    if candidate.external is not None:
        recipe["external"]["target"] = [candidate.external.target[0].partition("?")[0]]
    return recipe


def _measured(outcome: Outcome, stage: str, candidate: str) -> float | None:
    if stage == "train":
        return (
            sum(weights.result.seconds for weights in outcome.weights.get(candidate, ()) if not weights.result.remembered)
            or None
        )
    seconds = outcome.seconds.get((stage, candidate))
    return seconds if seconds is not None and seconds >= _UNTOUCHED_SECONDS else None


def _abstention(task: Task, scores: Sequence[Score]) -> dict[str, Any]:
    """Abstaining as a detector of unanswerable questions."""
    by_id = task.by_id()
    return asdict(abstention_counts([not by_id[score.item].answers for score in scores], [score.abstained for score in scores]))


def _candidate(report: CandidateReport, result: Result | None, abstention: dict[str, Any] | None) -> dict[str, Any]:
    """One candidate; without a result, of one that did not run."""
    name = report.candidate.name
    figures = result.figures[name] if result else Measured()
    weights = result.outcome.weights.get(name, ()) if result else ()
    return {
        "name": report.candidate.name,
        "model": report.candidate.model,
        "recipe": _recipe(report.candidate),
        "metrics": dict(report.metrics),
        "intervals": {name: asdict(interval) for name, interval in report.intervals.items()},
        "items": report.items,
        "latency": asdict(report.latency) if report.latency else None,
        "cost": asdict(report.cost) if report.cost else None,
        "tokens": asdict(report.tokens),
        "memory_gb": figures.memory_gb,
        "staleness": _staleness(figures),
        "abstention": abstention,
        "weights": [_weights(made) for made in weights],
        "not_applicable": "",
        "excluded": result.excluded.get(name, "") if result else "",
    }


def _staleness(figures: Measured) -> dict[str, Any] | None:
    """Hours are null where nothing bounds the age of facts."""
    if figures.staleness is None:
        return None
    hours, aging = figures.staleness.hours, figures.aging
    told = None if aging is None else asdict(aging) | {"loss": aging.loss}
    return {"hours": hours if math.isfinite(hours) else None, "why": figures.staleness.why, "facts": told}


def _weights(made: Weights) -> dict[str, Any]:
    result = made.result
    return {
        "id": made.id,
        "pairs": made.pairs,
        "unreadable": len(made.unreadable),
        "without_gold": len(made.without_gold),
        "steps": result.steps,
        "tokens": result.tokens,
        "seconds": result.seconds,
        "loss_first": result.loss_first,
        "loss_last": result.loss_last,
    }


def _absent(name: str, model: str, reason: str) -> dict[str, Any]:
    """A candidate that did not run, in the same shape."""
    return _candidate(CandidateReport(Candidate(name, model), {}, {}, 0), None, None) | {
        "recipe": {},
        "not_applicable": reason,
    }
