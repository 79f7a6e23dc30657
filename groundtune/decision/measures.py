"""What a race measured of each candidate: means, costs, memory, the age of its facts. It compares and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from groundtune.decision.constraints import Measured, measured, staleness
from groundtune.decision.costs import cost_of
from groundtune.decision.memory import answering_memory
from groundtune.decision.race import Outcome
from groundtune.decision.setup import Setup
from groundtune.evaluation.statistics import mean_interval
from groundtune.interfaces import Progress
from groundtune.store.tables import stages
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, CandidateReport, Interval, Usage


def candidate_reports(setup: Setup, raced: Sequence[Candidate], outcome: Outcome) -> dict[str, CandidateReport]:
    """Means, intervals, latency and cost of every candidate that ran."""
    reports: dict[str, CandidateReport] = {}
    for candidate in raced:
        scores = outcome.scores[candidate.name]
        metrics: dict[str, float] = {}
        intervals: dict[str, Interval] = {}
        for metric in setup.task.metrics:
            scored = [score for score in scores if metric in score.metrics]
            if scored:
                values = [score.metrics[metric] for score in scored]
                metrics[metric] = sum(values) / len(values)
                intervals[metric] = mean_interval(
                    values, [score.group for score in scored], seed=setup.workspace.config.decision.seed
                )
        tokens = Usage(
            round(sum(score.usage.input_tokens for score in scores) / len(scores)),
            round(sum(score.usage.output_tokens for score in scores) / len(scores)),
        )
        latency = outcome.latency.get(candidate.name)
        cost = cost_of(
            candidate,
            local=setup.workshop.model(candidate.model).local,
            latency=latency,
            tokens=tokens,
            training_seconds=[weights.result.seconds for weights in outcome.weights.get(candidate.name, ())],
            prices=setup.workspace.config.prices,
        )
        reports[candidate.name] = CandidateReport(candidate, metrics, intervals, len(scores), latency, cost, tokens)
    return reports


def constrained_figures(
    setup: Setup, reports: Mapping[str, CandidateReport], outcome: Outcome, *, progress: Progress | None = None
) -> dict[str, Measured]:
    """What the limits are held against. Memory is measured only where it is limited: it takes a process a candidate."""
    config, task = setup.workspace.config, setup.task
    by_id, fold = task.by_id(), task.folds[0]
    figures: dict[str, Measured] = {}
    for number, (name, report) in enumerate(reports.items(), start=1):
        memory = None
        if config.decision.max_memory_gb is not None:
            memory = answering_memory(
                setup.workspace,
                report.candidate,
                examples=[by_id[item] for item in fold.test],
                train_examples=[by_id[item] for item in fold.train],
                labels=task.labels,
                weights=outcome.weights[name][0] if report.candidate.tuning else None,
            )
            if progress is not None:
                progress("memory", number, len(reports))
        age = staleness(report.candidate, config.upkeep, has_documents=task.has_documents)
        figures[name] = measured(report, memory_bytes=memory, staleness=age)
    return figures


def shared_prices(setup: Setup, reports: Mapping[str, CandidateReport]) -> dict[str, tuple[str, ...]]:
    """Every price that was paid, with the candidates whose answers it prices."""
    found: dict[str, list[str]] = {}
    for name, report in reports.items():
        model = report.candidate.model
        price = "the price of a core-hour" if setup.workshop.model(model).local else f"the price of {model}"
        found.setdefault(price, []).append(name)
    return {price: tuple(names) for price, names in found.items()}


def indexing_seconds(workspace: Workspace) -> float:
    """Seconds that parsing and embedding took in this workspace so far, earlier versions of documents included."""
    spent = select(func.sum(stages.c.seconds)).where(stages.c.stage.in_(("parse", "embed")))
    with workspace.database.connect() as connection:
        return float(connection.scalar(spent) or 0.0)
