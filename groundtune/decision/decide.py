"""From a race that is set up to a decision: run, compare, name, report, remember. It fixes nothing that set-up has fixed."""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from groundtune.candidates.open import remember_run, remember_weights, weights_folder
from groundtune.decision.applicable import Functions
from groundtune.decision.assemble import Result, assemble
from groundtune.decision.break_even import break_evens, running
from groundtune.decision.cards import note_measures
from groundtune.decision.choosing import SWEEP, choose_settings, said, set_up_with, sweep_stages
from groundtune.decision.constraints import Limits, breaches
from groundtune.decision.explain import Explainer
from groundtune.decision.frugal import looks_of, run_frugal
from groundtune.decision.ledger import ledger, look, next_run
from groundtune.decision.measures import (
    candidate_reports,
    constrained_figures,
    indexing_seconds,
    known_costs,
    shared_prices,
    unanswered,
)
from groundtune.decision.plan import Plan, parse_budget, remember_training_pace
from groundtune.decision.predictions import Book
from groundtune.decision.race import READER, Outcome, Race
from groundtune.decision.report import write_report, write_scores
from groundtune.decision.searching import RECORD, search, search_stages, told
from groundtune.decision.sensitivity import sensitivity
from groundtune.decision.setup import Setup, floor_of, plan_race, set_up
from groundtune.decision.texts import write_questions
from groundtune.decision.verdict import decide_verdict
from groundtune.errors import UsageError
from groundtune.evaluation.standing import Standing, standing
from groundtune.evaluation.table import score_table
from groundtune.interfaces import Progress
from groundtune.store.workspace import Workspace
from groundtune.types import Candidate, Score, Verdict


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
        sweeping, unswept = sweep_stages(setup)
        searching, unsearched = search_stages(setup)
        others = searching | ({SWEEP: sweeping} if sweeping else {})
        plan = plan_race(setup, budget=limit, others=others, not_done=(*unswept, *unsearched))
        if announce is not None:
            announce(plan)
        if plan_only:
            return Decision(plan=plan, out=workspace.root)
        raced = tuple(candidate for candidate in setup.candidates if candidate.name in plan.candidates)
        if not raced:
            raise UsageError(
                "no candidate fits the budget.", subject=str(budget), remedy="Raise the budget or name fewer candidates."
            )
        run, folder = next_run(workspace)
        started = time.monotonic()
        swept = None
        if any(stage.candidate == SWEEP for stage in plan.stages):
            swept = choose_settings(setup, progress=progress)
            setup = set_up_with(setup, swept, names=names, progress=progress)
        setup, searched = search(setup, plan, record=folder / RECORD, progress=progress)
        raced = tuple(candidate for candidate in setup.candidates if candidate.name in plan.candidates)
        explainer = Explainer(setup, Book(folder / "predictions.json", fingerprint=setup.task.fingerprint))
        reads = any(stage.candidate == READER for stage in plan.stages)
        outcome = run_race(setup, raced, explainer=explainer, reads=reads, plan=plan, progress=progress)
        if swept is not None:
            outcome.seconds["sweep", SWEEP] = swept.seconds
            setup = replace(setup, notes=(*setup.notes, said(swept)))
        for one in searched:
            outcome.seconds["search", one.candidate] = one.seconds
            setup = replace(setup, notes=(*setup.notes, told(one)))
        result = conclude(
            setup, plan=plan, outcome=outcome, raced=raced, run=run, folder=folder, explainer=explainer, progress=progress
        )
        report = assemble(setup, result)
        write_report(workspace, report)
        remember_run(workspace, verb="decide", content=report, run=run, seconds=time.monotonic() - started)
        note_measures(workspace, report)
    return Decision(plan=plan, out=workspace.root, verdict=result.found.verdict, report=report)


def conclude(
    setup: Setup,
    *,
    plan: Plan,
    outcome: Outcome,
    raced: Sequence[Candidate],
    run: str,
    folder: Path,
    explainer: Explainer,
    progress: Progress | None,
) -> Result:
    """From what was measured to the verdict, what would change it, and the entry in the ledger of looks."""
    workspace, config, task = setup.workspace, setup.workspace.config, setup.task
    raced = [candidate for candidate in raced if candidate.name in outcome.scores]
    reports = candidate_reports(setup, raced, outcome)
    figures = constrained_figures(setup, reports, outcome, progress=progress)
    limits = Limits.of(config.decision, currency=config.prices.currency)
    excluded = {name: "; ".join(broken) for name, one in figures.items() if (broken := breaches(one, limits))}
    compared, seen = outcome.compared(), outcome.course.seen if outcome.course else None
    floor = config.decision.floor if outcome.course is None else floor_of(setup)
    found = decide_verdict(
        {name: scores for name, scores in compared.items() if name not in excluded},
        metric=task.metric,
        examples=task.examples,
        costs=known_costs(reports),
        margin=config.decision.margin,
        floor=floor,
        seed=config.decision.seed,
        settings=task.settings,
        seen=seen,
    )
    changes = sensitivity(
        compared,
        metric=task.metric,
        examples=task.examples,
        measured={name: one for name, one in figures.items() if name in compared},
        limits=limits,
        prices=shared_prices(setup, {name: report for name, report in reports.items() if name in compared}),
        margin=config.decision.margin,
        floor=floor,
        seed=config.decision.seed,
        settings=task.settings,
        seen=seen,
    )
    costs = running(reports, indexing_seconds=indexing_seconds(workspace), prices=config.prices)
    looked = look(workspace, run, fingerprint=task.fingerprint, items=len(task.test_ids))
    probes = (outcome.probe, outcome.context, outcome.nearest, outcome.reader)
    write_scores(folder / "scores.jsonl", [score for scores in (*outcome.scores.values(), *probes) for score in scores])
    write_questions(folder, task.examples, setup.workshop.audience_of)
    return Result(
        run=run,
        looks=looked,
        ledger=ledger(workspace, fingerprint=task.fingerprint),
        scores=(folder / "scores.jsonl").relative_to(workspace.root).as_posix(),
        plan=plan,
        outcome=outcome,
        reports=reports,
        figures=figures,
        excluded=excluded,
        found=found,
        field=_field(setup, compared, excluded),
        sensitivity=changes,
        break_evens=break_evens(reports, costs, upkeep=config.upkeep, currency=config.prices.currency),
        probes=explainer.explain(outcome),
        predictions=explainer.book.scored({name: report.metrics.get(task.metric, 0.0) for name, report in reports.items()}),
        notes=unanswered(raced, outcome),
    )


def run_race(
    setup: Setup,
    raced: Sequence[Candidate],
    *,
    progress: Progress | None,
    explainer: Explainer | None = None,
    reads: bool = False,
    plan: Plan | None = None,
) -> Outcome:
    """Run the race and remember its weights and this machine's training pace.

    `explainer` predicts each candidate before it is built; `reads` runs the reader probe, where there is one; a `plan` says
    whether the race is frugal.
    """
    workspace, decision = setup.workspace, setup.workspace.config.decision
    race = Race(
        task=setup.task,
        candidates=tuple(raced),
        workshop=setup.workshop,
        stages=workspace.stages,
        weights_folder=weights_folder(workspace),
        batch_size=decision.batch_size,
        latency_requests=decision.latency_requests,
        seed=workspace.config.training.seed,
        progress=progress,
        reader=setup.reader if reads else None,
        before=explainer.predict if explainer is not None else None,
    )
    if plan is not None and plan.frugality is not None and plan.frugality.race == "frugal":
        looks = looks_of(setup.task, seed=decision.seed)
        outcome = run_frugal(
            race, plan.frugality.entrants, looks, margin=decision.margin, floor=floor_of(setup), seed=decision.seed
        )
    else:
        outcome = race.run()
    for candidate in raced:
        for weights in (*outcome.rungs.get(candidate.name, ()), *outcome.weights.get(candidate.name, ())):
            remember_weights(workspace, weights)
            model = setup.workshop.model(candidate.model)
            remember_training_pace(model, weights.result, memory=workspace.state / "pace.json")
    return outcome


def _field(setup: Setup, compared: Mapping[str, Sequence[Score]], excluded: Container[str]) -> Standing | None:
    """Where the compared candidates stand; None when there are fewer than two, or nothing that the metric can score."""
    table = score_table({name: rows for name, rows in compared.items() if name not in excluded}, metric=setup.task.metric)
    many = len(table.candidates) > 1 and len(table.items) > 0
    return standing(table, seed=setup.workspace.config.decision.seed) if many else None
