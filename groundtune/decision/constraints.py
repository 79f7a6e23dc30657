"""The operator's limits against what was measured: who may win at all. Knows figures and recipes; no scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from groundtune.config import Decision, Upkeep
from groundtune.decision.aging import Aging, Staleness, loss_breach
from groundtune.types import Candidate, CandidateReport, Score

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Measured:
    """What one candidate's limits are held against; None where it was not measured or does not apply."""

    p95_seconds: float | None = None
    cost_per_1000: float | None = None
    memory_gb: float | None = None
    """Most that a process which only answers held, in GiB."""
    staleness: Staleness | None = None
    """None when the task has no documents: then there are no facts that age."""
    aging: Aging | None = None
    """What changed facts cost; None when the task has no documents or nobody said how many change."""
    cites: bool = False
    cost_unknown: str = ""
    """Why there is no cost; empty when there is one, or none applies."""
    no_citations: str = "it cannot cite"


@dataclass(frozen=True, slots=True)
class Limits:
    """None means no limit."""

    max_p95_seconds: float | None = None
    max_cost_per_1000: float | None = None
    max_memory_gb: float | None = None
    max_staleness_hours: float | None = None
    max_staleness_loss: float | None = None
    must_cite: bool = False
    currency: str = "USD"

    @classmethod
    def of(cls, decision: Decision, *, currency: str) -> Limits:
        return cls(
            decision.max_p95_seconds,
            decision.max_cost_per_1000,
            decision.max_memory_gb,
            decision.max_staleness_hours,
            decision.max_staleness_loss,
            decision.must_cite,
            currency,
        )


def measured(
    report: CandidateReport,
    scores: Sequence[Score] = (),
    *,
    memory_bytes: int | None,
    staleness: Staleness | None,
    aging: Aging | None = None,
) -> Measured:
    """The figures of a candidate that ran. Whether something that already runs cites, its `scores` say."""
    cost, external = report.cost, report.candidate.external is not None
    return Measured(
        p95_seconds=report.latency.p95 if report.latency else None,
        cost_per_1000=cost.per_1000_answers if cost and cost.known else None,
        memory_gb=None if memory_bytes is None else memory_bytes / GIB,
        staleness=staleness,
        aging=aging,
        cites=any(score.citations for score in scores) if external else report.candidate.context is not None,
        cost_unknown=cost.basis if cost and not cost.known else "",
        no_citations="none of its citations holds" if external else "it cannot cite",
    )


def staleness(candidate: Candidate, upkeep: Upkeep, *, has_documents: bool) -> Staleness | None:
    """Whatever retrieves is as fresh as the last sync, whatever else was tuned; weights are as old as their training.

    Facts of the untuned model and of labelled examples have no date: nothing here renews them.
    """
    if not has_documents:
        return None
    if candidate.external is not None:
        return Staleness(math.inf, "it already runs, and nothing here says how often its facts are renewed", "unsaid")
    trained = None
    if candidate.tuning is not None:
        trained = math.inf if upkeep.refresh_hours is None else upkeep.refresh_hours
    if candidate.context is not None:
        if upkeep.sync_hours is None:
            return Staleness(math.inf, "upkeep.sync_hours does not say how often documents are synced", "unsaid", trained)
        why = f"its context is as fresh as the last sync, at most {upkeep.sync_hours:g} h old"
        return Staleness(upkeep.sync_hours, why, weights_hours=trained)
    if trained is not None:
        if upkeep.refresh_hours is None:
            return Staleness(trained, "upkeep.refresh_hours does not say how often its weights are trained anew", "unsaid")
        return Staleness(trained, f"its weights are as old as their training, at most {trained:g} h old")
    where = "the labelled examples" if candidate.examples is not None else "the model"
    return Staleness(math.inf, f"it knows only what {where} held, which no sync renews", "never")


def breaches(found: Measured, limits: Limits) -> Sequence[str]:
    """Every limit that a candidate breaks, in words; none when it keeps all. What was not measured breaks nothing."""
    said: list[str] = []
    if _above(found.p95_seconds, limits.max_p95_seconds):
        said.append(f"p95 latency {found.p95_seconds:.2f} s is above {limits.max_p95_seconds} s")
    if _above(found.cost_per_1000, limits.max_cost_per_1000):
        said.append(f"1,000 answers cost {found.cost_per_1000:.4f} {limits.currency}, above {limits.max_cost_per_1000}")
    if found.cost_unknown and limits.max_cost_per_1000 is not None:
        said.append(f"its cost is not known ({found.cost_unknown}), and max_cost_per_1000 is set")
    if _above(found.memory_gb, limits.max_memory_gb):
        said.append(f"answering takes {found.memory_gb:.2f} GiB of memory, above {limits.max_memory_gb}")
    if found.staleness is not None and _above(found.staleness.hours, limits.max_staleness_hours):
        said.append(f"{found.staleness.why}, and facts may be at most {limits.max_staleness_hours:g} h old")
    if limits.max_staleness_loss is not None and found.staleness is not None:
        said += loss_breach(found.aging, limits.max_staleness_loss)
    if limits.must_cite and not found.cites:
        said.append(f"{found.no_citations}, and citations are required")
    return said


def _above(value: float | None, limit: float | None) -> bool:
    return value is not None and limit is not None and value > limit
