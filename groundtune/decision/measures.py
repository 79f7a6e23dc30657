"""What a race measured of each candidate: means, costs, memory, the age of its facts. It compares and decides nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import func, select

from groundtune.decision.aging import Aging, Staleness, aging, horizon
from groundtune.decision.constraints import Measured, measured, staleness
from groundtune.decision.costs import cost_of
from groundtune.decision.memory import answering_memory
from groundtune.decision.race import Outcome
from groundtune.decision.setup import Setup
from groundtune.decision.task import set_figures
from groundtune.decision.weights_memory import weights_memory
from groundtune.evaluation.statistics import mean_interval
from groundtune.interfaces import Progress
from groundtune.store.tables import stages
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, CandidateReport, Interval, RetrievedContext, Usage


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
        metrics |= set_figures(setup.task, scores)
        tokens = Usage(
            round(sum(score.usage.input_tokens for score in scores) / len(scores)),
            round(sum(score.usage.output_tokens for score in scores) / len(scores)),
        )
        latency = outcome.latency.get(candidate.name)
        dropped = outcome.course is not None and latency is None
        cost = (
            None
            if dropped
            else cost_of(
                candidate,
                local=candidate.external is None and setup.workshop.model(candidate.model).local,
                latency=latency,
                tokens=tokens,
                training_seconds=[weights.result.seconds for weights in outcome.weights.get(candidate.name, ())],
                prices=setup.workspace.config.prices,
            )
        )
        reports[candidate.name] = CandidateReport(candidate, metrics, intervals, len(scores), latency, cost, tokens)
    return reports


def constrained_figures(
    setup: Setup, reports: Mapping[str, CandidateReport], outcome: Outcome, *, progress: Progress | None = None
) -> dict[str, Measured]:
    """What the limits are held against. Memory is measured only where it is limited: it takes a process a candidate.

    What already runs holds its memory elsewhere, and cites if any of its citations held.
    """
    config, task = setup.workspace.config, setup.task
    by_id, fold = task.by_id(), task.folds[0]
    ages = {
        name: staleness(report.candidate, config.upkeep, has_documents=task.has_documents) for name, report in reports.items()
    }
    figures: dict[str, Measured] = {}
    for number, (name, report) in enumerate(reports.items(), start=1):
        memory = None
        if config.decision.max_memory_gb is not None and report.candidate.external is None:
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
        figures[name] = measured(
            report,
            outcome.scores[name],
            memory_bytes=memory,
            staleness=ages[name],
            aging=_aging(setup, report.candidate, outcome, ages, progress=progress),
        )
    return figures


def _aging(
    setup: Setup,
    candidate: Candidate,
    outcome: Outcome,
    ages: Mapping[str, Staleness | None],
    *,
    progress: Progress | None,
) -> Aging | None:
    """What changed facts cost it, where the operator said how many change. Only then the memory of weights is asked for."""
    config, task, age = setup.workspace.config, setup.task, ages[candidate.name]
    per_month = config.upkeep.facts_changed_per_month
    if age is None or per_month is None:
        return None
    memory = None
    if candidate.tuning is not None and isinstance(candidate.context, RetrievedContext):
        by_id = task.by_id()
        memory = weights_memory(
            candidate,
            workshop=setup.workshop,
            weights=outcome.weights[candidate.name][0],
            learned=[by_id[item] for item in task.folds[0].train],
            stages=setup.workspace.stages,
            batch_size=config.decision.batch_size,
            progress=progress,
        )
        setup.workshop.release_tuned()
    return aging(
        outcome.scores[candidate.name],
        age,
        metric=task.metric,
        answerable={example.id for example in task.examples if example.answers},
        per_month=per_month,
        horizon=horizon(one for one in ages.values() if one is not None),
        memory=memory,
    )


def known_costs(reports: Mapping[str, CandidateReport]) -> dict[str, float]:
    """Cost of 1,000 answers; candidates whose cost is not known are left out."""
    return {name: report.cost.per_1000_answers for name, report in reports.items() if report.cost and report.cost.known}


def unanswered(raced: Sequence[Candidate], outcome: Outcome) -> list[str]:
    """A note for each system that already runs and left questions without a usable reply."""
    notes = []
    for candidate in raced:
        scores = outcome.scores[candidate.name] if candidate.external is not None else []
        failed = sum(not score.answer for score in scores)
        if failed:
            notes.append(
                f"{candidate.name} gave no usable reply to {failed} of {len(scores)} questions; they count as wrong answers. "
                "Change its version to ask it again."
            )
    return notes


def shared_prices(setup: Setup, reports: Mapping[str, CandidateReport]) -> dict[str, tuple[str, ...]]:
    """Every price that was paid by the hour or the token, with the candidates whose answers it prices."""
    found: dict[str, list[str]] = {}
    for name, report in reports.items():
        external, model = report.candidate.external, report.candidate.model
        if report.cost is None or not report.cost.known or (external is not None and external.price_per_1000 is not None):
            continue
        price = (
            "the price of a core-hour" if external is None and setup.workshop.model(model).local else f"the price of {model}"
        )
        found.setdefault(price, []).append(name)
    return {price: tuple(names) for price, names in found.items()}


def indexing_seconds(workspace: Workspace) -> float:
    """Seconds that parsing and embedding took in this workspace so far, earlier versions of documents included."""
    spent = select(func.sum(stages.c.seconds)).where(stages.c.stage.in_(("parse", "embed")))
    with workspace.database.connect() as connection:
        return float(connection.scalar(spent) or 0.0)
