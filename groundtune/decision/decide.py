"""From a race that is set up to a decision: run, compare, name, report, remember. It fixes nothing that set-up has fixed."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy import func, insert, select

from groundtune.candidates.open import newest, remember_run, remember_weights, weights_folder
from groundtune.decision.applicable import Functions
from groundtune.decision.assemble import assemble
from groundtune.decision.costs import cost_of
from groundtune.decision.plan import Plan, parse_budget, remember_training_pace
from groundtune.decision.probes import Decomposition, decompose
from groundtune.decision.race import Outcome, Race
from groundtune.decision.report import write_report, write_scores
from groundtune.decision.setup import Setup, plan_race, set_up
from groundtune.decision.task import set_figures
from groundtune.decision.verdict import decide_verdict
from groundtune.errors import NotFound, UsageError
from groundtune.evaluation.standing import Standing, standing
from groundtune.evaluation.statistics import mean_interval
from groundtune.evaluation.table import score_table
from groundtune.interfaces import Progress
from groundtune.store.stages import digest
from groundtune.store.tables import looks, runs
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, CandidateReport, Interval, Score, Usage, Verdict


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` returns. With `plan_only` there is a plan and nothing else."""

    plan: Plan
    out: Path
    """Folder of report.json, report.md and report.html."""
    verdict: Verdict | None = None
    report: dict[str, Any] | None = None
    """The content of report.json."""


def decide(
    workspace: Workspace,
    *,
    names: Sequence[str],
    functions: Functions | None = None,
    budget: str | None = None,
    plan_only: bool = False,
    announce: Callable[[Plan], None] | None = None,
    progress: Progress | None = None,
) -> Decision:
    """Race the named candidates and report. `announce` gets the plan before anything is spent.

    Repeating an interrupted call continues it: finished trainings and answers are found again. Every call that finishes is a
    look at the scored items and is written to the ledger.
    """
    limit = parse_budget(budget or workspace.config.decision.budget, currency=workspace.config.prices.currency)
    with workspace.lock():
        setup = set_up(workspace, names=names, functions=functions, progress=progress)
        plan = plan_race(setup, budget=limit)
        if announce is not None:
            announce(plan)
        if plan_only:
            return Decision(plan=plan, out=workspace.root)
        raced = tuple(candidate for candidate in setup.candidates if candidate.name in plan.candidates)
        if not raced:
            raise UsageError(
                "no candidate fits the budget.", subject=str(budget), remedy="Raise the budget or name fewer candidates."
            )
        started = time.time()
        outcome = run_race(setup, raced, progress=progress)
        reports = candidate_reports(setup, raced, outcome)
        excluded = {name: why for name, one in reports.items() if (why := _breach(one, setup, outcome.scores[name]))}
        found = decide_verdict(
            {name: scores for name, scores in outcome.scores.items() if name not in excluded},
            metric=setup.task.metric,
            examples=setup.task.examples,
            costs={name: one.cost.per_1000_answers for name, one in reports.items() if one.cost and one.cost.known},
            margin=workspace.config.decision.margin,
            floor=workspace.config.decision.floor,
            seed=workspace.config.decision.seed,
            settings=setup.task.settings,
        )
        run, folder = _next_run(workspace)
        fingerprint = digest([[example.id, example.question, example.answers] for example in setup.task.examples])
        looked = _look(workspace, run, fingerprint, len(setup.task.test_ids))
        write_scores(
            folder / "scores.jsonl", [score for scores in (*outcome.scores.values(), outcome.probe) for score in scores]
        )
        report = assemble(
            replace(setup, notes=(*setup.notes, *_unanswered(raced, outcome))),
            plan=plan,
            outcome=outcome,
            reports=reports,
            excluded=excluded,
            found=found,
            field=_field(setup, outcome, excluded),
            decomposition=_decomposition(setup, outcome),
            run=run,
            fingerprint=fingerprint,
            looks=looked,
            scores=(folder / "scores.jsonl").relative_to(workspace.root).as_posix(),
        )
        write_report(report, workspace.root)
        remember_run(workspace, verb="decide", content=report, run=run, seconds=time.time() - started)
    return Decision(plan=plan, out=workspace.root, verdict=found.verdict, report=report)


def run_race(setup: Setup, raced: Sequence[Candidate], *, progress: Progress | None) -> Outcome:
    """Run the race and remember its weights and this machine's training pace."""
    workspace, decision = setup.workspace, setup.workspace.config.decision
    outcome = Race(
        task=setup.task,
        candidates=tuple(raced),
        workshop=setup.workshop,
        stages=workspace.stages,
        weights_folder=weights_folder(workspace),
        batch_size=decision.batch_size,
        latency_requests=decision.latency_requests,
        seed=workspace.config.training.seed,
        progress=progress,
    ).run()
    for candidate in raced:
        for weights in outcome.weights.get(candidate.name, ()):
            remember_weights(workspace, weights)
            if weights.result.seconds:
                remember_training_pace(
                    setup.workshop.model(candidate.model),
                    tokens_per_second=weights.result.tokens_per_second,
                    memory=workspace.state / "pace.json",
                )
    return outcome


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
        cost = cost_of(
            candidate,
            local=candidate.external is None and setup.workshop.model(candidate.model).local,
            latency=latency,
            tokens=tokens,
            training_seconds=[weights.result.seconds for weights in outcome.weights.get(candidate.name, ())],
            prices=setup.workspace.config.prices,
        )
        reports[candidate.name] = CandidateReport(candidate, metrics, intervals, len(scores), latency, cost, tokens)
    return reports


def _unanswered(raced: Sequence[Candidate], outcome: Outcome) -> list[str]:
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


def _breach(report: CandidateReport, setup: Setup, scores: Sequence[Score]) -> str:
    """The constraint that a candidate breaks, in words; empty when it keeps all of them."""
    limits = setup.workspace.config.decision
    if limits.max_p95_seconds is not None and report.latency is not None and report.latency.p95 > limits.max_p95_seconds:
        return f"p95 latency {report.latency.p95:.2f} s is above {limits.max_p95_seconds} s"
    if limits.max_cost_per_1000 is not None and report.cost is not None and not report.cost.known:
        return f"its cost is not known ({report.cost.basis}), and max_cost_per_1000 is set"
    if (
        limits.max_cost_per_1000 is not None
        and report.cost is not None
        and report.cost.per_1000_answers > limits.max_cost_per_1000
    ):
        return f"1,000 answers cost {report.cost.per_1000_answers:.4f} {report.cost.currency}, above {limits.max_cost_per_1000}"
    if limits.must_cite and report.candidate.external is not None and not any(score.citations for score in scores):
        return "none of its citations holds, and citations are required"
    if limits.must_cite and report.candidate.external is None and report.candidate.context is None:
        return "it cannot cite, and citations are required"
    return ""


def _decomposition(setup: Setup, outcome: Outcome) -> Decomposition | None:
    """Along the path of the untuned retrieval candidate, on the items that the gold-evidence probe answered."""
    retriever = setup.workshop.retriever
    if not outcome.probe or "rag" not in outcome.scores or retriever is None:
        return None
    return decompose(
        outcome.probe,
        rag=outcome.scores["rag"],
        closed_book=outcome.scores.get("prompt"),
        examples=setup.task.by_id(),
        metric=setup.task.metric,
        retriever=retriever,
    )


def _field(setup: Setup, outcome: Outcome, excluded: Container[str]) -> Standing | None:
    """Where the compared candidates stand; None when there are fewer than two, or nothing that the metric can score."""
    compared = {name: scores for name, scores in outcome.scores.items() if name not in excluded}
    table = score_table(compared, metric=setup.task.metric)
    many = len(table.candidates) > 1 and len(table.items) > 0
    return standing(table, seed=setup.workspace.config.decision.seed) if many else None


def _next_run(workspace: Workspace) -> tuple[str, Path]:
    with workspace.database.connect() as connection:
        done = connection.scalar(select(func.count()).select_from(runs).where(runs.c.verb == "decide")) or 0
    run = f"decide-{done + 1:04d}"
    folder = workspace.state / "runs" / run
    folder.mkdir(parents=True, exist_ok=True)
    return run, folder


def _look(workspace: Workspace, run: str, fingerprint: str, items: int) -> int:
    """Write this look into the ledger; returns how many looks these items have had, this one included."""
    with workspace.database.begin() as connection:
        connection.execute(insert(looks).values(run=run, split="test", digest=fingerprint, items=items, created=time.time()))
        return connection.scalar(select(func.count()).select_from(looks).where(looks.c.digest == fingerprint)) or 1


def load_report(workspace: Workspace, run: str | None = None) -> dict[str, Any]:
    """The report of a run, by default the newest. Raises NotFound."""
    report: dict[str, Any] | None = newest(workspace, verb="decide", run=run)
    if report is None:
        what = "there is no such decision." if run else "nothing was decided yet."
        raise NotFound(what, subject=run or str(workspace.root), remedy="Run: groundtune decide")
    return report
